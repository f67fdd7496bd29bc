"""Defects that are planted into what is deployed, or into what the emulator answers: playing must find each of them."""

import dataclasses
import re


@dataclasses.dataclass
class Plant:
    """`scenario` is played with the defect; one of the sentences that the checks give must match `found`. What is made of the
    stack's template or of a machine's definition is a function; what the emulator is to do is an order and its fields."""

    what: str
    scenario: str
    found: str
    template: callable = None
    definition: callable = None
    order: tuple = None


def filled_wrongly(template):
    """The machine's hole for one function holds another one's ARN."""
    machine = template["Resources"]["RegionSwitchMachine"]["Properties"]["DefinitionSubstitutions"]
    machine["CheckHealth"] = machine["CheckDatabase"]


def without_a_permission(template):
    """The function that promotes may not ask for a failover."""
    for resource in template["Resources"].values():
        for policy in resource["Properties"].get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement.get("Action", [])
                if "rds:FailoverGlobalCluster" in actions and isinstance(actions, list):
                    statement["Action"] = [action for action in actions if action != "rds:FailoverGlobalCluster"]


def without_a_state(definition):
    """Health is not looked at."""
    if "HowMoved" in definition["States"]:
        definition["States"]["HowMoved"]["Default"] = "EnableEventSources"


PLANTS = {
    "hole-filled-wrongly": Plant(
        "a machine's hole is filled with another function", "people", r"outcome|visits", template=filled_wrongly
    ),
    "permission-missing": Plant(
        "promote-database may not fail over",
        "people",
        r"denied: promote-database .* rds:FailoverGlobalCluster",
        template=without_a_permission,
    ),
    "state-not-visited": Plant(
        "a machine goes past the look at health", "people", r"visits: .*CheckHealth", definition=without_a_state
    ),
    "call-missing": Plant(
        "a call of close-recovery is answered and not done",
        "people",
        r"calls: in the rehearsal alone: .*close-recovery.*cloudwatch:PutMetricData",
        order=("swallow", {"function": "close-recovery", "method": "POST", "path": "/operation/PutMetricData"}),
    ),
    "error-name-lost": Plant(
        "errors of functions have no name",
        "resumed",
        r"ends: on the emulator alone: failed, SwitchDns, Error",
        order=("lose-error-names", {}),
    ),
    "lock-not-released": Plant(
        "the lock stays with an ended recovery",
        "people",
        r"the lock of us-west-2 is held",
        order=("swallow", {"function": "close-recovery", "method": "POST", "path": "/", "body": "lock"}),
    ),
}


def plant(world, name):
    """Has the defect of that name in what `world` deploys."""
    planted = PLANTS[name]
    if planted.template:
        world.account.change_template = planted.template
    if planted.definition:
        world.account.change_definition = planted.definition
    return planted


def is_found(planted, sentences):
    return any(re.search(planted.found, sentence) for sentence in sentences)
