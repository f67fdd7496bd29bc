//! What a report says of one recovery, in the order in which people ask: the verdict, four answers, what happened, what to
//! do next; then what those want who look closer. What only one scenario does is told by its story.

mod answers;
mod decision;
mod evidence;
mod happened;
mod record;
mod times;
mod todo;
mod troubles;
mod verdict;

use shared::recovery::Mode;

use crate::course::Course;
use crate::page::{Block, Page, Section, Text};
use crate::path::CriticalPath;
use crate::state::State;
use crate::story::told::Tale;
use crate::words::day;

/// The page of one recovery. `json_sha256` is that of the report's JSON form: that file proves which record the page shows.
pub(crate) fn page(tale: &Tale<'_>, state: &State, path: &CriticalPath, json_sha256: Option<String>) -> Page {
    let account = tale.account;
    let header = &account.header;
    let disaster = header.scenario.definition().title;
    let todos = todo::todos(tale, state);
    let places = tale.story.places(account);
    let (spells, note) = tale.story.spells(account);
    let course = Course::of(path, account.decided_at(), !account.undo.is_empty());
    let mode = match header.mode {
        Mode::Live => "REAL",
        Mode::Drill => "DRILL",
        Mode::Rehearsal => "REHEARSAL",
    };
    Page {
        title: format!("{disaster}: recovery of {}", header.workload),
        strip: vec![mode.to_owned(), day(header.opened_at), header.id.clone()],
        verdict: verdict::verdict(tale, state),
        answers: answers::answers(tale, state, &todos),
        pictures: [
            (!places.is_empty()).then_some(Block::Places(places)),
            course.map(Block::Course),
            (spells.len() > 1).then_some(Block::Spells(spells, note)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        day: day(header.opened_at),
        sections: vec![
            Section::new("todo", "Next steps", todo::blocks(header.mode, todos)),
            Section::folded("decision", "Decision", decision::blocks(tale)),
            Section::folded("troubles", "Problems and retries", troubles::blocks(tale)),
            Section::folded("times", "Times and figures", times::blocks(tale, state)),
            Section::folded(
                "timeline",
                "Every step, and what it waited for",
                happened::blocks(tale, path),
            ),
            Section::folded("changes", "Changes, and how to undo each", record::changes(tale)),
            Section::folded("answers", "Questions and answers", decision::questions(account)),
            Section::folded("evidence", "Evidence", evidence::blocks(tale)),
            Section::folded("plan", "Plan", record::plan(account)),
            Section::folded("words", "Words", words(tale)),
            Section::folded(
                "record",
                "Record and sign-off",
                [record::identity(account, json_sha256), record::sign_off()].concat(),
            ),
        ],
    }
}

/// What the words of every report and of its messages mean.
const WORDS: [(&str, &str); 5] = [
    (
        "Recovery",
        "one run of this automation against one disaster. An execution is one attempt of it. A recovery that fell short \
         can be resumed: that is another execution of the same recovery",
    ),
    (
        "Impact",
        "the first minute in which the check from outside found the service down",
    ),
    (
        "RTO",
        "recovery time objective: how long customers may be without the service",
    ),
    (
        "RPO",
        "recovery point objective: how much of what customers had written may be lost, as a time. See Times and figures \
         for how the loss of this recovery is worked out",
    ),
    (
        "Target, maximum",
        "the target is aimed at; the maximum must not be exceeded. What is not measured counts as missed",
    ),
];

/// Those that come after the scenario's own.
const LAST_WORDS: [(&str, &str); 2] = [
    ("Lock", "lets one recovery at a time make changes"),
    (
        "Undo note",
        "written before each change; it says how to take the change back",
    ),
];

fn words(tale: &Tale<'_>) -> Vec<Block> {
    let facts = |words: &[(&str, &str)]| -> Vec<(Text, Text)> {
        let fact = |(word, meaning): &(&str, &str)| (Text::plain(*word), Text::plain(*meaning));
        words.iter().map(fact).collect()
    };
    let own = tale.story.words(tale.account);
    vec![Block::Facts(
        [tale.story.here(tale.account), facts(&WORDS), own, facts(&LAST_WORDS)].concat(),
    )]
}
