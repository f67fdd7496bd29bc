//! Erased users, revoked keys and changed passwords come back with the data of then: what the ledger has is done again.

use std::collections::BTreeMap;

use aws_sdk_rdsdata::Client;
use shared::error::StepError;
use shared::plan::LedgerKind;
use shared::record::LedgerEntry;
use shared::sql::{Reached, Refusal, text};

/// What was done again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DoneAgain {
    /// How many entries of each kind.
    pub(crate) counts: BTreeMap<String, usize>,
    /// Why an entry is not done, by its key: its values may be secret.
    pub(crate) hindrances: Vec<String>,
}

/// Does again what the entries say, one after the other: the last change of a password is the one that counts. Errors: one that may
/// pass by itself.
pub(crate) async fn apply(
    client: &Client,
    restored: Reached<'_>,
    kinds: &[LedgerKind],
    entries: &[LedgerEntry],
) -> Result<DoneAgain, StepError> {
    let mut done = DoneAgain::default();
    for entry in entries {
        let Some(kind) = kinds.iter().find(|kind| kind.kind == entry.kind) else {
            let unknown = format!(
                "the ledger's entry {} is of kind {}, which the plan does not name",
                entry.key, entry.kind
            );
            done.hindrances.push(unknown);
            continue;
        };
        let values = || entry.values.iter().map(|(name, value)| text(name, value)).collect();
        if let Some(refusal) = restored.refused(client, &kind.statement, values()).await? {
            done.hindrances.push(not_done(entry, &refusal));
            continue;
        }
        match restored.rows(client, &kind.remains, values()).await {
            Ok(remains) if remains.is_empty() => *done.counts.entry(entry.kind.clone()).or_default() += 1,
            Ok(_) => done.hindrances.push(format!(
                "the ledger's entry {} ({}) was done again, and the plan's check still finds it; correct its statement",
                entry.key, entry.kind
            )),
            Err(refusal) if refusal.error.kind.is_retryable() => return Err(refusal.error),
            Err(refusal) => done.hindrances.push(not_done(entry, &refusal)),
        }
    }
    Ok(done)
}

fn not_done(entry: &LedgerEntry, refusal: &Refusal) -> String {
    format!(
        "the ledger's entry {} ({}) could not be done again: {}; run the plan's statement by hand to see why",
        entry.key,
        entry.kind,
        without_values(refusal)
    )
}

/// Why a statement was refused. PostgreSQL's own sentence repeats the row, so that only its code is taken.
fn without_values(refusal: &Refusal) -> String {
    let state = refusal.error.message.rsplit_once("SQLState: ").map(|(_, state)| state);
    let state = state.and_then(|state| state.get(..5));
    match (state, &refusal.code) {
        (Some(state), _) => format!("the database refused it, SQLState {state}"),
        (None, Some(code)) => format!("the Data API answered {code}"),
        (None, None) => "there was no answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use shared::error::ErrorKind;

    use super::*;

    #[test]
    fn why_an_entry_was_refused_does_not_tell_its_values() {
        let refusal = |code: Option<&str>, message: &str| Refusal {
            code: code.map(str::to_owned),
            error: StepError::new(ErrorKind::Internal, message),
        };
        let duplicate =
            "ERROR: duplicate key; Detail: Key (email)=(someone@example.com) already exists.; SQLState: 23505";
        let why = without_values(&refusal(Some("DatabaseErrorException"), duplicate));
        assert_eq!(why, "the database refused it, SQLState 23505");
        let why = without_values(&refusal(
            Some("BadRequestException"),
            "no parameter someone@example.com",
        ));
        assert_eq!(why, "the Data API answered BadRequestException");
        assert_eq!(
            without_values(&refusal(None, "someone@example.com")),
            "there was no answer"
        );
    }
}
