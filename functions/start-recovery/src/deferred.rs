//! Looks again at alarms that started nothing while another recovery ran.

use jiff::SignedDuration;
use shared::error::StepError;
use shared::record::{Deferred, Record};

use crate::again::{Again, id_of};
use crate::{Looked, Output, StartRecovery};

/// How long after a recovery's end an alarm may still be about what that recovery has ended: it needs some good minutes in a row.
const SETTLES: SignedDuration = SignedDuration::from_mins(10);

impl StartRecovery {
    /// Starts a recovery for the first alarm that was put off, that nothing stands in the way of any more, and that still stands.
    /// What does not stand any more is forgotten.
    pub(crate) async fn look_at_deferred(&self, looked: &Looked<'_>) -> Result<Option<Output>, StepError> {
        let workload = &looked.plan.workload;
        for deferred in self.record.deferred(workload).await? {
            let Some(why) = self.is_over(workload, &deferred).await? else {
                continue;
            };
            let standing = self.standing(looked.plan, deferred.scenario).await?;
            let started = match standing {
                None => None,
                Some(standing) => {
                    let again = Again {
                        scenario: deferred.scenario,
                        // That recovery may be resumed, and the alarm be put off behind it once more.
                        id: id_of(&standing.arn, &format!("{} {}", deferred.behind, deferred.at)),
                        standing,
                        always_ask: false,
                        subject: "an alarm that had to wait is looked at again",
                        why: format!(
                            "The alarm started nothing at {}, because recovery {} ran in {}. {why}. The alarm is still in ALARM, so a \
                             new recovery looks at it.",
                            deferred.at, deferred.behind, deferred.region
                        ),
                    };
                    let Some(started) = self.start_again(looked, again).await? else {
                        continue;
                    };
                    Some(started)
                }
            };
            self.record.forget_deferred(workload, &deferred).await?;
            if started.is_some() {
                return Ok(started);
            }
        }
        Ok(None)
    }

    /// How it is known that the recovery that ran stands in the way no more; nothing where it does. A Region that does not answer is
    /// no reason to wait for it: whoever opens the new recovery looks there once more.
    async fn is_over(&self, workload: &str, deferred: &Deferred) -> Result<Option<String>, StepError> {
        let (behind, region) = (&deferred.behind, &deferred.region);
        let there = Record::in_region(&self.aws, region);
        let read = async {
            let header = there.header(behind).await?;
            Ok::<_, StepError>((header, there.lock(workload).await?))
        };
        let (header, lock) = match read.await {
            Ok(read) => read,
            Err(error) if region == self.aws.region() => return Err(error),
            Err(error) => return Ok(Some(format!("Could not check whether it still runs: {error}"))),
        };
        let ended = header.as_ref().and_then(|header| header.ended());
        Ok(match ended {
            Some(closing) if self.aws.now().duration_since(closing.closed_at) < SETTLES => None,
            Some(closing) => Some(format!("It ended at {}, as {}", closing.closed_at, closing.outcome)),
            None if lock.is_some_and(|lock| lock.recovery == *behind) => None,
            None => Some("It was stopped, or never went on".to_owned()),
        })
    }
}
