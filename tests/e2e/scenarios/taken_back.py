"""The scenario's execution ends between fence and promotion, by whatever defect: what was changed is taken back."""

NAME = "taken-back"
WHAT = "the scenario's execution dies between fence and promotion: what was closed is opened again"
DISASTER, FAULTS, OUTCOME = "region-return", ["child-dies:IsFenced"], "rolled-back"
REHEARSED_IN, EXECUTION = "primary", "back"
GIVEN_BACK = True
KNOWN = [("rolled-back, RunScenario, (ABORTED|States.Runtime)", "in the rehearsal somebody stops the execution; here it fails")]


def play(world):
    world.account.order("die-at", state="IsFenced")
    world.start_by_hand(world.here)
    world.ended(world.here)
    return world.here, [1]
