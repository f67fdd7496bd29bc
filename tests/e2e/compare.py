"""Holds what the built functions did on the emulator against the rehearsal of the same world."""

import collections
import json
import re

from account import ROOT, run

def rehearsed(world, scenario):
    """The rehearsal of the scenario's disaster and faults, with the same plan and seed."""
    account = world.account
    stop_at = getattr(scenario, "STOP_AT", None)
    options = ["--stop-at", stop_at] if stop_at else []
    command = [account.programs / "rehearsed", account.plan_file, scenario.DISASTER, str(account.seed)]
    found = json.loads(run([*command, *options, *scenario.FAULTS]))
    (world.work / "rehearsed.json").write_text(json.dumps(found, indent=1))
    return found


def paths(visits):
    """The states that were visited, by machine and branch: loops are taken out, so that what was waited for does not count."""
    found = collections.defaultdict(list)
    for machine, branch, state in visits:
        path = found[machine, branch]
        if state in path:
            del path[path.index(state) + 1 :]
        else:
            path.append(state)
    return dict(found)


def emulated_visits(world, executions):
    """Machine, branch and state of each visit of these executions, in order."""
    names = {execution.split(":")[-1] for execution in executions}
    for line in world.journal():
        if line["happened"] == "visit":
            machine, name = line["execution"].split(":")[-2:]
            if name in names:
                yield machine.removeprefix("radiant-"), line["branch"], line["state"]


def rehearsed_visits(found, region, execution):
    """The same of a rehearsal: in a Region, if one is named. Where an execution is named that a person starts, so often as it
    takes: of the last of these, and what it starts, alone."""
    visits = [visit for visit in found["visits"] if region in (None, visit["region"])]
    if execution:
        last = [visit["execution"] for visit in visits if f"-{execution}-" in visit["execution"]][-1]
        first_visit = next(index for index, visit in enumerate(visits) if visit["execution"] == last)
        visits = visits[first_visit:]
    machines = {}
    for visit in visits:
        machine = visit["machine"].removeprefix("radiant-")
        if machine not in machines:
            machines[machine] = json.loads((ROOT / f"statemachines/{machine}.asl.json").read_text())
        yield machine, *place(machines[machine], visit["path"])


def place(definition, path):
    """Branch and state of `Recover.branch[1].Promote`, where a branch goes by the state that it begins with."""
    states, branch = definition["States"], ""
    parts = path.split(".")
    for name, inner in zip(parts[::2], parts[1::2]):
        number = int(re.search(r"\[(\d+)\]", inner)[1])
        of = states[name]["Branches"][number]
        branch += f"{name}/{of['StartAt']}/"
        states = of["States"]
    return branch, parts[-1]


def permissions(world):
    """What was asked for by functions: function, Region of its own, action and resource; and whether that was allowed."""
    lines = world.journal()
    callers = {line["key"]: (line["caller"], line["home"]) for line in lines if line["happened"] == "worker"}
    for line in lines:
        if line["happened"] == "permission" and line["key"] in callers:
            caller, home = callers[line["key"]]
            yield caller, home, line["action"], line["resource"], line["allowed"]


def changing(calls, homes, lost):
    """What functions of these Regions change, but for what they ask of a lost Region, where nobody hears it."""
    return {
        (call["function"], call["action"], call["resource"])
        for call in calls
        if call["changes"] and call["home"] in homes and call["region"] not in lost
    }


def keys(value, path=""):
    """Every path to a value in JSON; elements of lists count as one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from keys(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, f"{path}[]")
    else:
        yield path


def difference(what, there, here, known=()):
    """Sentences that say how two sets differ, but for what is `known`: patterns."""
    is_known = lambda one: any(re.search(pattern, str(one)) for pattern in known)  # noqa: E731
    there, here = set(there), set(here)
    for one in sorted(map(str, there - here)):
        if not is_known(one):
            yield f"{what}: on the emulator alone: {one}"
    for one in sorted(map(str, here - there)):
        if not is_known(one):
            yield f"{what}: in the rehearsal alone: {one}"
