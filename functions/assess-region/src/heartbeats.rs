//! Whether this Region's database has written without a gap: asked where it takes the writes before anything was decided.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::types::{Field, SqlParameter};
use jiff::{SignedDuration, Timestamp};
use shared::error::{ErrorKind, StepError};

use crate::input::Input;

/// How far back heartbeats are looked at where no outage is seen.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_hours(6);
/// How much of the time before an outage is looked at.
pub(crate) const BEFORE_AN_OUTAGE: SignedDuration = SignedDuration::from_mins(5);
/// How many heartbeats must be missing before writes are known to have stopped, and what clocks and the way may add.
const HEARTBEATS_MISSED: i64 = 3;
const ON_THE_WAY: SignedDuration = SignedDuration::from_secs(5);
/// How long the database may take.
const WITHIN: Duration = Duration::from_secs(8);

/// How long a side that writes can be without a heartbeat.
pub(crate) fn longest_pause(heartbeat_seconds: u64) -> SignedDuration {
    let heartbeat = i64::try_from(heartbeat_seconds).unwrap_or(i64::MAX);
    SignedDuration::from_secs(heartbeat.saturating_mul(HEARTBEATS_MISSED)).saturating_add(ON_THE_WAY)
}

/// The heartbeats of a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeats {
    /// Since when they were looked at.
    pub(crate) since: Timestamp,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The longest time between two of them.
    pub(crate) longest_gap: SignedDuration,
}

impl Heartbeats {
    /// Whether they show that this database took writes all the while until `now`.
    pub(crate) fn without_a_gap(&self, heartbeat_seconds: u64, now: Timestamp) -> bool {
        let pause = longest_pause(heartbeat_seconds);
        let gaps = [
            self.first.duration_since(self.since),
            self.longest_gap,
            now.duration_since(self.last),
        ];
        gaps.into_iter().all(|gap| gap <= pause)
    }
}

/// The heartbeats since then; nothing where there are fewer than two. Errors: what the Data API answers, and `Unavailable`
/// where it does not.
pub(crate) async fn since(client: &Client, input: &Input, since: Timestamp) -> Result<Option<Heartbeats>, StepError> {
    let sql = format!(
        "SELECT min(written_ms), max(written_ms), max(gap) FROM (SELECT written_ms, \
         written_ms - lag(written_ms) OVER (ORDER BY written_ms) AS gap \
         FROM {}.heartbeat WHERE written_ms >= :since) AS heartbeats",
        input.database.schema
    );
    let since_ms = SqlParameter::builder()
        .name("since")
        .value(Field::LongValue(since.as_millisecond()))
        .build();
    let asked = client
        .execute_statement()
        .resource_arn(&input.here.cluster_arn)
        .secret_arn(&input.here.secret_arn)
        .database(&input.database.name)
        .sql(sql)
        .parameters(since_ms)
        .send();
    let resource = &input.here.cluster_arn;
    let answer = tokio::time::timeout(WITHIN, asked)
        .await
        .map_err(|_| {
            let text = format!("rds-data:ExecuteStatement on {resource} did not answer within {WITHIN:?}");
            StepError::new(ErrorKind::Unavailable, text)
        })?
        .map_err(|error| StepError::aws("rds-data:ExecuteStatement", resource, error))?;
    let row = answer.records().first().map(Vec::as_slice);
    let Some([Field::LongValue(first), Field::LongValue(last), Field::LongValue(gap)]) = row else {
        return Ok(None);
    };
    let at = |milliseconds: &i64| Timestamp::from_millisecond(*milliseconds).ok();
    Ok(at(first).zip(at(last)).map(|(first, last)| Heartbeats {
        since,
        first,
        last,
        longest_gap: SignedDuration::from_millis(*gap),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_heartbeats_may_be_missing_and_no_more() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let without_a_gap = |first, last, gap| {
            let heartbeats = Heartbeats {
                since: at(0),
                first: at(first),
                last: at(last),
                longest_gap: SignedDuration::from_secs(gap),
            };
            heartbeats.without_a_gap(5, at(3600))
        };
        assert!(without_a_gap(3, 3598, 5));
        assert!(without_a_gap(20, 3580, 20));
        assert!(!without_a_gap(21, 3598, 5), "from the beginning");
        assert!(!without_a_gap(3, 3579, 5), "to the end");
        assert!(!without_a_gap(3, 3598, 21), "and between");
    }
}
