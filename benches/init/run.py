"""Measures how fast the functions start on this machine, beside the same step in Python with boto3, and Python alone.

Each program is started behind a Runtime API on loopback. What is measured is its runtime init on this machine, which is not a cold
start on AWS: there, Lambda also makes the environment and fetches the code. The event is one that no step takes, so the first
answer is a refusal, without a call of AWS. Before the rounds each program is started once, uncounted: files are then in memory.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

import server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = HERE / ".venv/bin/python"
ROUNDS = 15
# A text is no step's input; `{}` is one of `watch-switch`, which would call AWS.
EVENT = b'"not an input"'

# What Lambda sets, and the template. Credentials and files are such that nothing of the person who measures is read.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "fake",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_STREAM_NAME": "benchmark",
    "AWS_REGION": "us-west-2",
    "AWS_SECRET_ACCESS_KEY": "fake",
    "AWS_SESSION_TOKEN": "fake",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "LANG": "en_US.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "RECORD_TABLE": "records",
    "TZ": ":UTC",
}


class Unusable(Exception):
    """The benchmark cannot run as asked; the text says what to do."""


@dataclasses.dataclass
class Program:
    name: str
    label: str
    command: list
    environment: dict
    refuses: bool


def program(name, label, command, refuses=True, **more):
    named = {"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}"}
    return Program(name, label, [str(word) for word in command], {**ENVIRONMENT, **named, **more}, refuses)


def in_rust(folder):
    """The functions that are built in `folder`, as NAME/bootstrap or NAME, and the names of those that are missing."""
    built, missing = [], []
    for name in sorted(manifest.parent.name for manifest in ROOT.glob("functions/*/Cargo.toml")):
        found = [path for path in (folder / name / "bootstrap", folder / name) if path.is_file()]
        if found:
            built.append(program(name, f"`{name}`", [found[0].resolve()]))
        else:
            missing.append(name)
    return built, missing


def in_python():
    def under_awslambdaric(module, label, refuses):
        return program(
            f"{module}.py",
            label,
            [PYTHON, "-m", "awslambdaric", f"{module}.handler"],
            refuses,
            AWS_EXECUTION_ENV="AWS_Lambda_python3.11",
            PYTHONPATH=str(HERE),
            _HANDLER=f"{module}.handler",
        )

    return [
        under_awslambdaric("promote_database", "`promote_database.py`: Python, boto3, `awslambdaric`", True),
        under_awslambdaric("bare", "`bare.py`: Python, `awslambdaric`", False),
    ]


def chosen(folder, only):
    """What to measure. Names on stderr which functions are missing."""
    built, missing = in_rust(folder)
    compared = in_python()
    known = {found.name for found in built + compared} | set(missing)
    if unknown := [name for name in only if name not in known]:
        raise Unusable(f"there is no {unknown[0]}; there are {', '.join(sorted(known))}")
    wanted = only or known
    missing = [name for name in missing if name in wanted]
    if missing:
        print(f"not built in {folder}, and left out: {', '.join(missing)}", file=sys.stderr)
    if missing and not built:
        raise Unusable(f"no function is built in {folder}; build them with: make release ARCHITECTURE={architecture()}")
    programs = [found for found in built + compared if found.name in wanted]
    if not programs:
        raise Unusable("nothing is left to measure")
    return programs


def architecture():
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def start(program):
    """One start. Raises server.StartFailed, also for another answer than is expected."""
    try:
        start = server.measure(program.command, program.environment, EVENT)
        expected = ("error", "InvalidInput") if program.refuses else ("response", None)
        if (start.kind, error_type(start)) != expected:
            answer = start.body.decode(errors="replace")
            raise server.StartFailed(f"it answered with the {start.kind} {answer}, and not with {' '.join(filter(None, expected))}")
    except server.StartFailed as error:
        raise server.StartFailed(f"{program.name}: {error}") from None
    return start


def error_type(start):
    if start.kind != "error":
        return None
    try:
        return json.loads(start.body)["errorType"]
    except (ValueError, KeyError, TypeError):
        return "unknown"


def measured(programs, rounds):
    """The starts of each program, by its name. A round starts each of them once."""
    for program in programs:
        start(program)
    starts = {program.name: [] for program in programs}
    for _ in range(rounds):
        for program in programs:
            starts[program.name].append(start(program))
    return starts


def said_by(command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def versions(programs):
    found = {"rustc": said_by(["rustc", "--version"]) or "rustc not found"}
    if any(program.command[0] == str(PYTHON) for program in programs):
        script = (
            "import importlib.metadata as m, json, platform, sys\n"
            "print(json.dumps({'python': f'Python {platform.python_version()} ({sys._base_executable})',"
            " **{name: name + ' ' + m.version(name) for name in ('boto3', 'awslambdaric')}}))"
        )
        python = said_by([str(PYTHON), "-c", script])
        if python is None:
            raise Unusable(f"{PYTHON} does not have boto3 and awslambdaric; install them with: make bench-init")
        found.update(json.loads(python))
        if not found["python"].startswith("Python 3.11."):
            raise Unusable(f"{PYTHON} is {found['python']}, and 3.11 is what is compared; remove the folder, then: make bench-init")
    return found


def machine():
    with open("/proc/cpuinfo") as cpus:
        models = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return {
        "cpu": f"{models[0]}, {platform.machine()}" if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def in_range(values, unit):
    values = [value / unit for value in values]
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def table(programs, starts):
    lines = [
        "| program | start to first poll, ms | start to first answer, ms | peak memory, MB |",
        "|---|---|---|---|",
    ]
    for program in programs:
        of = starts[program.name]
        columns = [
            program.label,
            in_range([start.poll_ns for start in of], 1e6),
            in_range([start.answer_ns for start in of], 1e6),
            in_range([start.peak_bytes for start in of], 1e6),
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def run(arguments):
    programs = chosen(arguments.programs, arguments.only)
    of_versions = versions(programs)
    of_machine = machine()
    date = time.strftime("%-d %B %Y")
    print(f"{arguments.rounds} rounds of {len(programs)} programs", file=sys.stderr)
    starts = measured(programs, arguments.rounds)
    print(
        f"Machine: {of_machine['cpu']}, {of_machine['cores']} cores, Linux {of_machine['kernel']}, "
        f"load {of_machine['load']} before. {date}. {', '.join(of_versions.values())}.\n"
        f"{arguments.rounds} rounds in turn, medians with (least–most); MB of 1,000,000 bytes.\n\n{table(programs, starts)}"
    )
    if arguments.json:
        found = {
            "machine": of_machine,
            "date": date,
            "versions": of_versions,
            "rounds": arguments.rounds,
            "programs": {
                name: {field: [getattr(start, field) for start in of] for field in ("poll_ns", "answer_ns", "peak_bytes")}
                for name, of in starts.items()
            },
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help=f"how often each program is started; {ROUNDS} if left out")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="measure this program; may be repeated")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write each start to FILE too")
    parser.add_argument(
        "--programs",
        type=pathlib.Path,
        metavar="FOLDER",
        default=ROOT / "target/lambda",
        help="the folder of the built functions; target/lambda if left out",
    )
    arguments = parser.parse_args()
    # As Ctrl-C does, these end the program that is being measured.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        run(arguments)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (server.StartFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
