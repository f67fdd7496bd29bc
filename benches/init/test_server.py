"""Tests of the Runtime API and of the program around it, with planted programs. Usage: python3 benches/init/test_server.py."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import server

HERE = pathlib.Path(__file__).resolve().parent
EVENT = b'{"planted": true}'

# What planted programs begin with. An answer of the Runtime API is read by one call, and so has to come in one write.
CLIENT = """
import os, pathlib, socket, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
api = socket.create_connection((host, int(port)))
def ask(*parts):
    for part in parts:
        api.sendall(part)
        time.sleep(0.02 if len(parts) > 1 else 0)
    return api.recv(65536)
def poll():
    head, _, event = ask(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: lambda\\r\\n\\r\\n").partition(b"\\r\\n\\r\\n")
    headers = dict(line.split(": ") for line in head.decode().split("\\r\\n")[1:])
    return headers, event
def post(path, body):
    head = f"POST /2018-06-01/runtime/{path} HTTP/1.1\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    return ask(head.encode() + body)
def answer(kind, body):
    headers, _ = poll()
    return post(f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/{kind}", body)
"""
ANSWERS = CLIENT + "answer('error', b'{\"errorType\": \"InvalidInput\"}')\n"
NEVER_POLLS = """#!/bin/sh
trap '' INT TERM HUP
echo $$ > "$0.pid"
sleep 60
"""


class Planted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def plant(self, script, name="planted"):
        path = self.folder / name
        path.write_text(script if script.startswith("#!") else f"#!{sys.executable}\n{script}")
        path.chmod(0o755)
        return path

    def measure(self, script, limit=server.LIMIT_SECONDS):
        return server.measure([str(self.plant(script))], {"PLANTED": "1"}, EVENT, limit)

    def fails(self, script, *texts, limit=server.LIMIT_SECONDS):
        """What is said of a start that fails; the texts are in it."""
        with self.assertRaises(server.StartFailed) as failed:
            self.measure(script, limit)
        for text in texts:
            self.assertIn(text, str(failed.exception))
        return str(failed.exception)

    def has_ended(self, name="planted"):
        """Whether the planted program, which wrote its process id, has ended."""
        process = int((self.folder / f"{name}.pid").read_text())
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return False


class Measured(Planted):
    def test_one_that_answers(self):
        start = self.measure(
            CLIENT
            + "headers, event = poll()\n"
            + "assert int(headers['Lambda-Runtime-Deadline-Ms']) > time.time() * 1000\n"
            + "assert headers['Lambda-Runtime-Invoked-Function-Arn'].startswith('arn:aws:lambda:')\n"
            + "assert 'PATH' not in os.environ and os.environ['PLANTED'] == '1'\n"
            + "used = b'x' * 50_000_000\n"
            + "time.sleep(0.1)\n"
            + "post('invocation/' + headers['Lambda-Runtime-Aws-Request-Id'] + '/response', event)\n"
        )
        self.assertEqual((start.kind, start.body), ("response", EVENT))
        self.assertGreater(start.poll_ns, 0)
        self.assertGreater(start.answer_ns, start.poll_ns + 100_000_000)
        self.assertGreater(start.peak_bytes, 50_000_000)

    def test_one_that_answers_with_an_error(self):
        start = self.measure(ANSWERS)
        self.assertEqual((start.kind, start.body), ("error", b'{"errorType": "InvalidInput"}'))

    def test_one_that_sends_its_answer_in_chunks_and_many_writes(self):
        start = self.measure(
            CLIENT
            + "path = '/2018-06-01/runtime/invocation/' + poll()[0]['Lambda-Runtime-Aws-Request-Id'] + '/response'\n"
            + "head = f'POST {path} HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'.encode()\n"
            + "ask(head[:30], head[30:], b'3\\r\\n[1,', b'\\r\\n2\\r\\n2]\\r\\n0\\r\\n', b'\\r\\n')\n"
        )
        self.assertEqual((start.kind, start.body), ("response", b"[1,2]"))

    def test_one_that_polls_and_answers_over_two_connections(self):
        start = self.measure(
            CLIENT
            + "headers, _ = poll()\n"
            + "api.close()\n"
            + "api = socket.create_connection((host, int(port)))\n"
            + "post('invocation/' + headers['Lambda-Runtime-Aws-Request-Id'] + '/response', b'{}')\n"
        )
        self.assertEqual(start.kind, "response")


class Failing(Planted):
    def test_one_that_never_polls(self):
        self.fails(NEVER_POLLS, "no poll within 0.5 s of its start", "it wrote nothing", limit=0.5)
        self.assertTrue(self.has_ended())

    def test_one_that_polls_and_does_not_answer(self):
        self.fails(CLIENT + "poll()\ntime.sleep(60)", "no answer within 2 s of its start", limit=2)

    def test_one_that_polls_again_gets_no_second_event(self):
        said = self.fails(CLIENT + "for _ in range(2):\n    poll()\n    print('an event', flush=True)", "no answer", limit=2)
        self.assertEqual(said.count("an event"), 1)

    def test_one_that_exits(self):
        self.fails("import sys; sys.exit('RECORD_TABLE is not set')", "with status 1 before its first poll", "RECORD_TABLE is not set")
        self.fails("import os; os.abort()", "by SIGABRT before its first poll")
        self.fails(CLIENT + "poll()\nsys.exit(3)", "with status 3 before its answer")

    def test_one_whose_init_fails(self):
        self.fails(CLIENT + "post('init/error', b'no module')\ntime.sleep(60)", "its init failed: no module")

    def test_one_that_answers_nothing_that_was_asked(self):
        self.fails(CLIENT + f"post('invocation/{server.REQUEST_ID}/response', b'')", "it answered before it polled")
        self.fails(CLIENT + "post('invocation/another/response', b'')", "which this Runtime API does not have")
        self.fails(CLIENT + "ask(b'what\\r\\n\\r\\n')", "not HTTP")

    def test_one_that_cannot_be_started(self):
        with self.assertRaises(server.StartFailed) as failed:
            server.measure([str(self.folder / "missing")], {}, EVENT)
        self.assertIn("missing cannot be started: No such file or directory", str(failed.exception))


class Run(Planted):
    def command(self, *more):
        return [sys.executable, str(HERE / "run.py"), "--programs", str(self.folder), "--only", "promote-database", *more]

    def run_with(self, *more):
        return subprocess.run(self.command(*more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def test_a_table_is_printed(self):
        self.plant(ANSWERS, "promote-database")
        starts = self.folder / "starts.json"
        done = self.run_with("--rounds", "2", "--json", str(starts))
        self.assertEqual((done.returncode, done.stderr), (0, "2 rounds of 1 programs\n"))
        self.assertIn("| program | start to first poll, ms | start to first answer, ms | peak memory, MB |", done.stdout)
        self.assertRegex(done.stdout, r"\| `promote-database` \| [\d.]+ \([\d.]+–[\d.]+\) \|")
        self.assertIn('"poll_ns"', starts.read_text())

    def test_what_is_not_there_is_said(self):
        done = self.run_with()
        self.assertEqual(done.returncode, 2)
        self.assertIn("left out: promote-database", done.stderr)
        self.assertIn("no function is built in", done.stderr)

    def test_another_answer_than_a_refusal_is_an_error(self):
        self.plant(CLIENT + "answer('response', b'{\"status\": \"started\"}')", "promote-database")
        done = self.run_with()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("promote-database: it answered with the response", done.stderr)

    def test_an_interrupt_leaves_nothing_running(self):
        for ending, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            planted = self.plant(NEVER_POLLS, "promote-database")
            written = pathlib.Path(f"{planted}.pid")
            written.unlink(missing_ok=True)
            running = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until = time.monotonic() + 8
                while not (written.exists() and written.read_text()) and time.monotonic() < until:
                    time.sleep(0.02)
                running.send_signal(ending)
                self.assertEqual(running.wait(timeout=10), status)
            finally:
                running.kill()
                running.wait()
            self.assertTrue(self.has_ended("promote-database"))


if __name__ == "__main__":
    unittest.main()
