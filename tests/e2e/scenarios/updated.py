"""The stack is updated while a recovery waits for people: the recovery goes on with what it began with."""

NAME = "updated"
WHAT = "the stack is updated in the middle of a recovery, which goes on with what it began with"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost"], "recovered"
ANSWERS = ["approve", "approve"]


def play(world):
    world.people[world.here].awake.clear()
    world.lose_both()
    world.heartbeats_end()
    world.alarm()
    world.wait("a question", lambda: world.visited("RequestApproval"))
    world.account.update(world.here)
    world.people[world.here].awake.set()
    world.ended(world.here)
    return world.here, [1]
