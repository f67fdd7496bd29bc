"""A part of the Region that is to take over is missing: a planned move is refused, and nothing is changed."""

NAME = "standby-cannot-run"
WHAT = "a function is missing where the workload is to go: refused, and nothing is changed"
DISASTER, FAULTS, OUTCOME = "region-return", ["standby-broken:functions:missing"], "refused"
REHEARSED_IN, EXECUTION = "primary", "back"
GIVEN_BACK = True


def play(world):
    with world.without_function(world.here):
        world.start_by_hand(world.here)
        world.ended(world.here)
    return world.here, [1]
