"""The plan has no switch object: the public name moves by its record, which Route 53 cannot change while us-east-1 is lost."""

import re

NAME = "without-switch"
WHAT = "the plan has no switch object, and Route 53 is lost with its Region: failed, and it is said what stands"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost"], "failed"
ANSWERS = ["approve", "approve"]


def planned(text):
    text, number = re.subn(r"(?m)^  switch_object:\n(?:    .*\n)+", "", text)
    assert number == 1, "the plan has no switch object"
    return text


def play(world):
    return world.recover_from_loss()
