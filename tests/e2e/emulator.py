"""The emulator's process: ministack with its seams, and the simulator's services for what it lacks.

Usage: emulator.py SETTINGS, a JSON file written by account.py. What happened is appended to the journal that it names, a line of
JSON each: calls of functions, states that were visited, messages.
"""

import asyncio
import json
import os
import re
import sys
import threading
import time

SETTINGS = json.load(open(sys.argv[1]))
sys.argv = sys.argv[:1]

import seams  # noqa: E402
from services import Services  # noqa: E402

_journal = open(SETTINGS["journal"], "a", buffering=1)
_journal_lock = threading.Lock()


def journal(happened, /, **fields):
    with _journal_lock:
        _journal.write(json.dumps({"at": time.time(), "happened": happened, **fields}) + "\n")


seams.install(journal, SETTINGS["scale"])

from ministack import app as ministack  # noqa: E402
from ministack.core import responses  # noqa: E402
from ministack.services import lambda_svc  # noqa: E402

# Begun once the plan names what the platform is made of there.
services = None

# Access key of each function's environment: name and Region.
callers = {}


def worker_environment(original):
    def run(config, code_dir, port):
        environment = original(config, code_dir, port)
        key, region = environment["AWS_ACCESS_KEY_ID"], environment["AWS_REGION"]
        callers[key] = (config["FunctionName"].removeprefix(SETTINGS["prefix"]), region)
        environment["SSL_CERT_FILE"] = SETTINGS["authority"]
        return environment

    return run


seams.wrap("services.lambda_svc", "_provided_worker_env", worker_environment)

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


def signed_by(headers):
    """Key, Region and service that a request is signed with; None without a signature."""
    found = CREDENTIAL.search(headers.get("authorization", ""))
    return found.groups() if found else None


def simulated(service):
    """A handler that has the simulator answer, once the emulator has found the call allowed."""

    async def handle(method, path, headers, body, query_params):
        key, region, _ = signed_by(headers)
        caller, home = callers.get(key, ("", region))
        kept = {name: headers[name] for name in ("content-type", "x-amz-target", "accept") if name in headers}
        answer = await asyncio.to_thread(
            services.ask,
            "call",
            **{"from": home},
            caller=caller,
            method=method,
            url=f"https://{service}.{region}.amazonaws.com{path}",
            headers=kept,
            body=body.decode(),
        )
        headers = {name: value for name, value in answer["headers"].items() if name.lower() != "content-length"}
        return answer["status"], headers, answer["body"].encode()

    return handle


for service in ("rds", "health"):
    ministack.SERVICE_HANDLERS[service] = simulated(service)


class DataApi:
    handle_request = staticmethod(simulated("rds-data"))


def data_api(original):
    return lambda name: DataApi if name == "rds_data" else original(name)


seams.wrap("app", "_get_module", data_api)

away = set()

# Where the platform's own state is in the emulator and in the simulator, and customers are served by the latter's.
MIRRORED = {"lambda", "apigateway", "s3", "route53"}


def is_of_the_platform(service, method, path):
    return service in MIRRORED and method != "GET" and not path.endswith("/invocations")


async def mirror(caller, signed, scope, headers, body, status):
    """Has the simulator do what the emulator did. The two must be of one mind."""
    _, region, service = signed
    host, path = f"{service}.{region}.amazonaws.com", scope["raw_path"].decode()
    if service == "s3":
        bucket, _, key = path.removeprefix("/").partition("/")
        host, path = f"{bucket}.{host}", f"/{key}"
    if service == "route53":
        host = "route53.amazonaws.com"
    query = scope["query_string"].decode()
    answer = await asyncio.to_thread(
        services.ask,
        "call",
        timeout=30,
        **{"from": caller[1]},
        caller=caller[0],
        method=scope["method"],
        url=f"https://{host}{path}" + (f"?{query}" if query else ""),
        headers={name: value for name, value in headers.items() if name.startswith(("content-type", "x-amz-", "if-"))},
        body=body.decode("utf-8", "replace"),
    )
    mirrored = answer and answer["status"]
    journal("mirror", caller=caller[0], service=service, path=path, status=status, mirrored=mirrored, why=None if mirrored == status else answer)


async def gateway(scope, receive, send):
    """The emulator, of which a Region can be away, with a journal of what functions call."""
    if scope["type"] != "http":
        return await ministack.app(scope, receive, send)
    if scope["path"].startswith("/_e2e/"):
        return await control(scope, receive, send)
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    signed = signed_by(headers)
    caller = callers.get(signed[0]) if signed else None
    if signed and caller and away & {signed[1], caller[1]}:
        journal("call", caller=caller[0], home=caller[1], region=signed[1], service=signed[2], status=None)
        await asyncio.sleep(3600)
        return
    status = None

    async def seen(message):
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    body = bytearray()

    async def heard():
        message = await receive()
        body.extend(message.get("body", b"") if len(body) < 65536 else b"")
        return message

    await ministack.app(scope, heard, seen)
    if caller and is_of_the_platform(signed[2], scope["method"], scope["path"]) and status < 300:
        await mirror(caller, signed, scope, headers, bytes(body), status)
    if caller:
        journal(
            "call",
            caller=caller[0],
            home=caller[1],
            region=signed[1],
            service=signed[2],
            method=scope["method"],
            path=scope["path"],
            target=headers.get("x-amz-target"),
            body=bytes(body[:4096]).decode("utf-8", "replace"),
            status=status,
        )


async def control(scope, receive, send):
    """What a test orders: POST /_e2e/ORDER with its fields as JSON."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    order, fields = scope["path"].removeprefix("/_e2e/"), json.loads(body or b"{}")
    global services
    if order == "begin":
        log = open(SETTINGS["services_log"], "w")
        services = Services(SETTINGS["simulated_services"], SETTINGS["plan"], SETTINGS["scale"], SETTINGS["seed"], log)
        serve_public_name()
        answer = {}
    elif order == "take-away":
        if fields["what"] == "whole":
            away.add(fields["region"])
        answer = services.ask(order, **fields)
    elif order == "give-back":
        away.discard(fields["region"])
        answer = services.ask(order, **fields)
    elif order == "event":
        from ministack.services import eventbridge

        responses.set_request_account_id(SETTINGS["account"])
        responses.set_request_region(fields["region"])
        answer = json.loads(eventbridge._put_events({"Entries": [fields["entry"]]}, allow_aws_source=True)[2])
    else:
        answer = await asyncio.to_thread(services.ask, order, **fields)
    text = json.dumps(answer).encode()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]}
    await send(start)
    await send({"type": "http.response.body", "body": text})


def serve_public_name():
    """The public name, on the loopback address that /etc/hosts of this namespace gives it."""
    import http.server
    import ssl

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            answer = services.ask(
                "get", timeout=30, **{"from": SETTINGS["standby"]}, host=SETTINGS["name"], path=self.path
            )
            if not answer or not answer["status"]:
                self.close_connection = True
                return
            body = answer["body"].encode()
            self.send_response(answer["status"])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.2", 443), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{SETTINGS['port']}"]
    config.keep_alive_timeout = 75
    asyncio.run(serve(gateway, config))


if __name__ == "__main__":
    main()
