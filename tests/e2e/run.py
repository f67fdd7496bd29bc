"""Plays recoveries with the built functions on an emulator of AWS, and compares each with its rehearsal.

Usage: run.py [--list] [--by-hand | --planted] [--jobs N] [--programs FOLDER] [--logs FOLDER] [SCENARIO…]; without a name, all.

Each scenario runs in namespaces of its own: no network but loopback, so that nothing can leave, names of its own, and no process
that outlives it. That takes no root, but a kernel that lets users make namespaces.
"""

import argparse
import fcntl
import importlib
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile

import planted

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = pathlib.Path(__file__).parent / "scenarios"
NAMESPACES = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
# From linux/sockios.h and linux/if.h.
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# A scenario that takes longer hangs; in seconds.
LIMIT = 1200


def main():
    names = (
        list(planted.PLANTS)
        if "--planted" in sys.argv
        else sorted(file.stem.replace("_", "-") for file in SCENARIOS.glob("[a-z]*.py"))
    )
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="say what there is, and play nothing")
    parser.add_argument(
        "--by-hand",
        action="store_true",
        help="show what people are told, and answer at the keyboard; nothing is compared",
    )
    parser.add_argument(
        "--planted",
        action="store_true",
        help="play with planted defects, each of which must be found; names are theirs",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=3,
        metavar="N",
        help="how many scenarios at once (default 3: they wait most of the time)",
    )
    parser.add_argument(
        "--programs",
        type=pathlib.Path,
        default=ROOT / "target/e2e/programs",
        metavar="FOLDER",
        help="the built programs",
    )
    parser.add_argument(
        "--logs", type=pathlib.Path, default=ROOT / "target/e2e/logs", metavar="FOLDER", help="where everything is kept"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="one or more of those that --list shows")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(names))
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(names)}")
    if given.list:
        for name in names:
            print(f"{name:20} {planted.PLANTS[name].what if given.planted else scenario_of(name).WHAT}")
        return 0
    if given.inside:
        return inside(given)
    if given.by_hand and not sys.stdin.isatty():
        parser.error("--by-hand asks at a terminal, and standard input is none")
    return outside(given, given.names or names)


def outside(given, names):
    """Plays scenarios side by side, each in a process of its own. Gives the exit status."""
    probe = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        print(
            f"error: this machine does not let you make namespaces, which keep the emulator from the network: {probe.stderr.strip()}\n"
            "Run it as root, or allow it: sysctl kernel.unprivileged_userns_clone=1",
            file=sys.stderr,
        )
        return 1
    if not (given.programs / "drctl").exists():
        print(f"error: there are no programs in {given.programs}; make e2e builds them", file=sys.stderr)
        return 1
    for program in given.programs.iterdir():
        if program.suffix != ".zip":
            zipped(program)
    shutil.rmtree(given.logs, ignore_errors=True)
    began, waiting, running, ended = time.monotonic(), list(names), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < given.jobs:
                name = waiting.pop(0)
                logs = given.logs / name
                logs.mkdir(parents=True)
                command = [
                    *NAMESPACES,
                    sys.executable,
                    __file__,
                    "--inside",
                    "--programs",
                    given.programs,
                    "--logs",
                    logs,
                    name,
                ]
                command += ["--by-hand"] if given.by_hand else []
                command += ["--planted"] if given.planted else []
                running[name] = subprocess.Popen([str(part) for part in command]), time.monotonic()
            time.sleep(0.2)
            for name, (process, since) in list(running.items()):
                if process.poll() is None and time.monotonic() - since > LIMIT:
                    print(f"{name}: hangs; it is ended after {LIMIT} s", flush=True)
                    process.kill()
                    process.wait()
                if process.poll() is not None:
                    ended[name] = process.returncode, time.monotonic() - since
                    del running[name]
    finally:
        for process, _ in running.values():
            process.kill()
    for name, (status, seconds) in ended.items():
        print(f"{'passed' if status == 0 else 'FAILED'}  {name:20} {seconds:6.1f} s  {given.logs / name}")
    failed = [name for name, (status, _) in ended.items() if status != 0]
    print(f"{len(ended) - len(failed)} of {len(ended)} passed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def inside(given):
    """Plays one scenario, in namespaces that are its own. Gives the exit status."""
    import checks
    from world import World

    (name,) = given.names
    # What is mounted here is seen here alone.
    (given.logs / "hosts").write_text("127.0.0.1 localhost\n")
    subprocess.run(["mount", "--bind", given.logs / "hosts", "/etc/hosts"], check=True)
    bring_loopback_up()
    scenario = planted.PLANTS[name].scenario if given.planted else name
    world = World(scenario_of(scenario), given.logs, given.programs, given.by_hand)
    defect = planted.plant(world, name) if given.planted else None
    try:
        world.begin()
        if defect and defect.order:
            world.account.order(defect.order[0], **defect.order[1])
        told = world.scenario.play(world)
        found = [] if given.by_hand else list(checks.all_of(world, told))
    finally:
        world.end()
    if given.by_hand:
        for report in sorted(given.logs.glob("report-*.html")):
            print(f"Its report: {report}")
    for one in found:
        world.say(one)
    (given.logs / "differences.txt").write_text("".join(f"{one}\n" for one in found))
    if defect:
        is_found = planted.is_found(defect, found)
        world.say(f"the planted defect {name} was {'found' if is_found else 'NOT FOUND'}")
        return 0 if is_found else 1
    return 1 if found else 0


def zipped(program):
    """Packs a program as Lambda wants it, once for all scenarios."""
    made = program.with_suffix(".zip")
    if not made.exists() or made.stat().st_mtime < program.stat().st_mtime:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(program, "bootstrap")


def bring_loopback_up():
    """A namespace's loopback is down at first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def scenario_of(name):
    return importlib.import_module(f"scenarios.{name.replace('-', '_')}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
