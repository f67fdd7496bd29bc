"""A person stops the recovery while its scenario runs. The emulator does not stop the scenario's execution with it, which Step
Functions may do late: then another function does."""

NAME = "stopped"
WHAT = "a person stops the recovery while its scenario looks; the lock is freed, and people are told"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost", "child-not-stopped"], "failed"

KNOWN = [("'release-lock', 'cloudwatch:PutMetricData'", "the schedule looks while the lock is still held, whose age it publishes")]


def play(world):
    world.lose_both()
    world.heartbeats_end()
    world.alarm()
    world.wait("its look at both Regions", lambda: world.visited("AssessRegion"))
    world.stop(world.here)

    def is_free():
        world.turn_of("look-at-lock", world.here)
        return not world.lock(world.here)

    world.wait("a free lock", is_free)
    world.wait(
        "word of its end",
        lambda: any("did not close it" in message["text"] for message in world.people[world.here].heard),
    )
    return world.here, [1]
