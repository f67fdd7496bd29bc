//! What steps change: what they declare, and nothing else; once, however often they run and whatever call they die after.
//! The cases are the invocations of real recoveries: a new step has its own as soon as a play invokes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::thread;

use crate::common::plays::{PLAYS, Play};
use crate::common::trial::{Effect, Kind, Run, Trial, Tried, Which, is_waited_for, kind, on_trial};
use crate::permissions::RECORDED;
use jiff::Timestamp;
use rehearsal::deployment::STEPS;
use serde_json::Value;
use shared::error::StepError;
use shared::step::Change;

/// What a step may change more than once: the step, the kind of what it changes, and why that is meant.
const CHANGED_AGAIN: [(&str, &str, &str); 17] = [
    (
        "assess-region",
        "decision",
        "the last one is what the machine is answered",
    ),
    ("assess-region", "observed", "as the decision"),
    ("check-database", "commits", "it writes the same row each time"),
    ("check-database", "observed", READY_BY_THEN),
    (
        "close-recovery",
        "metric_values",
        "the largest value of a minute counts",
    ),
    (
        "open-recovery",
        "lock",
        "where it gives way to the other Region, it has taken the lock and releases it",
    ),
    (
        "probe-health",
        "metric_values",
        "it publishes what it has just been answered",
    ),
    (
        "prepare-database",
        "commits",
        "the plan's statements leave the same, however often they are run",
    ),
    (
        "probe-health",
        "minute",
        "it writes down what it has just been answered",
    ),
    ("release-lock", "metric_values", "the largest value of a minute counts"),
    (
        "request-approval",
        "question",
        "it has the token of the Task that waits now",
    ),
    (
        "resume-jobs",
        "commits",
        "the plan's statements leave the same, however often they are run",
    ),
    (
        "start-recovery",
        "metric_values",
        "the largest value of five minutes counts",
    ),
    ("validate-database", "commits", "it writes the same row each time"),
    ("validate-database", "observed", READY_BY_THEN),
    ("watch-fence", "fence-watch", "it keeps how far the recovery is by now"),
    ("watch-switch", "switch-watch", "it keeps when people were told last"),
];

/// What a step may change more than once that died in between.
const CHANGED_AGAIN_AFTER_DEATH: [(&str, &str, &str); 6] = [
    ("announce", "messages", TOLD_TWICE),
    ("release-lock", "messages", TOLD_TWICE),
    ("request-approval", "messages", TOLD_TWICE),
    ("start-recovery", "messages", TOLD_TWICE),
    ("watch-fence", "messages", TOLD_TWICE),
    ("watch-switch", "messages", TOLD_TWICE),
];
const TOLD_TWICE: &str = "people are rather told twice than never";

/// What holds what other steps found, some of which died too: how often it was changed counts, and not to what.
const HOLDS_WHAT_OTHERS_FOUND: [(&str, &str, &str); 5] = [
    (
        "close-recovery",
        "header",
        "it has the evidence of the scenario's steps",
    ),
    ("close-recovery", "lock", COUNTS_CLAIMS),
    ("close-recovery", "untold", COUNTS_CLAIMS),
    ("record-approval", "approval", "it has what the person was shown"),
    (
        "restore-cluster",
        "commits",
        "the data are of the moment that the play asks for, which comes later if something dies before",
    ),
];

const COUNTS_CLAIMS: &str = "its token counts how often the lock was claimed, by those too that died";

/// What a step may leave undone that died: the step, the kind of what it would have changed, and why that is meant.
const LEFT_UNDONE: [(&str, &str, &str); 2] = [
    ("record-approval", "verdict", NOT_KNOWN_WHETHER_TOLD),
    ("request-approval", "verdict", NOT_KNOWN_WHETHER_TOLD),
];
const NOT_KNOWN_WHETHER_TOLD: &str = "whether the machine heard of it is not known any more, and the report says so";

/// What a step may answer otherwise when it runs again: the step, the field, and why that is meant.
const ANSWERED_OTHERWISE: [(&str, &str, &str); 54] = [
    (
        "assess-region",
        "ask",
        "it shows the warnings, and when something was seen",
    ),
    ("assess-region", "decided_at", "the last one is what is kept"),
    (
        "assess-region",
        "signals",
        "they say when something was seen, and a minute may have ended between two looks",
    ),
    (
        "assess-region",
        "warnings",
        "the time of the impact is on record then, and is not guessed again",
    ),
    ("check-cluster", "available", READY_BY_THEN),
    ("check-cluster", "cluster_status", READY_BY_THEN),
    ("check-cluster", "status", READY_BY_THEN),
    ("check-database", "last_committed_at", READY_BY_THEN),
    ("check-database", "last_surviving_at", READY_BY_THEN),
    ("check-database", "ready", READY_BY_THEN),
    ("check-database", "seen_at", "it is when it looked"),
    ("check-database", "waiting_for", READY_BY_THEN),
    ("check-health", "so_far", "it counts from its own answer on"),
    ("create-instance", "changed", WHAT_IT_DID),
    ("discard-cluster", "complete", WHAT_IT_DID),
    ("discard-cluster", "ended", WHAT_IT_DID),
    ("discard-cluster", "sentence", WHAT_IT_DID),
    ("fence-region", "changed", WHAT_IT_DID),
    ("find-corruption", "ask", "it shows how much is lost so far"),
    (
        "find-corruption",
        "expected_loss_seconds",
        "it grows until the writes are stopped",
    ),
    ("find-corruption", "warnings", "the database may answer by then"),
    ("finish-cluster", "changed", WHAT_IT_DID),
    ("finish-cluster", "password", WHAT_IT_DID),
    ("flush-cache", "removed", WHAT_IT_DID),
    (
        "open-recovery",
        "refused",
        "another Region's recovery was begun meanwhile",
    ),
    ("open-recovery", "warnings", WARNS_ONCE),
    ("point-back", "of", WHAT_IT_DID),
    ("point-back", "taken_back", WHAT_IT_DID),
    ("promote-database", "status", WHAT_IT_DID),
    ("record-approval", "body", WHAT_IT_DID),
    ("record-approval", "statusCode", WHAT_IT_DID),
    ("release-lock", "lock", WHAT_IT_DID),
    ("release-lock", "told", WHAT_IT_DID),
    ("restore-cluster", "latest_at", READY_BY_THEN),
    ("restore-cluster", "status", WHAT_IT_DID),
    ("resume-writes", "given_back", WHAT_IT_DID),
    ("resume-writes", "of", WHAT_IT_DID),
    ("retire-cluster", "changed", WHAT_IT_DID),
    ("snapshot-cluster", "changed", WHAT_IT_DID),
    ("start-recovery", "again", WHAT_IT_DID),
    ("start-recovery", "decision", WHAT_IT_DID),
    ("stop-writes", "changed", WHAT_IT_DID),
    ("switch-dns", "change", WHAT_IT_DID),
    ("switch-dns", "changed", WHAT_IT_DID),
    ("unfence-region", "of", WHAT_IT_DID),
    ("unfence-region", "taken_back", WHAT_IT_DID),
    ("validate-database", "ask", READY_BY_THEN),
    ("validate-database", "checks", READY_BY_THEN),
    ("validate-database", "last_committed_at", READY_BY_THEN),
    ("validate-database", "last_surviving_at", READY_BY_THEN),
    ("validate-database", "ready", READY_BY_THEN),
    ("validate-database", "waiting_for", READY_BY_THEN),
    ("watch-fence", "paged", WHAT_IT_DID),
    ("watch-switch", "paged", WHAT_IT_DID),
];
const READY_BY_THEN: &str = "the database may be ready by then";
const WHAT_IT_DID: &str = "it says what it found and did, and the second time there is nothing left to do";
const WARNS_ONCE: &str = "a lock that it holds already is not taken over again";

/// Each play, with invocations run twice.
static TWICE: LazyLock<Vec<Vec<Tried>>> = LazyLock::new(|| in_each_play(|_, play| on_trial(Trial::Twice, play)));

/// Plays in which invocations are killed, by the place of the play in the list: each once, and again where no invocation has
/// died yet after a kind of change that is made in it.
static KILLED: LazyLock<Vec<(usize, Vec<Tried>)>> = LazyLock::new(|| {
    let killed = in_each_play(|nth, play| Some((nth, on_trial(Trial::Killed(BTreeSet::new()), play))));
    let mut killed: Vec<_> = killed.into_iter().flatten().collect();
    loop {
        let died_before = died_after(&killed);
        let is_missing =
            |(step, kind): &(String, Kind)| !died_before.iter().any(|((of, _), died)| (of, died) == (step, kind));
        let mut seen = BTreeSet::new();
        let missing = TWICE.iter().map(|all| {
            let made = all.iter().flat_map(|tried| {
                let kinds = tried.runs[0].effects.iter().map(Effect::kind);
                kinds.map(|kind| (tried.which.0.clone(), kind))
            });
            made.filter(is_missing).filter(|kind| seen.insert(kind.clone())).count() > 0
        });
        let missing: Vec<bool> = missing.collect();
        let again =
            in_each_play(|nth, play| missing[nth].then(|| (nth, on_trial(Trial::Killed(died_before.clone()), play))));
        killed.extend(again.into_iter().flatten());
        if died_after(&killed) == died_before {
            return killed;
        }
    }
});

fn died_after(killed: &[(usize, Vec<Tried>)]) -> BTreeSet<(Which, Kind)> {
    let deaths = killed.iter().flat_map(|(_, all)| all).flat_map(|tried| {
        let last = tried.deaths().filter_map(|run| run.effects.last());
        last.map(|effect| (tried.which.clone(), effect.kind()))
    });
    deaths.collect()
}

/// Does this for each play, all at once.
fn in_each_play<T: Send>(each: impl Fn(usize, Play) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let each = &each;
        let threads = PLAYS.iter().enumerate();
        let threads = threads.map(|(nth, play)| scope.spawn(move || each(nth, *play)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn is_listed(list: &[(&str, &str, &str)], step: &str, what: &str) -> bool {
    list.iter().any(|(of, listed, _)| (*of, *listed) == (step, what))
}

/// What was changed to what, and how often.
type Counted = BTreeMap<(String, String), usize>;

/// What was changed to what, and how often, whenever it was.
fn counted<'a>(step: &str, runs: impl IntoIterator<Item = &'a Run>) -> Counted {
    let mut counts = BTreeMap::new();
    let effects = runs.into_iter().flat_map(|run| &run.effects);
    for (path, (from, to)) in effects.flat_map(|effect| &effect.changed) {
        let kind = kind(path);
        let may_change_again =
            is_listed(&CHANGED_AGAIN, step, kind) || is_listed(&CHANGED_AGAIN_AFTER_DEATH, step, kind);
        let to = match (from.as_f64(), to.as_f64()) {
            _ if may_change_again || is_listed(&HOLDS_WHAT_OTHERS_FOUND, step, kind) => String::new(),
            (Some(from), Some(to)) => format!("{:+}", to - from),
            _ => timeless(to).to_string(),
        };
        let count: &mut usize = counts.entry((timeless_text(path), to)).or_default();
        *count = match may_change_again {
            true => 1,
            false => *count + 1,
        };
    }
    counts
}

/// A value with its fields in order, without what another moment would have made otherwise.
fn timeless(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), timeless(value)));
            fields.collect::<BTreeMap<_, _>>().into_iter().collect()
        }
        Value::Array(values) => values.iter().map(timeless).collect(),
        Value::String(text) => timeless_text(text).into(),
        other => other.clone(),
    }
}

/// A text without its times, fractions and ids.
fn timeless_text(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-');
    let words = text.split_inclusive(|c| !is_part(c));
    let each = words.map(|word| {
        let bare = word.trim_end_matches(|c| !is_part(c));
        let changes = bare.parse::<Timestamp>().is_ok()
            || bare.contains('.') && bare.parse::<f64>().is_ok()
            || bare.len() > 12 && bare.contains(|c: char| c.is_ascii_digit());
        match changes {
            true => format!("…{}", &word[bare.len()..]),
            false => word.to_owned(),
        }
    });
    each.collect()
}

fn all_tried() -> impl Iterator<Item = (&'static str, &'static Tried)> {
    let plays = PLAYS.iter().zip(TWICE.iter());
    plays.flat_map(|(play, all)| all.iter().map(|tried| (play.name, tried)))
}

#[test]
fn a_step_that_runs_twice_answers_the_same_and_changes_nothing_more() {
    let mut wrong = BTreeSet::new();
    for (play, tried) in all_tried() {
        let step = tried.which.0.as_str();
        let [first, second] = tried.runs.as_slice() else {
            continue;
        };
        for (path, change) in second.effects.iter().flat_map(|effect| &effect.changed) {
            if !is_listed(&CHANGED_AGAIN, step, kind(path)) {
                wrong.insert(format!("{play}: {step} again: {} {path}: {change:?}", kind(path)));
            }
        }
        let answer = |run: &Run| run.output.clone().unwrap().map_err(|error| error.to_string());
        let (first, second) = (answer(first), answer(second));
        if first == second {
            continue;
        }
        let (Ok(Value::Object(first)), Ok(Value::Object(second))) = (&first, &second) else {
            wrong.insert(format!("{play}: {step} answers {first:?}, then {second:?}"));
            continue;
        };
        // The summary says what the other fields do.
        let fields = first
            .keys()
            .filter(|name| !matches!(name.as_str(), "summary" | "progress"));
        let fields = fields.filter(|name| first.get(*name) != second.get(*name));
        for name in fields {
            if !is_listed(&ANSWERED_OTHERWISE, step, name) {
                wrong.insert(format!(
                    "{play}: {step} answers {name} {}, then {:?}",
                    first[name],
                    second.get(name)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_step_that_dies_after_a_call_that_changed_something_and_runs_again_changes_it_once() {
    let mut wrong = Vec::new();
    for (nth, all) in KILLED.iter() {
        let wrong_here = wrong_after_deaths(all, &TWICE[*nth]);
        wrong.extend(wrong_here.map(|wrong| format!("{}: {wrong}", PLAYS[*nth].name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with what a play changed in which invocations died.
fn wrong_after_deaths(all: &[Tried], undisturbed: &[Tried]) -> impl Iterator<Item = String> {
    let killed = all.iter().filter(|tried| tried.deaths().next().is_some());
    killed.filter_map(|killed| {
        let which = &killed.which;
        let after = || {
            let last = killed.deaths().filter_map(|run| run.effects.last());
            let calls: Vec<&str> = last.map(|effect| effect.call.as_str()).collect();
            calls.join(", ")
        };
        if let Some(Err(error)) = killed.runs.last().and_then(|run| run.output.as_ref()) {
            return Some(format!("{which:?} fails after it died after {}: {error}", after()));
        }
        let step = STEPS.iter().find(|step| step.name == which.0).unwrap();
        let difference = match is_waited_for(step) {
            true => {
                // Whoever invoked it may have invoked it again meanwhile.
                let same = |tried: &&Tried| (&tried.which, &tried.input) == (which, &killed.input);
                let changed = counted(step.name, all.iter().filter(same).flat_map(|tried| &tried.runs));
                let alike = undisturbed.iter().filter(|tried| tried.which == *which);
                let expected: Vec<_> = alike.map(|tried| counted(step.name, &tried.runs[..1])).collect();
                differences(step.name, &changed, &expected)
            }
            // Another event, or the next one of its schedule, may have come before it was started again.
            false => {
                let of_step = |all: &[Tried]| {
                    let tried = all.iter().filter(|tried| tried.which.0 == step.name);
                    counted(step.name, tried.flat_map(|tried| &tried.runs))
                };
                differences(step.name, &of_step(all), &[of_step(undisturbed)])
            }
        };
        Some(format!("{which:?} died after {}: {}", after(), difference?))
    })
}

/// How what was changed differs from what is changed where nothing dies, in the case that is nearest to it; nothing if it is
/// one of them.
fn differences(step: &str, changed: &Counted, undisturbed: &[Counted]) -> Option<String> {
    let each = undisturbed.iter().map(|expected| {
        let all: BTreeSet<_> = changed.keys().chain(expected.keys()).collect();
        let each = all.into_iter().filter_map(|change| {
            let times = |counted: &Counted| counted.get(change).copied().unwrap_or_default();
            let (path, to) = change;
            let (made, wanted) = (times(changed), times(expected));
            let is_meant = made < wanted && is_listed(&LEFT_UNDONE, step, kind(path))
                || made > wanted && is_listed(&CHANGED_AGAIN, step, kind(path));
            (made != wanted && !is_meant).then(|| format!("{path} to {to}: {made} times and not {wanted}"))
        });
        each.collect::<Vec<_>>()
    });
    let nearest = each.min_by_key(Vec::len)?;
    (!nearest.is_empty()).then(|| nearest.join("; "))
}

/// What a change is called here: as [`Change`] has it.
fn declared(change: &Change) -> String {
    match change {
        Change::Call(call) => (*call).to_owned(),
        Change::Item(kind) => declared_item(kind),
    }
}

/// What each step has here and not there.
fn lacking(here: &Changes, there: &Changes, say: &str) -> Vec<String> {
    let each = here.iter().flat_map(|(step, changes)| {
        let others = there.get(step);
        let lacking = changes
            .iter()
            .filter(move |change| !others.is_some_and(|others| others.contains(*change)));
        lacking.map(move |change| format!("{step} {say} {change}"))
    });
    each.collect()
}

/// By step, what it changes.
type Changes = BTreeMap<String, BTreeSet<String>>;

fn all_declared() -> Changes {
    let each = STEPS
        .iter()
        .map(|step| (step.name.to_owned(), step.changes.iter().map(declared).collect()));
    each.collect()
}

/// What steps asked AWS to change in all the rehearsals and plays by which permissions are checked.
fn all_recorded() -> Changes {
    let mut changes = Changes::new();
    let touched = RECORDED.iter().flat_map(|(_, recorded)| &recorded.touched);
    for touched in touched.filter(|touched| touched.can_change) {
        let of_step = changes.entry(touched.function.clone()).or_default();
        if touched.service != "dynamodb" {
            of_step.insert(format!("{}:{}", touched.service, touched.operation));
            continue;
        }
        let resources = touched.resources.as_ref().unwrap().iter();
        let kinds = resources.filter_map(|resource| resource.item.as_deref());
        // The timeline is kept for every step.
        let own = kinds.filter(|kind| *kind != "step");
        of_step.extend(own.map(declared_item));
    }
    changes
}

fn declared_item(kind: &str) -> String {
    format!("item {kind}")
}

/// What these effects are of, by step.
fn changes_of<'a>(effects: impl IntoIterator<Item = (&'a str, &'a Effect)>) -> Changes {
    let mut changes = Changes::new();
    for (step, effect) in effects {
        let of_step = changes.entry(step.to_owned()).or_default();
        if !effect.call.starts_with("dynamodb:") {
            of_step.insert(effect.call.clone());
        }
        let items = effect.changed.keys().filter(|path| path.starts_with("/items/"));
        of_step.extend(items.map(|path| declared_item(kind(path))));
    }
    changes
}

/// What the invocations changed that ran twice.
fn changed_by_who_ran_twice() -> Changes {
    let tried = TWICE.iter().flatten().filter(|tried| tried.runs.len() == 2);
    changes_of(tried.flat_map(|tried| {
        tried.runs[0]
            .effects
            .iter()
            .map(|effect| (tried.which.0.as_str(), effect))
    }))
}

/// What the invocations changed last that died.
fn changed_by_who_died() -> Changes {
    let tried = KILLED.iter().flat_map(|(_, all)| all);
    changes_of(tried.flat_map(|tried| {
        let last = tried.deaths().filter_map(|run| run.effects.last());
        last.map(|effect| (tried.which.0.as_str(), effect))
    }))
}

#[test]
fn a_step_changes_what_it_declares_and_nothing_else() {
    let (declared, recorded) = (all_declared(), all_recorded());
    let mut wrong = lacking(&recorded, &declared, "does not declare that it changes");
    wrong.extend(lacking(
        &declared,
        &recorded,
        "declares, and no rehearsal has it change",
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whatever_a_step_changes_has_a_case_in_which_it_runs_twice_and_one_in_which_it_dies() {
    let declared = all_declared();
    let mut wrong = lacking(
        &declared,
        &changed_by_who_ran_twice(),
        "runs twice in no play in which it changes",
    );
    wrong.extend(lacking(
        &declared,
        &changed_by_who_died(),
        "is killed in no play after it changed",
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_undeclared_change_and_a_missing_case_are_found() {
    let changes =
        |of_step: &[&str]| Changes::from([("fences".to_owned(), of_step.iter().map(|&of| of.into()).collect())]);
    let recorded = changes(&["lambda:PutFunctionConcurrency", "item undo"]);
    let declared = changes(&["s3:DeleteBucket", "item undo"]);
    assert_eq!(
        lacking(&recorded, &declared, "changes too"),
        ["fences changes too lambda:PutFunctionConcurrency"]
    );
    assert_eq!(
        lacking(&declared, &recorded, "never changes"),
        ["fences never changes s3:DeleteBucket"]
    );
    assert_eq!(lacking(&declared, &declared, "never changes"), [""; 0]);
    assert_eq!(lacking(&declared, &Changes::new(), "never changes").len(), 2);
}

/// An invocation of a step that is killed after its first call, and runs again, with what either run changes.
fn died_once(step: &str, runs: [Vec<Effect>; 2]) -> Tried {
    let mut outputs = [None, Some(Ok(Value::Null))].into_iter();
    let runs = runs.map(|effects| Run {
        output: outputs.next().unwrap(),
        effects,
    });
    Tried {
        which: (step.to_owned(), None),
        input: Value::Null,
        runs: runs.into(),
    }
}

fn effect(path: &str, to: &str) -> Effect {
    Effect {
        call: "dynamodb:PutItem".to_owned(),
        changed: [(path.to_owned(), (Value::Null, to.into()))].into(),
    }
}

#[test]
fn what_a_step_does_otherwise_after_a_death_is_found() {
    const STEP: &str = "switch-dns";
    let (first, second) = (
        || effect("/items/here/r/undo#a", "before"),
        || effect("/records/a", "here"),
    );
    let mut undisturbed = died_once(STEP, [vec![first(), second()], vec![]]);
    undisturbed.runs.truncate(1);
    let undisturbed = [undisturbed];
    let wrong = |runs| wrong_after_deaths(&[died_once(STEP, runs)], &undisturbed).collect::<Vec<_>>();

    assert_eq!(wrong([vec![first()], vec![second()]]), [""; 0]);
    let again = wrong([vec![first()], vec![first(), second()]]);
    assert!(again.len() == 1 && again[0].contains("2 times and not 1"), "{again:?}");
    let undone = wrong([vec![first()], vec![]]);
    assert!(
        undone.len() == 1 && undone[0].contains("0 times and not 1"),
        "{undone:?}"
    );
    assert_eq!(wrong([vec![first()], vec![effect("/records/a", "there")]]).len(), 1);
    let mut failed = died_once(STEP, [vec![first()], vec![second()]]);
    failed.runs[1].output = Some(Err(StepError::refused("it is there already")));
    let failed: Vec<_> = wrong_after_deaths(&[failed], &undisturbed).collect();
    assert!(
        failed.len() == 1 && failed[0].contains("fails after it died"),
        "{failed:?}"
    );
}
