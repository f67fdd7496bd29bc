"""The Region is lost and the observer too: what is known does not do to move unasked, and two people approve."""

NAME = "people"
WHAT = "the Region is lost; so is the observer, and two people approve"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost"], "recovered"
ANSWERS = ["approve", "approve"]


def play(world):
    return world.recover_from_loss()
