"""Runs recoveries with the built functions on an emulator, and compares them with rehearsals. Usage: run.py [SCENARIO…]."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

INSIDE = "RADIANT_E2E_INSIDE"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def enter_namespace():
    """Goes on in namespaces of its own: no network but loopback, so that nothing can leave; names of its own; and no process
    that outlives this one."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(command + [sys.executable, __file__, *sys.argv[1:]], env={**os.environ, INSIDE: "1"})
    sys.exit(done.returncode)


def main():
    if not os.environ.get(INSIDE):
        enter_namespace()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    import account
    import scenarios

    work = pathlib.Path(os.environ.get("RADIANT_E2E_LOGS") or tempfile.mkdtemp(prefix="radiant-e2e-"))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    hosts = work / "hosts"
    name = account.yaml.safe_load((ROOT / "radiant.plan.yaml").read_text())["dns"]["name"]
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.2 {name}\n")
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    print(f"logs: {work}", flush=True)
    sys.exit(scenarios.play(work, pathlib.Path(os.environ.get("RADIANT_E2E_PROGRAMS") or ROOT / "target/debug"), sys.argv[1:]))


if __name__ == "__main__":
    main()
