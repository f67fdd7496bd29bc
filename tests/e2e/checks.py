"""What must hold after a scenario was played. Each check gives sentences that say what does not."""

import json
import re

from compare import changing, difference, emulated_visits, keys, paths, permissions, rehearsed, rehearsed_visits

# What the emulator writes into a function's log by itself.
OF_THE_EMULATOR = re.compile(r"^(START|END|REPORT) RequestId: ")
# Actions that read. What else a function is allowed to do changes something.
READS = re.compile(
    r":(Get|List|Describe|Query|Select|GET$|FilterLogEvents|SimulatePrincipalPolicy|ExecuteStatement|BeginTransaction"
    r"|RollbackTransaction|Decrypt|GenerateDataKey|ConditionCheckItem)"
)
# A rehearsal's report alone says how it was rehearsed.
OF_REHEARSALS = (r"^\.account\.rehearsed\.",)
# What is in the record is compared in the report: which calls write it is chance (who came first, what was tried again).
OF_THE_RECORD = re.compile(r"^dynamodb:")


def all_of(world, told):
    """`told` is what the scenario gave: the Region whose recovery counts, and its number there; or None, where none is to be."""
    scenario = world.scenario
    yield from denied(world)
    yield from logs(world)
    yield from secrets(world)
    if getattr(scenario, "GIVEN_BACK", False):
        now = world.settings()
        for what, before in world.before.items():
            if now[what] != before and what not in getattr(scenario, "STAYS", {}):
                yield f"not as before: {what} is {now[what]}, and was {before}"
    for place in (world.here, world.other):
        lock = world.lock(place)
        if lock:
            yield f"the lock of {place} is held: {lock}"
    if told is None:
        for region in (world.here, world.other):
            if world.executions(region):
                yield f"a recovery was started in {region}"
        return
    region, numbers = told
    yield from as_rehearsed(world, region, numbers)


def changes_outside_the_record(action):
    return not READS.search(action) and not OF_THE_RECORD.search(action)


def denied(world):
    """No call is denied but those that the scenario wants denied."""
    wanted = getattr(world.scenario, "DENIED", [])
    refused = {
        f"{caller} in {home} may not {action} on {resource}"
        for caller, home, action, resource, allowed in permissions(world)
        if not allowed
    }
    for one in sorted(refused):
        if not any(re.search(pattern, one) for pattern in wanted):
            yield f"denied: {one}"
    for pattern in wanted:
        if not any(re.search(pattern, one) for one in refused):
            yield f"nothing was denied that matches {pattern}"


def logs(world):
    """Every line that a function logs is JSON."""
    for place, lines in world.log_lines().items():
        for line in lines:
            for each in line.splitlines():
                if not OF_THE_EMULATOR.match(each) and not is_json(each):
                    yield f"log of {place}: a line that is no JSON: {each[:200]}"


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def secrets(world):
    """No task token leaves the record: it is in no log, message or report."""
    tokens = set()
    texts = {place: "\n".join(lines) for place, lines in world.log_lines().items()}
    for region in (world.here, world.other):
        people = world.people[region]
        texts[f"messages in {region}"] = "\n".join(message["text"] for message in people.heard)
        for recovery in world.recoveries(region):
            for item in world.items(region, f"recovery#{recovery}"):
                if item.get("task_token"):
                    tokens.add(item["task_token"])
        for key, body in world.reports(region).items():
            texts[key] = body
    if getattr(world.scenario, "ANSWERS", []) and not tokens:
        yield "somebody was to be asked, and the record has no task token"
    for place, text in texts.items():
        for token in tokens:
            if token in text:
                yield f"a task token is in {place}"


def as_rehearsed(world, region, numbers):
    """The recovery did what its rehearsal does."""
    scenario = world.scenario
    expected = rehearsed(world, scenario)
    known = [pattern for pattern, _ in KNOWN + getattr(scenario, "KNOWN", [])]
    # A recovery that was stopped is closed by nobody, and counts as failed in a rehearsal.
    closing = world.header(region).get("closing")
    outcome = closing["outcome"] if closing else "failed"
    if outcome != scenario.OUTCOME:
        yield f"the outcome is {outcome}, not {scenario.OUTCOME}"
    if outcome != expected["outcome"]:
        yield f"the outcome is {outcome}, and {expected['outcome']} in the rehearsal"
    executions = [world.executions(region)[number - 1]["executionArn"] for number in numbers]
    # Where the recovery that counts runs in the rehearsal, if not in the standby Region; others of the rehearsal do not count then.
    only_in = world.account.places[scenario.REHEARSED_IN] if hasattr(scenario, "REHEARSED_IN") else None
    rehearsed_in = only_in or world.here
    there = paths(emulated_visits(world, world.with_children(region, executions)))
    here = paths(rehearsed_visits(expected, only_in, getattr(scenario, "EXECUTION", None)))
    yield from difference("visits", flat(there), flat(here), known)
    on_emulator, in_rehearsal = neutral(world, region), neutral(world, rehearsed_in)
    homes = {region} if only_in else {world.here, world.other}
    did = {
        (caller, action, on_emulator(resource))
        for caller, home, action, resource, allowed in permissions(world)
        if allowed and home in homes and changes_outside_the_record(action)
    }
    homes = {rehearsed_in} if only_in else {world.here, world.other}
    meant = {
        (caller, action, in_rehearsal(resource))
        for caller, action, resource in changing(expected["calls"], homes, world.lost)
        if changes_outside_the_record(action)
    }
    yield from difference("calls", did, meant, known)
    if (expected["report"] is None) != (closing is None):
        yield f"closed: {closing}; in the rehearsal: {expected['report']}"
    if closing is None or expected["report"] is None:
        return
    report = world.report(region, world.recoveries(region)[-1])
    account, rehearsal = report["account"], expected["report"]["account"]
    yield from difference("keys of the report", keys(report), keys(expected["report"]), (*known, *OF_REHEARSALS))
    for what, view in VIEWS.items():
        there, here = ({text(one) for one in view(of)} for text, of in ((on_emulator, account), (in_rehearsal, rehearsal)))
        yield from difference(what, there, here, known)


# How the emulator and a rehearsal differ wherever they are compared, and why.
KNOWN = [
    (r"critical_path\.spans\[\]\.question", "people answer at once here, so that nothing waits for them"),
    (
        "^\\('(probe-health|watch-fence|watch-switch)'",
        "they run by the minute of the clock, whether anything is recovered or not",
    ),
    (
        "'start-by-hand', 'states:StartExecution'",
        "in a rehearsal a person's program starts the execution, and no function",
    ),
]


def neutral(world, region):
    """What takes the names of the Region that runs a recovery, and of the other one, out of a text."""
    names = []
    for site in world.account.sites.values():
        which = "HERE" if site["region"] == region else "OTHER"
        # The longer ones first: some hold others.
        parts = [
            site["region"],
            f":{site['cluster']}'",
            site["api"]["rest_api"],
            site["reports"],
            site["database_secret"],
        ]
        names += [(part, which) for part in parts]
    names.sort(key=lambda pair: -len(pair[0]))

    def text(one):
        one = nameless(str(one))
        for name, which in names:
            one = one.replace(name, which)
        return one

    return text


def nameless(text):
    """A text without what is made up anew each time, or named otherwise there."""
    for pattern, name in (
        (r"\d{8}T\d{6}Z-[a-z-]+-[0-9a-f]{6}", "RECOVERY"),
        (r"[a-z-]+-(?:[0-9a-f]{32}|back-\d+)", "EXECUTION"),
        (r"execution:(?:radiant-)?([a-z-]+):[0-9a-f]{64}", r"execution:\1:CHILD"),
        (r"stateMachine:radiant-", "stateMachine:"),
        (r"function:radiant-(?!production)", "function:"),
        (r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", "UUID"),
        (r" of \d{4}-\d\d-\d\dT[\d:.]+Z", ""),
        (r"restore-to-\d{4}-\d\d-\d\dT[\d:.]+Z", "restore-to-MOMENT"),
        (r"-restored-[0-9a-f]{12}", "-restored-RECOVERY"),
    ):
        text = re.sub(pattern, name, text)
    return text


def warnings(value):
    """The codes of all warnings in a part of a report."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from (warning["code"] for warning in inner or []) if name == "warnings" else warnings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from warnings(inner)


def flat(found):
    return {f"{machine} {branch}{' → '.join(path)}" for (machine, branch), path in found.items()}


VIEWS = {
    "timeline": lambda account: {
        # It is at work while it writes.
        f"{step['name']}: {step.get('outcome')}"
        for step in account["timeline"]
        if step["name"] != "write-report"
    },
    "ends": lambda account: {
        f"{end['outcome']}, {end.get('failed_state')}, {end.get('failed_as')}"
        for end in [*account["header"]["earlier"], account["header"]["closing"]]
    },
    "undo": lambda account: {f"{note['step']} {note['resource']}" for note in account["undo"]},
    "questions": lambda account: {f"{asked['ask']['id']}: {len(asked['answers'])}" for asked in account["questions"]},
    "told": lambda account: {told["what"] for told in account["announced"]},
    "warnings": lambda account: set(warnings(account["header"]["closing"])),
}
