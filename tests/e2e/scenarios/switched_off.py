"""Somebody has switched off that alarms start recoveries."""

NAME = "switched-off"
WHAT = "alarms may start nothing: nothing is started, and it is written down why"
DISASTER = "region-failure"
GIVEN_BACK = True


def play(world):
    world.account.drctl("automation", "off", "--reason", "e2e", "--plan", world.account.plan_file)
    world.alarm()
    world.decided("automation is off")
