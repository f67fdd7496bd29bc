"""The Region is lost, standby and observer see it, and nobody is asked."""

NAME = "automatic"
WHAT = "the Region is lost; standby and observer see it, and nobody is asked"
DISASTER, FAULTS, OUTCOME = "region-failure", [], "recovered"


def play(world):
    world.lose(world.other)
    world.probes_see_it()
    world.alarm()
    world.ended(world.here)
    return world.here, [1]
