//! The times that a recovery's steps observed: what it achieved is worked out from them, also where the execution that
//! would have handed them on has died.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::table::{Record, key, recovery_key, text};
use super::timeline::execution_name;
use crate::error::StepError;
use crate::measure::Observed;
use crate::recovery::RecoveryRef;

/// How long keeping what was observed may take where somebody waits for it.
const KEEP_LIMIT: Duration = Duration::from_secs(2);

/// What one step observed; what it leaves out stays as another one saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// As in [`Observed`].
    #[serde(default)]
    pub impact_at: Option<Timestamp>,
    /// As in [`Observed`].
    #[serde(default)]
    pub impact_assumed: Option<bool>,
    /// As in [`Observed`].
    #[serde(default)]
    pub decided_at: Option<Timestamp>,
    /// As in [`Observed`].
    #[serde(default)]
    pub healthy_at: Option<Timestamp>,
    /// As in [`Observed`].
    #[serde(default)]
    pub last_committed_at: Option<Timestamp>,
    /// As in [`Observed`].
    #[serde(default)]
    pub last_surviving_at: Option<Timestamp>,
    /// As in [`Observed`].
    #[serde(default)]
    pub can_lose_writes: Option<bool>,
}

impl Sighting {
    /// What `observed` does not know, from here.
    pub fn complete(self, observed: Observed) -> Observed {
        Observed {
            impact_at: observed.impact_at.or(self.impact_at),
            impact_assumed: match observed.impact_at {
                Some(_) => observed.impact_assumed,
                None => self.impact_assumed.unwrap_or_default(),
            },
            decided_at: observed.decided_at.or(self.decided_at),
            healthy_at: observed.healthy_at.or(self.healthy_at),
            last_committed_at: observed.last_committed_at.or(self.last_committed_at),
            last_surviving_at: observed.last_surviving_at.or(self.last_surviving_at),
            ..observed
        }
    }

    /// All of it. What no step has said can lose writes may lose them.
    pub fn alone(self) -> Observed {
        self.complete(Observed {
            can_lose_writes: self.can_lose_writes.unwrap_or(true),
            ..Observed::default()
        })
    }

    fn fields(self) -> impl Iterator<Item = (&'static str, AttributeValue)> {
        let times = [
            ("impact_at", self.impact_at),
            ("decided_at", self.decided_at),
            ("healthy_at", self.healthy_at),
            ("last_committed_at", self.last_committed_at),
            ("last_surviving_at", self.last_surviving_at),
        ];
        let times = times
            .into_iter()
            .filter_map(|(name, at)| Some((name, text(&at?.to_string()))));
        let answers = [
            ("impact_assumed", self.impact_assumed),
            ("can_lose_writes", self.can_lose_writes),
        ];
        let answers = answers
            .into_iter()
            .filter_map(|(name, answer)| Some((name, AttributeValue::Bool(answer?))));
        times.chain(answers)
    }
}

impl Record {
    /// Keeps what a step of this execution observed, beside what others did.
    pub async fn note_observed(&self, recovery: &RecoveryRef, sighting: Sighting) -> Result<(), StepError> {
        let sort_key = sort_key(recovery);
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&recovery_key(&recovery.id), &sort_key)));
        let mut set = Vec::new();
        for (name, value) in sighting.fields() {
            set.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        if set.is_empty() {
            return Ok(());
        }
        update
            .update_expression(format!("SET {}", set.join(", ")))
            .send()
            .await
            .map_err(|error| self.failed("dynamodb:UpdateItem", &sort_key, error))?;
        Ok(())
    }

    /// Likewise, within 2 s. It is logged and not more if that fails: what is observed also goes the way of the machine's
    /// output, and must not be asked for again.
    pub async fn keep_observed(&self, recovery: &RecoveryRef, sighting: Sighting) {
        match tokio::time::timeout(KEEP_LIMIT, self.note_observed(recovery, sighting)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "could not record what was observed"),
            Err(_) => tracing::warn!("could not record what was observed: no answer within {KEEP_LIMIT:?}"),
        }
    }

    /// What the steps of this execution observed.
    pub async fn observed(&self, recovery: &RecoveryRef) -> Result<Sighting, StepError> {
        let found = self.item(&recovery_key(&recovery.id), &sort_key(recovery)).await?;
        Ok(found.unwrap_or_default())
    }
}

fn sort_key(recovery: &RecoveryRef) -> String {
    format!("observed#{}", execution_name(recovery))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_does_not_know_the_other_one_says() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let (early, late) = (at("2026-01-06T03:00:00Z"), at("2026-01-06T03:05:00Z"));
        let seen = Sighting {
            impact_at: early,
            healthy_at: late,
            can_lose_writes: Some(false),
            ..Sighting::default()
        };
        let known = Observed {
            impact_at: late,
            can_lose_writes: true,
            ..Observed::default()
        };
        let both = seen.complete(known);
        assert_eq!(
            (both.impact_at, both.healthy_at, both.can_lose_writes),
            (late, late, true)
        );
        let alone = seen.alone();
        assert_eq!(
            (alone.impact_at, alone.healthy_at, alone.can_lose_writes),
            (early, late, false)
        );
        assert!(Sighting::default().alone().can_lose_writes);
        assert_eq!(seen.fields().count(), 3);
    }
}
