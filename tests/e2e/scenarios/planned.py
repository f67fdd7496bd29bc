"""The workload is moved to the standby Region and back, as people decide: nothing is lost."""

NAME = "planned"
WHAT = "a person moves the workload to the standby Region, and back"
DISASTER, FAULTS, OUTCOME = "region-return", [], "recovered"
# In the rehearsal too it is the way back that is compared.
REHEARSED_IN, EXECUTION = "primary", "back"
GIVEN_BACK = True
STAYS = {("standby", "stage"): "the way back shuts the Region that is left"}
KNOWN = [
    (
        "activate-region|throttling",
        "the way there fenced the Region that is gone back to; in the rehearsal it was lost, and not fenced",
    ),
    (
        "'start-recovery', 'sns:Publish'",
        "in the rehearsal an alarm starts the way there, and its people are told what it decides",
    ),
]


# How often somebody tries to go back: until it is in sync, they are refused.
TRIES = 5


def play(world):
    world.start_by_hand(world.here)
    world.ended(world.here)
    assert world.closing(world.here)["outcome"] == "recovered", world.closing(world.here)
    for number in range(1, TRIES + 1):
        world.start_by_hand(world.other)
        world.ended(world.other, number)
        if world.closing(world.other)["outcome"] != "refused":
            break
    return world.other, [number]
