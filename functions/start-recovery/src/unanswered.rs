//! Asks again what nobody answered: the last recovery expired, and its alarm still stands.

use shared::error::StepError;
use shared::metric::{Datum, Unit};
use shared::plan::Plan;
use shared::record::{Closing, Header};
use shared::recovery::{Mode, Outcome};

use crate::again::{Again, id_of};
use crate::{Looked, Output, StartRecovery};

/// The metric that says that nobody answered and the alarm stands: an alarm of its own is on it.
const UNANSWERED: &str = "UnansweredQuestion";

impl StartRecovery {
    /// Where the last recovery expired and its alarm stands: says so by a metric, tells people, and starts a recovery that
    /// asks them again. Does so once for each recovery that expired.
    pub(crate) async fn ask_again(&self, looked: &Looked<'_>) -> Result<Option<Output>, StepError> {
        let plan = looked.plan;
        let Some(last) = self.last_serious(&plan.workload).await? else {
            return Ok(None);
        };
        let Some(expired) = expired(&last) else {
            return Ok(None);
        };
        let Some(standing) = self.standing(plan, last.scenario).await? else {
            return Ok(None);
        };
        // Also where the recovery that was to ask again could not be opened.
        self.publish_unanswered(plan).await;
        let again = Again {
            scenario: last.scenario,
            id: id_of(&standing.arn, &expired.execution),
            standing,
            always_ask: true,
            subject: "nobody answered: you are asked again",
            why: format!(
                "Nobody answered recovery {}; its question expired at {}. The alarm is still in ALARM, so a new recovery checks \
                 again and asks you again. Silence approves nothing. To end the questions, decline, or run: drctl automation off",
                last.id, expired.closed_at
            ),
        };
        self.start_again(looked, again).await
    }

    /// The newest recovery that is no drill.
    async fn last_serious(&self, workload: &str) -> Result<Option<Header>, StepError> {
        for id in self.record.recoveries(workload).await?.iter().rev() {
            let header = self.record.header(id).await?;
            if let Some(header) = header.filter(|header| header.mode != Mode::Drill) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Publishes that nobody answered. It is logged and not more if that fails.
    async fn publish_unanswered(&self, plan: &Plan) {
        let datum = Datum {
            name: UNANSWERED,
            value: 1.0,
            unit: Unit::None,
        };
        let dimensions = [("Workload", plan.workload.as_str())];
        let published = self
            .metrics
            .publish(&plan.probe.namespace, &dimensions, self.aws.now(), &[datum])
            .await;
        if let Err(error) = published {
            tracing::warn!(error = %error, "could not publish the metric of an unanswered question");
        }
    }
}

/// How a recovery ended, where nobody answered what it asked.
fn expired(header: &Header) -> Option<&Closing> {
    header.ended().filter(|closing| closing.outcome == Outcome::Expired)
}
