//! What a report says of one recovery, in the order in which somebody who was frightened by it wants to know: is it over,
//! is it real, what works, what is to be done now, what was lost, who decided and why; then everything else. What only one
//! scenario does is told by its story.

mod decision;
mod evidence;
mod happened;
mod outcome;
mod record;
mod standing;
mod todo;
mod troubles;

use crate::page::{Block, Page, Section, Text};
use crate::path::CriticalPath;
use crate::state::State;
use crate::story::told::Tale;
use crate::words::day;

/// The page of one recovery.
pub(crate) fn page(tale: &Tale<'_>, state: &State, path: &CriticalPath) -> Page {
    let header = &tale.account.header;
    let outcome = outcome::outcome(tale);
    let disaster = header.scenario.definition().title;
    Page {
        title: format!("{disaster}: recovery of {}", header.workload),
        notice: Some(standing::notice(header.mode)),
        outcome: outcome.word,
        tone: outcome.tone,
        sentence: outcome.sentence,
        because: outcome.because,
        state: standing::blocks(tale, state),
        day: day(header.opened_at),
        sections: vec![
            Section::new("todo", "What is to be done now", todo::blocks(tale)),
            Section::new("figures", "What was achieved", outcome::achieved(tale)),
            Section::new("decision", "Who decided, and why", decision::blocks(tale)),
            Section::new(
                "timeline",
                "What happened, and what it waited for",
                happened::blocks(tale, path),
            ),
            Section::new("troubles", "Refused, failed, tried again", troubles::blocks(tale)),
            Section::new(
                "changes",
                "What was changed, and how it is taken back",
                record::changes(tale),
            ),
            Section::new("answers", "Questions and answers", decision::questions(tale.account)),
            Section::new("evidence", "What it went by", evidence::blocks(tale)),
            Section::new("words", "Words", words(tale)),
            Section::new("record", "The record", record::identity(tale.account)),
        ],
    }
}

/// What words mean that are used in every report and in the messages that it quotes.
const WORDS: [(&str, &str); 5] = [
    (
        "Recovery",
        "one run of this automation against one disaster. An execution is one attempt of it: one that fell short can \
         be gone on with, which is another execution of the same recovery",
    ),
    (
        "Impact",
        "the first minute in which the check from outside found the service not working: from then on customers \
         suffered",
    ),
    (
        "RTO",
        "recovery time objective: how long customers may be without the service",
    ),
    (
        "RPO",
        "recovery point objective: how much of what customers had written may be lost, as a time. How the loss of this \
         recovery comes about is said under the figures",
    ),
    (
        "Target, maximum",
        "what is aimed at, and what must not be exceeded. What was not measured counts as missed",
    ),
];

/// Those that come after the scenario's own.
const LAST_WORDS: [(&str, &str); 2] = [
    ("Lock", "what makes sure that one recovery at a time changes anything"),
    (
        "Undo note",
        "what is kept before each change, so that it can be taken back",
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
