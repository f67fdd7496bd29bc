"""Starts one program behind a Lambda Runtime API of its own on loopback, and measures that start."""

import contextlib
import os
import select
import signal
import socket
import tempfile
import time
from dataclasses import dataclass

LIMIT_SECONDS = 10.0
API = "/2018-06-01/runtime/"
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
FUNCTION_ARN = "arn:aws:lambda:us-west-2:123456789012:function:benchmark"
LAST_OUTPUT_BYTES = 2000


class StartFailed(Exception):
    """The start cannot be measured; the text says why."""


@dataclass
class Start:
    """One start, in ns since just before the process was made; `peak_bytes` is the largest resident set until the answer."""

    poll_ns: int
    answer_ns: int
    peak_bytes: int
    kind: str  # `response` or `error`, as it was posted
    body: bytes


def measure(command, environment, event, limit=LIMIT_SECONDS):
    """Starts `command`, hands it `event`, waits for the answer and ends it. `environment` is all that the program gets, beside the
    address of the Runtime API. Raises StartFailed, also after `limit` seconds."""
    # Connections are open until the process has ended: a poll that Lambda leaves open is never closed under a program either.
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryFile() as output,
        contextlib.ExitStack() as open_files,
    ):
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        variables = {**environment, "AWS_LAMBDA_RUNTIME_API": address}
        # A signal between the spawn and the `try` would leave the process running.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            began = time.monotonic_ns()
            process = _spawn(command, variables, output)
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise StartFailed(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return _serve(listener, open_files, process, event, began, limit)
        except StartFailed as error:
            raise StartFailed(f"{error}{_last_output(output)}") from None
        finally:
            _end(process)


def _spawn(command, variables, output):
    # Popen does more between its call and the fork, and that would be measured too.
    return os.posix_spawn(
        command[0],
        command,
        variables,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ],
        setpgroup=0,  # A Ctrl-C in the terminal is for the benchmark, which ends the program.
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGPIPE),
    )


def _end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)


def _last_output(output):
    output.seek(max(0, output.seek(0, os.SEEK_END) - LAST_OUTPUT_BYTES))
    text = output.read().decode(errors="replace").strip()
    return f"; it wrote:\n{text}" if text else "; it wrote nothing"


def _serve(listener, open_files, process, event, began, limit):
    exited = os.pidfd_open(process)
    open_files.callback(os.close, exited)
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(exited, select.POLLIN)
    connections = {}
    polled = None
    while True:
        left = began + limit * 1e9 - time.monotonic_ns()
        ready = [fd for fd, _ in waiting.poll(left / 1e6)] if left > 0 else []
        now = time.monotonic_ns()
        if not ready:
            raise StartFailed(f"{'no answer' if polled else 'no poll'} within {limit:g} s of its start")
        # What it sent before it ended is read first.
        if ready == [exited]:
            raise StartFailed(f"ended {_exit_status(process)} before its {'answer' if polled else 'first poll'}")
        for fd in ready:
            if fd == exited:
                continue
            if fd == listener.fileno():
                connection = open_files.enter_context(listener.accept()[0])
                # Without it, an answer may wait 40 ms for an acknowledgement.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = (connection, bytearray())
                waiting.register(connection, select.POLLIN)
                continue
            connection, received = connections[fd]
            part = _receive(connection)
            if not part:
                waiting.unregister(fd)
                continue
            received += part
            while request := _take_request(received):
                method, path, body = request
                words = path.removeprefix(API).split("/")
                if (method, path) == ("GET", f"{API}invocation/next"):
                    if polled is None:
                        polled = now
                        _send(connection, _invocation(event, limit))
                    # Lambda leaves later polls open until there is another event; here is none.
                elif (method, path) == ("POST", f"{API}init/error"):
                    raise StartFailed(f"its init failed: {body.decode(errors='replace')}")
                elif method == "POST" and words[:2] == ["invocation", REQUEST_ID] and words[2:] in (["response"], ["error"]):
                    if polled is None:
                        raise StartFailed("it answered before it polled")
                    # Now, since it waits for what is sent next.
                    peak = _peak_bytes(process)
                    _send(connection, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                    return Start(polled - began, now - began, peak, words[2], body)
                else:
                    raise StartFailed(f"it asked for {method} {path}, which this Runtime API does not have")


def _receive(connection):
    """Nothing from a connection that the program closed, however it did."""
    try:
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


def _send(connection, data):
    """A program that has gone does not take it; its end is reported."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)


def _invocation(event, limit):
    deadline_ms = time.time_ns() // 1_000_000 + int(limit * 1000)
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(event)}\r\n"
        f"Lambda-Runtime-Aws-Request-Id: {REQUEST_ID}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
        f"Lambda-Runtime-Invoked-Function-Arn: {FUNCTION_ARN}\r\n"
        "\r\n"
    )
    return head.encode() + event


def _take_request(received):
    """Takes one whole request, as method, path and body, from the front of what was received; None if it is not whole yet."""
    head, end, rest = bytes(received).partition(b"\r\n\r\n")
    if not end:
        return None
    try:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            taken = _take_chunks(rest)
        else:
            length = int(headers.get("content-length", 0))
            taken = (rest[:length], length) if len(rest) >= length else None
    except ValueError as error:
        raise StartFailed(f"it sent a request that is not HTTP: {error}") from error
    if taken is None:
        return None
    body, length = taken
    del received[: len(head) + len(end) + length]
    return method, path, body


def _take_chunks(data):
    """The body, and how many bytes it takes as chunks; None if the last chunk is missing."""
    body, at = b"", 0
    while True:
        line, end, _ = data[at:].partition(b"\r\n")
        if not end:
            return None
        length = int(line.partition(b";")[0], 16)
        at += len(line) + 2
        if len(data) < at + length + 2:
            return None
        body += data[at : at + length]
        at += length + 2
        if length == 0:
            return body, at


def _peak_bytes(process):
    with open(f"/proc/{process}/status") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.removesuffix("kB\n")) * 1024
    raise StartFailed(f"ended {_exit_status(process)} before its memory could be read")


def _exit_status(process):
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    if ended.si_code == os.CLD_EXITED:
        return f"with status {ended.si_status}"
    return f"by {signal.Signals(ended.si_status).name}"
