//! Wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::{Done, Extra, Visit};
use crate::definition::Wait;
use crate::errors::TaskFailure;

impl<'a> Visit<'a> {
    pub(super) async fn wait(&self, wait: &'a Wait) -> Result<Done<'a>, TaskFailure> {
        let mut bench = self.bench(Extra::Nothing);
        let duration = match wait {
            Wait::Seconds(template) => Duration::from_secs(bench.whole(template, "Seconds", 0)?),
            Wait::Timestamp(template) => {
                let text = bench.text(template, "Timestamp")?;
                let Ok(moment) = text.parse::<Timestamp>() else {
                    let expected = "a moment in RFC 3339";
                    return Err(bench.wrong(template, "Timestamp", expected, &text.into()));
                };
                // A moment that has passed is no wait.
                Duration::try_from(moment.duration_since(self.frame.run.host.now())).unwrap_or_default()
            }
        };
        drop(bench);
        sleep(duration).await;
        self.complete(None)
    }
}
