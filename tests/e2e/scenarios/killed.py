"""A function's process is killed in the middle of a call that changes something; the recovery goes on, and does nothing twice."""

NAME = "killed"
WHAT = "the process of promote-database is killed (SIGKILL) in mid-call"
DISASTER, FAULTS, OUTCOME = "region-failure", ["observer-lost", "kill:promote-database:2"], "recovered"
ANSWERS = ["approve", "approve"]


def play(world):
    world.account.order("kill", function="promote-database", call=2)
    told = world.recover_from_loss()
    killed = [line for line in world.journal() if line["happened"] == "killed"]
    assert len(killed) == 1, f"killed {len(killed)} times"
    return told
