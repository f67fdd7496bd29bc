//! Wait.

use std::time::Duration;

use tokio::time::sleep;

use super::{Done, Extra, Visit};
use crate::definition::Wait;
use crate::errors::TaskFailure;
use crate::time;

/// The longest wait that Step Functions begins, in days: as many seconds as 32 bits hold.
const LONGEST_DAYS: u64 = 24_855;

impl<'a> Visit<'a> {
    pub(super) async fn wait(&self, wait: &'a Wait) -> Result<Done<'a>, TaskFailure> {
        let mut bench = self.bench(Extra::Nothing);
        let duration = match wait {
            Wait::Seconds(template) => Duration::from_secs(bench.whole(template, "Seconds", 0)?),
            Wait::Timestamp(template) => {
                let text = bench.text(template, "Timestamp")?;
                let Some(moment) = time::moment(&text) else {
                    let expected = "a moment in RFC 3339";
                    return Err(bench.wrong(template, "Timestamp", expected, &text.into()));
                };
                // A moment that has passed is no wait.
                Duration::try_from(moment.duration_since(self.frame.run.host.now())).unwrap_or_default()
            }
        };
        drop(bench);
        if duration.as_secs() > LONGEST_DAYS * 24 * 60 * 60 {
            return Err(TaskFailure::runtime(format!(
                "An error occurred while executing the state '{}'. A wait is {LONGEST_DAYS} days at most.",
                self.state.name
            )));
        }
        sleep(duration).await;
        self.complete(None)
    }
}
