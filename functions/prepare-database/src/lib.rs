//! Keeps a restored database from doing again what was done since: before customers reach it, and before people are asked.
//!
//! It would give out numbers a second time, run its jobs again, and hold what was erased or revoked. What cannot be kept from that stops
//! the cut-over.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::approval::Ask;
use shared::aws::Aws;
use shared::error::StepError;
use shared::plan::AfterRestore;
use shared::record::{LEDGER_AT_MOST, Record, Warning, WarningCode};
use shared::recovery::RecoveryRef;
use shared::slices::{DatabaseSlice, SiteSlice};
use shared::sql::{self, Ran, Reached};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

mod ledger;
mod sequences;

use crate::ledger::DoneAgain;
use crate::sequences::Raise;

/// How many reasons against the cut-over are named.
const NAMED: usize = 10;

/// What to prepare.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// The Region.
    pub here: SiteSlice,
    /// The database.
    pub database: DatabaseSlice,
    /// What it would do wrong, and what keeps it from that.
    pub after_restore: AfterRestore,
    /// ARN of the restored cluster.
    pub cluster_arn: String,
    /// The moment that its data are of.
    pub restore_to: Timestamp,
    /// What people are to be asked, to which this adds what was done.
    pub ask: Ask,
}

/// What was done.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// How many sequences are above what was given out since.
    pub above: usize,
    /// How many there are.
    pub sequences: usize,
    /// The jobs that were stopped.
    pub stopped: Vec<String>,
    /// What the ledger has was done again: each kind, and how many entries.
    pub done_again: Vec<(String, usize)>,
    /// Why customers must not come; nothing where they may.
    pub blockers: Vec<String>,
    /// What is left to people although customers may come.
    pub left: Vec<String>,
    /// What people are asked.
    pub ask: Ask,
    /// What people should know.
    pub warnings: Vec<Warning>,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        if !self.blockers.is_empty() {
            return Summary::failed(self.blockers.join("; "));
        }
        Summary::done(done(self).join("; ")).warning(&self.warnings)
    }
}

/// Names as many reasons as a person reads; all of them may not fit into what Step Functions hands on.
fn shorten(blockers: &mut Vec<String>) {
    let more = blockers.len().saturating_sub(NAMED);
    blockers.truncate(NAMED);
    if more > 0 {
        blockers.push(format!("and {more} more"));
    }
}

/// What was done, a line each.
fn done(output: &Output) -> Vec<String> {
    let mut lines = vec![format!(
        "{} of {} sequences were used, and are above what {}",
        output.above,
        output.sequences,
        match output.left.is_empty() {
            true => "was given out since: no number comes twice",
            false => "is known to be given out since",
        }
    )];
    if !output.stopped.is_empty() {
        lines.push(format!("jobs stopped: {}", output.stopped.join(", ")));
    }
    let again: Vec<String> = output
        .done_again
        .iter()
        .map(|(kind, count)| format!("{count} of {kind}"))
        .collect();
    if !again.is_empty() {
        lines.push(format!("done again from the ledger: {}", again.join(", ")));
    }
    lines
}

/// The step: keeps the restored database from doing again what was done.
#[derive(Debug)]
pub struct PrepareDatabase {
    data: Client,
    record: Record,
}

impl Step for PrepareDatabase {
    const NAME: &'static str = "prepare-database";
    const DESCRIPTION: &'static str = "Keeps the restored database from doing again what was done";
    const CHANGES: &'static [Change] = &[Change::Call("rds-data:ExecuteStatement")];
    const TIME_LIMIT: Duration = Duration::from_secs(280);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            // Each statement may be run twice, but none may be given up while the database still works on it.
            data: sql::client(aws),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        let restored = Reached::of(&input.here, &input.database).in_cluster(&input.cluster_arn);
        let mut output = Output {
            above: 0,
            sequences: 0,
            stopped: Vec::new(),
            done_again: Vec::new(),
            blockers: Vec::new(),
            left: Vec::new(),
            ask: input.ask.clone(),
            warnings: Vec::new(),
        };
        // What runs by itself comes first: it is on since the restored database answers.
        self.stop_jobs(&input, restored, &mut output).await?;
        self.do_again(&input, restored, &mut output).await?;
        self.raise(&input, restored, &mut output).await?;
        shorten(&mut output.blockers);
        let mut shown = done(&output);
        let consumers = input.after_restore.consumers.iter();
        let consumers: Vec<&str> = consumers.map(|consumer| consumer.0.as_str()).collect();
        if !consumers.is_empty() {
            shown.push(format!(
                "these lose their place and need a new snapshot: {}",
                consumers.join(", ")
            ));
        }
        shown.extend(output.left.iter().cloned());
        output.ask.shown.extend(shown);
        Ok(output)
    }
}

impl PrepareDatabase {
    async fn stop_jobs(&self, input: &Input, restored: Reached<'_>, output: &mut Output) -> Result<(), StepError> {
        let jobs = input.after_restore.jobs.iter();
        let stops = jobs.map(|job| (job.name.as_str(), job.stop.as_str()));
        let Ran { run, refused } = restored.run_named(&self.data, stops).await?;
        output.stopped = run;
        let refused = refused.iter();
        let refused = refused.map(|(job, error)| format!("job {job} could not be stopped: {error}"));
        output.blockers.extend(refused);
        Ok(())
    }

    async fn do_again(&self, input: &Input, restored: Reached<'_>, output: &mut Output) -> Result<(), StepError> {
        let entries = self
            .record
            .ledger_since(&input.recovery.workload, input.restore_to)
            .await?;
        if entries.len() > LEDGER_AT_MOST {
            let text = format!(
                "the ledger has more than {LEDGER_AT_MOST} entries since {}",
                input.restore_to
            );
            output.blockers.push(text);
            return Ok(());
        }
        let DoneAgain { counts, hindrances } =
            ledger::apply(&self.data, restored, &input.after_restore.ledger, &entries).await?;
        output.done_again = counts.into_iter().collect();
        output.blockers.extend(hindrances);
        Ok(())
    }

    async fn raise(&self, input: &Input, restored: Reached<'_>, output: &mut Output) -> Result<(), StepError> {
        let damaged = Reached::of(&input.here, &input.database);
        let (here, there) = tokio::join!(
            biased;
            sequences::list(&self.data, restored),
            sequences::list(&self.data, damaged),
        );
        let here = here?;
        let margin = input.after_restore.numbers_margin;
        let far =
            format!("raised by {margin} steps above what is known of them, and more than that may have been given out");
        let (there, unknown) = match there {
            Ok(there) => {
                let dropped = sequences::dropped(&here, &there);
                let unknown = (!dropped.is_empty()).then(|| {
                    let names = dropped.join(", ");
                    format!("sequences that were dropped since in the damaged database were {far}: {names}")
                });
                (Some(there), unknown)
            }
            Err(error) => {
                let text =
                    format!("the sequences of the damaged database could not be read; the restored ones were {far}");
                let code = WarningCode::Other("sequences-unread".to_owned());
                let warning = Warning::new(code, &text).about(&input.here.region).because(error);
                output.warnings.push(warning);
                (None, Some(text))
            }
        };
        output.left.extend(unknown);
        let mut raised = Vec::new();
        for sequence in &here {
            match sequences::raise(sequence, there.as_deref(), margin) {
                Raise::Not => {}
                Raise::IsThere => output.above += 1,
                Raise::To(number) => raised.push((sequence.name.clone(), number)),
                Raise::Hindered(why) => output.blockers.push(why),
            }
        }
        sequences::set(&self.data, restored, &raised).await?;
        output.sequences = here.len();
        output.above += raised.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_reasons_are_named_as_fit() {
        let named = |count: usize| {
            let mut blockers: Vec<String> = (0..count).map(|number| format!("entry {number}")).collect();
            shorten(&mut blockers);
            blockers
        };
        assert_eq!(named(0), [""; 0]);
        assert_eq!(named(NAMED).last().unwrap(), "entry 9");
        assert_eq!(
            (named(2000).len(), named(2000).pop().unwrap()),
            (11, "and 1990 more".to_owned())
        );
    }
}
