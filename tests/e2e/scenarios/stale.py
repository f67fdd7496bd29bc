"""The alarm's event comes too late to say anything about now."""

NAME = "stale"
WHAT = "the alarm's event comes 11 minutes late: nothing is started, and it is written down why"
DISASTER = "region-failure"
GIVEN_BACK = True


def play(world):
    world.alarm(age=11 * 60)
    world.decided("ignored as stale")
