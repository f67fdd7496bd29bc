//! What steps change: what they declare, and nothing else; once, however often they run and whatever call they die after.
//! The cases are the invocations of real recoveries: a new step has its own as soon as a play invokes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::thread;

use crate::common::plays::{PLAYS, Play};
use crate::common::trial::{Run, Trial, Tried, Which, on_trial};
use crate::permissions::RECORDED;
use jiff::Timestamp;
use rehearsal::deployment::STEPS;
use serde_json::Value;
use shared::step::Change;

/// What a step may change more than once: the step, the kind of what it changes, and why that is meant.
const CHANGED_AGAIN: [(&str, &str, &str); 12] = [
    ("announce", "messages", TOLD_TWICE),
    (
        "assess-region",
        "decision",
        "the last one is what the machine is answered",
    ),
    ("assess-region", "observed", "as the decision"),
    ("check-database", "commits", "it writes the same row each time"),
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
    ("release-lock", "messages", TOLD_TWICE),
    ("release-lock", "metric_values", "the largest value of a minute counts"),
    ("request-approval", "messages", TOLD_TWICE),
    (
        "request-approval",
        "question",
        "it has the token of the Task that waits now",
    ),
    ("start-recovery", "messages", TOLD_TWICE),
];
const TOLD_TWICE: &str = "people are rather told twice than never";

/// What a step may leave undone that died: the step, the kind of what it would have changed, and why that is meant.
const LEFT_UNDONE: [(&str, &str, &str); 1] = [(
    "record-approval",
    "verdict",
    "whether the machine heard of it is not known any more, and the report says so",
)];

/// What a step may answer otherwise when it runs again: the step, the field, and why that is meant.
const ANSWERED_OTHERWISE: [(&str, &str, &str); 22] = [
    (
        "assess-region",
        "ask",
        "it shows the warnings, and when something was seen",
    ),
    ("assess-region", "decided_at", "the last one is what is kept"),
    (
        "assess-region",
        "warnings",
        "the time of the impact is on record then, and is not guessed again",
    ),
    ("check-health", "so_far", "it counts from its own answer on"),
    ("close-recovery", "summary", WARNS_ONCE),
    ("fence-region", "changed", WHAT_IT_DID),
    ("fence-region", "summary", WHAT_IT_DID),
    (
        "open-recovery",
        "refused",
        "another Region's recovery was begun meanwhile",
    ),
    ("open-recovery", "warnings", WARNS_ONCE),
    ("promote-database", "status", WHAT_IT_DID),
    ("record-approval", "body", WHAT_IT_DID),
    ("record-approval", "statusCode", WHAT_IT_DID),
    ("release-lock", "lock", WHAT_IT_DID),
    ("release-lock", "told", WHAT_IT_DID),
    ("start-recovery", "again", WHAT_IT_DID),
    ("switch-dns", "change", WHAT_IT_DID),
    ("switch-dns", "changed", WHAT_IT_DID),
    ("unfence-region", "of", WHAT_IT_DID),
    ("unfence-region", "summary", WHAT_IT_DID),
    ("unfence-region", "taken_back", WHAT_IT_DID),
    ("activate-region", "x", ""),
    ("activate-region", "y", ""),
];
const WHAT_IT_DID: &str = "it says what it found and did, and the second time there is nothing left to do";
const WARNS_ONCE: &str = "a lock that it holds already is not taken over again";

/// What each play's invocations change.
static WATCHED: LazyLock<Vec<Vec<Tried>>> = LazyLock::new(|| in_each_play(|_, play| on_trial(Trial::Watched, play)));

/// Each play, with invocations run twice.
static TWICE: LazyLock<Vec<Vec<Tried>>> = LazyLock::new(|| in_each_play(|_, play| on_trial(Trial::Twice, play)));

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

/// What kind of thing a path is of: the first word of an item's sort key, or the part of the snapshot or the journal.
fn kind(path: &str) -> &str {
    let mut parts = path.split('/').skip(1);
    match parts.next() {
        Some("items") => parts.nth(2).and_then(|sort_key| sort_key.split('#').next()),
        part => part,
    }
    .unwrap_or(path)
}

/// What was changed to what, and how often.
type Counted = BTreeMap<(String, String), usize>;

/// What was changed to what, and how often, whenever it was.
fn counted<'a>(step: &str, runs: impl IntoIterator<Item = &'a Run>) -> Counted {
    let mut counts = BTreeMap::new();
    let effects = runs.into_iter().flat_map(|run| &run.effects);
    for (path, (from, to)) in effects.flat_map(|effect| &effect.changed) {
        let to = match (from.as_f64(), to.as_f64()) {
            _ if is_listed(&CHANGED_AGAIN, step, kind(path)) => String::new(),
            (Some(from), Some(to)) => format!("{:+}", to - from),
            _ => timeless(to).to_string(),
        };
        let count: &mut usize = counts.entry((timeless_text(path), to)).or_default();
        *count = match is_listed(&CHANGED_AGAIN, step, kind(path)) {
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
        let fields = first.keys().filter(|name| first.get(*name) != second.get(*name));
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

/// After how many changes an invocation is killed, and what those were.
type Death = (Which, Vec<BTreeSet<String>>);

/// The deaths to die in each play, by the number of changes before: each kind in the first play that has it.
fn deaths() -> Vec<BTreeMap<usize, BTreeSet<Which>>> {
    let mut died: BTreeSet<Death> = BTreeSet::new();
    let mut in_play = |all: &Vec<Tried>| {
        let mut by_changes: BTreeMap<usize, BTreeSet<Which>> = BTreeMap::new();
        for tried in all {
            let effects = tried.runs[0].effects.iter();
            let calls: Vec<_> = effects.map(|effect| effect.calls.clone()).collect();
            for after in 1..=calls.len() {
                let is_first_change = by_changes.get(&after).is_none_or(|whose| !whose.contains(&tried.which));
                if is_first_change && died.insert((tried.which.clone(), calls[..after].to_vec())) {
                    by_changes.entry(after).or_default().insert(tried.which.clone());
                }
            }
        }
        by_changes
    };
    WATCHED.iter().map(|all| in_play(all)).collect()
}

#[test]
fn a_step_that_dies_after_a_call_that_changed_something_and_runs_again_changes_it_once() {
    let deaths = deaths();
    let wrong = in_each_play(|nth, play| {
        let mut wrong = Vec::new();
        for (after, whose) in &deaths[nth] {
            let tried = on_trial(Trial::KilledAfter(*after, whose.clone()), play);
            for which in whose {
                let was_killed = |tried: &&Tried| tried.which == *which && tried.runs.len() > 1;
                let Some(killed) = tried.iter().find(was_killed) else {
                    wrong.push(format!("{}: {which:?} does not die after change {after}", play.name));
                    continue;
                };
                if let Some(Err(error)) = killed.runs.last().and_then(|run| run.output.as_ref()) {
                    wrong.push(format!(
                        "{}: {which:?} fails after it died after change {after}: {error}",
                        play.name
                    ));
                }
                let step = which.0.as_str();
                // Whoever invoked it may have invoked it again meanwhile.
                let same = tried
                    .iter()
                    .filter(|tried| (&tried.which, &tried.input) == (which, &killed.input));
                let changed = counted(step, same.flat_map(|tried| &tried.runs));
                let alike = WATCHED[nth].iter().filter(|tried| tried.which == *which);
                let undisturbed: Vec<_> = alike.map(|tried| counted(step, &tried.runs)).collect();
                if let Some(difference) = differences(step, &changed, &undisturbed) {
                    let answer = &killed.runs[1].output;
                    wrong.push(format!(
                        "{}: {which:?} died after change {after}: {difference}; then it answered {answer:?}",
                        play.name
                    ));
                }
            }
        }
        wrong
    });
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
            let is_meant = made < wanted && is_listed(&LEFT_UNDONE, step, kind(path));
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

/// What the invocations changed that run twice, and die.
fn all_changed() -> Changes {
    let mut changes = Changes::new();
    for tried in WATCHED.iter().flatten() {
        let of_step = changes.entry(tried.which.0.clone()).or_default();
        for effect in &tried.runs[0].effects {
            let calls = effect.calls.iter().filter(|call| !call.starts_with("dynamodb:"));
            of_step.extend(calls.cloned());
            let items = effect.changed.keys().filter(|path| path.starts_with("/items/"));
            of_step.extend(items.map(|path| declared_item(kind(path))));
        }
    }
    changes
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
fn whatever_a_step_changes_has_a_case_in_which_it_runs_twice_and_dies() {
    let wrong = lacking(
        &all_declared(),
        &all_changed(),
        "is invoked in no play in which it changes",
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_undeclared_change_and_a_missing_case_are_found() {
    let mut declared = all_declared();
    let fences = declared.get_mut("fence-region").unwrap();
    assert!(fences.remove("lambda:PutFunctionConcurrency") && fences.insert("s3:DeleteBucket".to_owned()));
    assert_eq!(
        lacking(&all_recorded(), &declared, "changes too"),
        ["fence-region changes too lambda:PutFunctionConcurrency"]
    );
    assert_eq!(
        lacking(&declared, &all_changed(), "never changes"),
        ["fence-region never changes s3:DeleteBucket"]
    );
}
#[test]
fn scratch() {
    for t in on_trial(
        Trial::KilledAfter(1, [("start-recovery".to_owned(), None)].into()),
        PLAYS[0],
    ) {
        println!(
            "{:?} {} {:?}",
            t.which,
            t.input,
            t.runs
                .iter()
                .map(|r| (r.effects.len(), r.output.is_some()))
                .collect::<Vec<_>>()
        );
    }
}
