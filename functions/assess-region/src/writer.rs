//! Who takes the writes, as AWS says, and what follows where that is not the Region that is to be left.

use shared::global_database::{GlobalDatabase, Promotion};
use shared::scenario::region_failure::Intent;

use crate::input::Input;

/// What forbids moving the writer here: a writer that this recovery does not fence, or a move whose end nobody knows.
pub(crate) fn blockers(input: &Input, database: &GlobalDatabase) -> Vec<String> {
    let (here, other) = (&input.here.cluster_arn, &input.other.cluster_arn);
    let promotion = database.promotion(here);
    if let Promotion::Elsewhere(transition) | Promotion::Unclear(transition) = &promotion {
        let what = transition.in_words(&database.id);
        return vec![format!("{what}; wait until that has ended")];
    }
    let writers: Vec<&str> = database.writers().map(|member| member.cluster_arn.as_str()).collect();
    match (writers.as_slice(), &promotion) {
        ([writer], _) if *writer == here || *writer == other => Vec::new(),
        ([writer], _) => vec![format!(
            "{writer} takes the writes of global database {}; it is neither the cluster of {} nor that of {}; \
             compare the plan with the console",
            database.id, input.here.region, input.other.region
        )],
        ([], Promotion::NotStarted) if input.intent == Intent::Switchover => vec![format!(
            "a switchover needs a cluster that takes writes, and AWS names none of global database {}",
            database.id
        )],
        ([], _) => Vec::new(),
        (several, _) => vec![format!(
            "several clusters take the writes of global database {}: {}; check in the console which one is right",
            database.id,
            several.join(", ")
        )],
    }
}

/// What the writer leaves open, so that people are asked.
pub(crate) fn doubt(database: &GlobalDatabase) -> Option<String> {
    let nobody = database.writers().next().is_none();
    nobody.then(|| format!("AWS names no cluster of {} that takes writes", database.id))
}
