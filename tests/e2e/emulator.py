"""The emulator's process: ministack with its seams, and the simulator's services for what it lacks.

Usage: emulator.py SETTINGS, a JSON file written by account.py. What happened is appended to the journal that it names, a line of
JSON each: calls of functions, states that were visited, messages.
"""

import asyncio
import json
import os
import pathlib
import re
import signal
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


seams.install(journal, SETTINGS["scale"], SETTINGS["clusters"])

from ministack import app as ministack  # noqa: E402
from ministack.core import responses  # noqa: E402

# Begun once the plan names what the platform is made of there.
services = None

# Access key of each function's environment: name and Region.
callers = {}


def worker_environment(original):
    def run(config, code_dir, port):
        environment = original(config, code_dir, port)
        key, region = environment["AWS_ACCESS_KEY_ID"], environment["AWS_REGION"]
        callers[key] = (config["FunctionName"].removeprefix(SETTINGS["prefix"]), region)
        journal("worker", key=key, caller=callers[key][0], home=region)
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
            services.call,
            **{"from": home},
            caller=caller,
            method=method,
            url=f"https://{service}.{region}.amazonaws.com{path}",
            headers=kept,
            body=body,
        )
        headers = {name: value for name, value in answer["headers"].items() if name.lower() != "content-length"}
        return answer["status"], headers, answer["body"]

    return handle


for service in ("rds", "health", "secretsmanager"):
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
    return service in MIRRORED and method not in ("GET", "HEAD") and not path.endswith("/invocations")


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
    if service == "lambda" and b'"RevisionId"' in body:
        # Each has ids of revisions of its own, and the emulator has compared its own by now.
        body = json.dumps({name: value for name, value in json.loads(body).items() if name != "RevisionId"}).encode()
    answer = await asyncio.to_thread(
        services.call,
        timeout=30,
        **{"from": caller[1]},
        caller=caller[0],
        method=scope["method"],
        url=f"https://{host}{path}" + (f"?{query}" if query else ""),
        headers={name: value for name, value in headers.items() if name.startswith(("content-type", "x-amz-", "if-"))},
        body=body,
    )
    mirrored = answer and answer["status"]
    journal(
        "mirror",
        caller=caller[0],
        service=service,
        path=path,
        status=status,
        mirrored=mirrored,
        why=None if mirrored == status else str(answer),
    )


# Which call of a function its process is not to outlive.
_to_be_killed = {}


def kill_in_mid_call(key, function):
    """Counts a call of a function that is to be killed; at the wanted one, kills its process and says so."""
    if function not in _to_be_killed:
        return False
    _to_be_killed[function] -= 1
    if _to_be_killed[function] > 0:
        return False
    del _to_be_killed[function]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"AWS_ACCESS_KEY_ID={key}".encode() in environment:
            os.kill(int(process.name), signal.SIGKILL)
            journal("killed", function=function, process=int(process.name))
    return True


# Planted: calls that are answered and do nothing; see planted.py.
_swallowed = []


def is_swallowed(function, scope, body):
    """Whether a call is one that is answered as if it were done."""
    return any(
        each["function"] == function
        and each["method"] == scope["method"]
        and each["path"] in scope["path"]
        and each.get("body", "").encode() in body
        for each in _swallowed
    )


def without_error_name(original):
    """Planted: a function's error has no name of its own."""
    from ministack.services import stepfunctions

    def run(function, event):
        try:
            return original(function, event)
        except stepfunctions._ExecutionError as error:
            raise stepfunctions._ExecutionError("Error", error.cause) from error

    return run


async def gateway(scope, receive, send):
    """The emulator, of which a Region can be away, with a journal of what functions call."""
    if scope["type"] != "http":
        return await ministack.app(scope, receive, send)
    if scope["path"].startswith("/_e2e/"):
        return await control(scope, receive, send)
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    signed = signed_by(headers)
    caller = callers.get(signed[0]) if signed else None
    if signed and signed[2] == "route53":
        # Its control plane is there, whoever asks: with an endpoint of one's own, the SDK signs for the caller's Region.
        signed = (signed[0], "us-east-1", signed[2])
    if signed and caller and away & {signed[1], caller[1]}:
        journal("call", caller=caller[0], home=caller[1], region=signed[1], service=signed[2], status=None)
        await asyncio.sleep(3600)
        return
    if caller and kill_in_mid_call(signed[0], caller[0]):
        await asyncio.sleep(3600)
        return
    body = await whole(receive)
    if caller and is_swallowed(caller[0], scope, body):
        return await reply(send, 200, {})
    status, is_heard = None, False

    async def seen(message):
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    async def heard():
        nonlocal is_heard
        if is_heard:
            return await receive()
        is_heard = True
        return {"type": "http.request", "body": body, "more_body": False}

    await ministack.app(scope, heard, seen)
    if caller and is_of_the_platform(signed[2], scope["method"], scope["path"]) and status < 300:
        await mirror(caller, signed, scope, headers, body, status)
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
            body=body[:4096].decode("utf-8", "replace"),
            status=status,
        )


async def control(scope, receive, send):
    """What a test orders: POST /_e2e/ORDER with its fields as JSON."""
    order, fields = scope["path"].removeprefix("/_e2e/"), json.loads(await whole(receive) or b"{}")
    global services
    if order == "begin":
        log = open(SETTINGS["services_log"], "w")
        world = [SETTINGS[name] for name in ("simulated_services", "plan", "disaster", "scale", "seed")]
        services = Services(*world, log)
        serve_public_name()
        answer = {}
    elif order == "take-away":
        if fields["what"] == "whole":
            away.add(fields["region"])
        # Of the observer's Region the simulator knows nothing.
        answer = services.ask(order, **fields) if fields["region"] in SETTINGS["regions"] else {}
    elif order == "kill":
        _to_be_killed[fields["function"]] = fields["call"]
        answer = {}
    elif order == "die-at":
        seams.dying.add(fields["state"])
        answer = {}
    elif order == "swallow":
        _swallowed.append(fields)
        answer = {}
    elif order == "lose-error-names":
        seams.wrap("services.stepfunctions", "_call_lambda", without_error_name)
        answer = {}
    elif order == "event-sources":
        region, function = fields["region"], fields["function"]
        url = f"https://lambda.{region}.amazonaws.com/2015-03-31/event-source-mappings/?FunctionName={function}"
        call = {"from": region, "caller": "", "method": "GET", "url": url, "headers": {}, "body": b""}
        listed = await asyncio.to_thread(services.call, **call)
        answer = json.loads(listed["body"])["EventSourceMappings"]
    elif order == "event-source":
        answer = event_source(**fields)
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
    await reply(send, 200, answer)


def event_source(region, mapping):
    """Makes an event source with an id of its own, as the simulator has it."""
    from ministack.services import lambda_svc

    responses.set_request_account_id(SETTINGS["account"])
    responses.set_request_region(region)
    wanted = {"EventSourceArn": mapping["EventSourceArn"], "FunctionName": mapping["FunctionArn"].rsplit(":")[-1]}
    status, _, body = lambda_svc._create_esm(wanted | {"Enabled": mapping["State"] == "Enabled"})
    if status >= 300:
        raise RuntimeError(f"event source {mapping['UUID']}: {body}")
    made = lambda_svc._esms.pop(json.loads(body)["UUID"])
    lambda_svc._esms[mapping["UUID"]] = made | {"UUID": mapping["UUID"]}
    return {}


async def whole(receive):
    """The body of a request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def reply(send, status, answer):
    text = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def serve_public_name():
    """The public name, what the probes ask outside, and the URLs of functions, on the loopback address that /etc/hosts of this
    namespace gives them."""
    import http.client
    import http.server
    import ssl

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.headers["host"] != SETTINGS["name"]:
                answer = {"status": 200, "body": "{}"}
            else:
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

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            forwarded = http.client.HTTPConnection("127.0.0.1", SETTINGS["port"], timeout=60)
            forwarded.request("POST", self.path, body, dict(self.headers) | {"x-forwarded-proto": "https"})
            answer = forwarded.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            self.send_header("content-type", answer.getheader("content-type", "application/json"))
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
