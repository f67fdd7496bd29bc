"""The simulator's own services, in a process of its own; see tests/src/bin/simulated-services.rs."""

import base64
import itertools
import json
import subprocess
import threading


class Services:
    """Asks the simulated services. Safe to use from several threads."""

    def __init__(self, program, plan, disaster, scale, seed, log):
        self._process = subprocess.Popen(
            [program, plan, disaster, str(scale), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self._ids = itertools.count(1)
        self._waiting = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, request, /, timeout=None, **fields):
        """The answer; None where nobody answers within `timeout` seconds. Errors: the simulator refuses the request."""
        number, arrived, slot = next(self._ids), threading.Event(), []
        with self._lock:
            self._waiting[number] = (arrived, slot)
            self._process.stdin.write(json.dumps({"id": number, "do": request, **fields}) + "\n")
            self._process.stdin.flush()
        if not arrived.wait(timeout):
            return None
        answer = slot[0]
        if "error" in answer:
            raise RuntimeError(f"simulated-services: {request}: {answer['error']}")
        return answer

    def call(self, timeout=None, *, body, **fields):
        """A call to AWS; bodies are bytes. The answer as of `ask`."""
        answer = self.ask("call", timeout, body=base64.b64encode(body).decode(), **fields)
        return answer and answer | {"body": base64.b64decode(answer["body"])}

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                arrived, slot = self._waiting.pop(answer.pop("id"))
            slot.append(answer)
            arrived.set()
        for arrived, slot in list(self._waiting.values()):
            slot.append({"error": "it has ended"})
            arrived.set()
