"""Judges rehearsals that `drctl rehearse --json` played: writes junit.xml and summary.md, and compares with a stored baseline.

    judge.py RESULTS BASELINE                    exits 1 if a rehearsal failed or is worse than the baseline
    judge.py RESULTS BASELINE --write-baseline   stores these results as the baseline

RESULTS has, for each rehearsal, NAME.json (what drctl printed), NAME.status (its exit status) and NAME.err (its standard error).
"""

import json
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

# `drctl --help`, "Exit status".
STATUS = {
    1: "it ended in another way than expected, or a fault never applied",
    2: "wrong use, or a plan that cannot be used",
    3: "it recovered, and took longer or lost more than a maximum of its objectives",
    4: "it was refused, or people declined or did not answer",
    5: "it broke a rule that must always hold",
}
LONGER = 0.10  # share of the baseline's RTO
LONGER_AT_LEAST = 5.0  # s: a tenth of a short RTO is less than one wait between two looks at AWS
MORE_LOST = 5.0  # s: the heartbeat of the example plan; the RPO is measured no finer


def read(results, name):
    """Exit status, what drctl printed if that is JSON, and its standard error."""
    status = int((results / f"{name}.status").read_text())
    try:
        said = json.loads((results / f"{name}.json").read_text())
    except (OSError, ValueError):
        said = None
    errors = results / f"{name}.err"
    return status, said, errors.read_text().strip() if errors.exists() else ""


def figures(said):
    """What the baseline keeps. A campaign has no single outcome: its exit status alone counts."""
    if said is None or "outcome" not in said:
        return None
    achieved = said["achieved"] or {}
    return {
        "outcome": said["outcome"],
        "rto_seconds": achieved.get("rto_seconds"),
        "rto_is_at_least": achieved.get("rto_is_at_least", False),
        "rpo_seconds": achieved.get("rpo_seconds"),
    }


def worse(now, before):
    """What is worse than the baseline, a sentence each. So is another outcome, and a figure that is not measured any more."""
    if now["outcome"] != before["outcome"]:
        return [f"outcome: {now['outcome']}, baseline {before['outcome']}"]
    found = []
    limits = {
        "rto_seconds": lambda old: old + max(old * LONGER, LONGER_AT_LEAST),
        "rpo_seconds": lambda old: old + MORE_LOST,
    }
    for name, limit in limits.items():
        new, old = now[name], before[name]
        if old is not None and new is None:
            found.append(f"{name}: not measured, baseline {old}")
        elif old is not None and new > limit(old):
            found.append(f"{name}: {new}, baseline {old}, limit {limit(old):.1f}")
    if now["rto_is_at_least"] and not before["rto_is_at_least"]:
        found.append("rto_seconds: a lower bound, measured in the baseline")
    return found


def problems(status, said, errors, before):
    """Why a rehearsal does not pass, a sentence each; nothing if it passes."""
    if said is None:
        return [f"no result, exit status {status}: {STATUS.get(status, 'unknown')}. {errors}"]
    found = []
    if status != 0:
        found.append(f"exit status {status}: {STATUS.get(status, 'unknown')}")
    found += [f"rule {rule.get('invariant')}: {rule.get('what')}" for rule in said.get("breaches", [])]
    if "outcome" not in said:
        return found
    found += [f"fault {one['fault']} never applied" for one in said["faults"] if one["times"] == 0]
    if before is None:
        found.append("no baseline for it: store one with --write-baseline, and commit the file")
    else:
        found += worse(figures(said), before)
    return found


def show(figure, at_least=False):
    return "–" if figure is None else f"{'at least ' if at_least else ''}{figure:.0f} s"


def main(results, baseline, write=False):
    names = sorted(path.stem for path in results.glob("*.status"))
    played = {name: read(results, name) for name in names}
    if write:
        kept = {name: figures(said) for name, (_, said, _) in played.items() if figures(said)}
        baseline.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        return 0
    before = json.loads(baseline.read_text()) if baseline.exists() else {}
    found = {name: problems(*played[name], before.get(name)) for name in names}
    found |= {name: ["in the baseline, and not played"] for name in before if name not in played}
    if not found:
        found = {"rehearsals": ["none was played"]}

    broken = {name for name, why in found.items() if why and (name not in played or played[name][1] is None)}
    failed = {name for name, why in found.items() if why} - broken
    suite = xml.Element("testsuite", name="rehearsals", tests=str(len(found)))
    suite.set("failures", str(len(failed)))
    suite.set("errors", str(len(broken)))
    summary = ["| rehearsal | result | outcome | RTO | RPO | why |", "|---|---|---|---|---|---|"]
    for name, why in found.items():
        case = xml.SubElement(suite, "testcase", classname="rehearsal", name=name)
        if why:
            xml.SubElement(case, "error" if name in broken else "failure", message=why[0]).text = "\n".join(why)
        now = figures(played[name][1]) if name in played else None
        cells = (now["outcome"], show(now["rto_seconds"], now["rto_is_at_least"]), show(now["rpo_seconds"])) if now else ("–", "–", "–")
        reasons = "<br>".join(why).replace("|", "\\|").replace("\n", " ")
        summary.append(f"| {name} | {'failed' if why else 'passed'} | {' | '.join(cells)} | {reasons} |")
    xml.ElementTree(suite).write(results / "junit.xml", encoding="utf-8", xml_declaration=True)
    (results / "summary.md").write_text("\n".join(summary) + "\n")
    print("\n".join(f"{name}: {reason}" for name, why in found.items() for reason in why) or "all rehearsals passed")
    return 1 if failed or broken else 0


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--write-baseline"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(arguments[0]), Path(arguments[1]), "--write-baseline" in sys.argv))
