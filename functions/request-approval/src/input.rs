//! What the step is asked to ask.

use serde::Deserialize;
use shared::approval::{Ask, TaskToken};
use shared::person::SamePerson;
use shared::recovery::{Mode, RecoveryRef};
use shared::scenario::Scenario;

/// What to ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The recovery's scenario.
    pub scenario: Scenario,
    /// Its mode, so that nobody takes a rehearsal for the real thing.
    pub mode: Mode,
    /// The topic on which people are told.
    pub topic_arn: String,
    /// The other Region's topic, where people are told too: nothing that can be seen from here says how well this Region is.
    #[serde(default)]
    pub also_topic_arn: Option<String>,
    /// What is asked.
    pub ask: Ask,
    /// ARN of whoever or whatever started the recovery.
    pub started_by: String,
    /// Who counts as one person.
    pub same_person: SamePerson,
    /// How long people have to answer: as long as the machine waits, in seconds.
    pub answer_within_seconds: u64,
    /// What the machine waits for.
    pub task_token: TaskToken,
    /// The URL at which people answer.
    pub approval_url: String,
}
