"""The data are spoilt: the database goes back to a moment before, people approve the moment and the cut-over, and the functions use
the restored cluster. The caches are left out: the emulator has no Redis, and `make test` empties real ones."""

import re

NAME = "database-corruption"
WHAT = "the data are spoilt, and the database goes back to a moment before"
DISASTER, FAULTS, OUTCOME = "database-corruption", [], "recovered"
REHEARSED_IN = "primary"
ANSWERS = ["approve", "approve"]
# A restore takes up to 40 minutes.
SCALE = 0.05
GIVEN_BACK = True
KNOWN = [
    ("'restore-cluster', 'rds:AddTagsToResource'", "tests/iam/exceptions.yaml says why the table of permissions has it not"),
    (r"undo\[\]\.previous\.throttling\.", "the stage of the emulator's platform has no settings of its methods"),
]


def planned(plan):
    """The plan without the caches, and without the network that they are reached from."""
    return re.sub(r"(?m)^    (?:caches|network):.*\n(?:      .*\n)+", "", plan)


def play(world):
    (before,) = world.used_clusters()
    # The second one is of a minute that began in this world.
    world.wait("data that were found right twice", lambda: world.checked(1) >= 2)
    world.strike()
    world.wait("two bad minutes", lambda: world.checked(0) >= 2)
    world.alarm()
    world.ended(world.other)
    (after,) = world.used_clusters()
    assert after != before, f"all functions still use {before}"
    world.wait("data that are found right again", lambda: world.life.values["IntegrityCheck"][-1] == 1)
    return world.other, [1]
