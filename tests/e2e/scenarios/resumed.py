"""A step is not allowed to do its work; the recovery ends, the permission comes back, and a person goes on with it."""

NAME = "resumed"
WHAT = "switch-dns is denied; the permission is given back, and a person resumes"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost"], "recovered"
STOP_AT = "switch-dns"
ANSWERS = ["approve", "approve"]
DENIED = ["^switch-dns in us-west-2 may not "]


def play(world):
    with world.not_allowed("switch-dns"):
        world.lose_both()
        world.heartbeats_end()
        world.alarm()
        world.ended(world.here)
    recovery = world.recoveries(world.here)[-1]
    world.account.drctl("resume", recovery, "--plan", world.account.plan_file)
    world.ended(world.here, 2)
    return world.here, [1, 2]
