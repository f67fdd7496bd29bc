//! `drctl rehearse all --campaign N`: many rehearsals with drawn faults, and the rules that must hold in each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rehearsal::campaign::{Campaign, Drawn, Run, Totals, draw, play, shrink};
use rehearsal::{Breach, Disaster, OwnTimings, Script};
use shared::digest::sha256_hex;
use shared::plan::Plan;

use crate::args::{RehearseArgs, ReportFormat};
use crate::output::{Exit, INTERRUPTED, Output, Paint, one_line};
use crate::view::{cut, known, known_rpo};

/// How often the progress is redrawn on a terminal, and written as a line without one.
const DRAWN_EVERY: Duration = Duration::from_millis(200);
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// How many runs with a breach are shown in full; the others are counted, and all are in the JSON.
const BREACHES_SHOWN: usize = 20;

/// Plays a campaign, and shows its results.
pub fn run(
    args: &RehearseArgs,
    plan: &Plan,
    disasters: &[&'static dyn Disaster],
    timings: Option<&OwnTimings>,
    runs: u32,
    seed: u64,
    output: &mut Output,
) -> Exit {
    let stop = Arc::new(AtomicBool::new(false));
    let asked_to_stop = Arc::clone(&stop);
    let heard = ctrlc::set_handler(move || {
        // A second Ctrl-C does not wait for the runs that are under way.
        if asked_to_stop.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    });
    if let Err(error) = heard {
        output.error(format_args!("Ctrl-C ends this without a message: {error}"));
    }
    let show = !args.json && !args.quiet;
    let mut progress = Progress::new(runs, show);
    let file = (args.plan.as_os_str() != USUAL_PLAN).then(|| args.plan.display().to_string());
    let mut campaign = play(
        plan,
        |seed| Script {
            timings: timings.cloned(),
            ..draw(disasters, seed)
        },
        runs,
        seed,
        &stop,
        |campaign| progress.show(campaign, file.as_deref(), output),
    );
    progress.end(output);
    if args.shrink {
        campaign.breaches = campaign.breaches.iter().map(|run| shrink(plan, run)).collect();
    }
    let took = progress.began.elapsed();
    if let Some(report) = &args.report
        && let Err(why) = write_report(report, &campaign, plan, took, file.as_deref())
    {
        output.error(why);
        return Exit::Failure;
    }
    if args.json {
        match serde_json::to_string(&campaign) {
            Ok(text) => output.line(text),
            Err(error) => {
                output.error(error);
                return Exit::Failure;
            }
        }
    } else {
        table(&campaign, plan, file.as_deref(), output);
        breaches(&campaign, file.as_deref(), output);
    }
    if campaign.runs < runs as usize {
        output.error(format_args!(
            "interrupted after {} of {runs} runs; a rehearsal changes nothing on AWS",
            campaign.runs
        ));
        return Exit::Failure;
    }
    if campaign.breaches.is_empty() {
        Exit::Success
    } else {
        Exit::RuleBroken
    }
}

/// Writes the report of a campaign. Errors: the file cannot be written.
fn write_report(
    file: &Path,
    campaign: &Campaign,
    plan: &Plan,
    took: Duration,
    plan_file: Option<&str>,
) -> Result<(), String> {
    let name = one_line(&file.display());
    let report = reported(campaign, plan, took, plan_file);
    let text = match ReportFormat::of(file) {
        Some(ReportFormat::Html) | None => report::campaign_html(&report),
        Some(ReportFormat::Json) => report::campaign_json(&report).map_err(|error| format!("{name}: {error}"))?,
        Some(ReportFormat::Markdown) => report::campaign_markdown(&report),
    };
    std::fs::write(file, text).map_err(|error| format!("{name}: {error}"))
}

/// A campaign, as its report shows it.
fn reported(campaign: &Campaign, plan: &Plan, took: Duration, plan_file: Option<&str>) -> report::Campaign {
    let counted = |outcomes: &BTreeMap<&'static str, usize>| {
        let each = outcomes.iter();
        each.map(|(name, count)| ((*name).to_owned(), *count as u64)).collect()
    };
    let commands = |totals: &Totals| {
        let each = totals.examples.iter();
        each.map(|(outcome, run)| ((*outcome).to_owned(), run.script.command(run.seed, plan_file)))
            .collect()
    };
    let scenarios = campaign.scenarios.iter().filter_map(|(name, totals)| {
        let scenario = totals.examples.values().next()?.scenario.scenario();
        Some(report::ScenarioRuns {
            name: (*name).to_owned(),
            runs: totals.runs as u64,
            objectives: plan.scenarios.get(&scenario)?.objectives,
            outcomes: counted(&totals.outcomes),
            commands: commands(totals),
            rto: report::Spread::of(totals.rto_seconds.clone()),
            rpo: report::Spread::of(totals.rpo_seconds.clone()),
        })
    });
    let breaches = campaign.breaches.iter().flat_map(|run| {
        run.breaches.iter().map(|breach| report::Breach {
            invariant: breach.invariant.to_owned(),
            what: breach.what.clone(),
            at: breach.at.to_string(),
            seed: run.seed,
            command: run.script.command(run.seed, plan_file),
        })
    });
    let faults = campaign.faults.iter().filter(|(_, drawn)| drawn.applied > 0);
    report::Campaign {
        title: format!("Rehearsals of {}", plan.workload),
        seed: campaign.seed,
        runs: campaign.runs as u64,
        took_seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
        scenarios: scenarios.collect(),
        faults: faults
            .map(|(kind, drawn)| ((*kind).to_owned(), counted(&drawn.outcomes)))
            .collect(),
        breaches: breaches.collect(),
        plan_sha256: plan
            .stored_form()
            .map_or_else(|_| String::new(), |body| sha256_hex(&body)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The default of `--plan`.
const USUAL_PLAN: &str = "radiant.plan.yaml";

/// Shows the progress of a campaign.
struct Progress {
    runs: u32,
    show: bool,
    began: Instant,
    last: Instant,
    drawn: bool,
    /// How many runs with a breach are shown.
    shown: usize,
}

impl Progress {
    fn new(runs: u32, show: bool) -> Self {
        let now = Instant::now();
        Self {
            runs,
            show,
            began: now,
            last: now,
            drawn: false,
            shown: 0,
        }
    }

    /// Shows how far it has come, now and then; and each breach at once, since a campaign takes long.
    fn show(&mut self, campaign: &Campaign, plan: Option<&str>, output: &mut Output) {
        if self.show {
            let left = BREACHES_SHOWN.saturating_sub(self.shown);
            for run in campaign.breaches.iter().skip(self.shown).take(left) {
                self.end(output);
                output.wrapped(output.paint(Paint::Bad, "A breach:"), 2);
                one_run(run, plan, output);
            }
            self.shown = campaign.breaches.len();
        }
        let every = if output.redraws() { DRAWN_EVERY } else { WRITTEN_EVERY };
        if !self.show || self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let done = campaign.runs as f64;
        let rate = done / self.began.elapsed().as_secs_f64();
        let left = (f64::from(self.runs) - done) / rate;
        let line = format!(
            "{} of {} runs, {rate:.1} per second, {}, {} left",
            campaign.runs,
            self.runs,
            counted(campaign.breaches.len(), "breach", "breaches"),
            known(Some(left))
        );
        if output.redraws() {
            let row = cut(&line, output.width().saturating_sub(1));
            output.draw(format_args!("\r\x1b[K{row}"));
            self.drawn = true;
        } else {
            output.wrapped(line, 2);
        }
    }

    fn end(&mut self, output: &mut Output) {
        if self.drawn {
            output.draw("\r\x1b[K");
            self.drawn = false;
        }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {one}"),
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// Shows for each scenario how often it ended with which outcome, and its RTO and RPO; and which faults applied.
fn table(campaign: &Campaign, plan: &Plan, file: Option<&str>, output: &mut Output) {
    for (scenario, totals) in &campaign.scenarios {
        output.wrapped(
            output.paint(Paint::Strong, &format!("{scenario}: {} runs", totals.runs)),
            2,
        );
        for (outcome, count) in &totals.outcomes {
            let share = *count as f64 / totals.runs as f64 * 100.0;
            output.wrapped(format_args!("  {outcome:<14}{count:>7}{share:>7.1} %"), 4);
            if let Some(run) = totals.examples.get(outcome) {
                let example = format!("    example: {}", run.script.command(run.seed, file));
                output.wrapped(output.paint(Paint::Faint, &example), 6);
            }
        }
        spreads(totals, plan, output);
        output.line("");
    }
    if campaign.faults.is_empty() {
        return;
    }
    output.wrapped(
        output.paint(Paint::Strong, "faults                runs   applied in"),
        2,
    );
    for (kind, Drawn { runs, applied, .. }) in &campaign.faults {
        output.wrapped(format_args!("  {kind:<18}{runs:>6}{applied:>13}"), 4);
    }
    output.wrapped(
        output.paint(
            Paint::Faint,
            "A fault does not apply if another fault or the end of the recovery comes first.",
        ),
        2,
    );
    output.line("");
}

fn spreads(totals: &Totals, plan: &Plan, output: &mut Output) {
    let (rto, rpo) = (totals.rto(), totals.rpo());
    output.wrapped(
        format_args!(
            "  {:<6}{:>9}{:>10}{:>10}{:>10}{:>11}",
            "", "minimum", "median", "p95", "maximum", "measured"
        ),
        4,
    );
    output.wrapped(
        format_args!(
            "  {:<6}{:>9}{:>10}{:>10}{:>10}{:>11}",
            "RTO",
            known(rto.minimum),
            known(rto.median),
            known(rto.p95),
            known(rto.maximum),
            rto.count
        ),
        4,
    );
    let [minimum, median, p95, maximum] =
        [rpo.minimum, rpo.median, rpo.p95, rpo.maximum].map(|seconds| known_rpo(seconds, plan));
    output.wrapped(
        format_args!(
            "  {:<6}{minimum:>9}{median:>10}{p95:>10}{maximum:>10}{:>11}",
            "RPO", rpo.count
        ),
        4,
    );
}

/// Shows each broken rule, with the command that plays it again.
fn breaches(campaign: &Campaign, plan: Option<&str>, output: &mut Output) {
    let all = campaign.breaches.len();
    if all == 0 {
        let line = format!("No breach in {} runs (seeds from {}).", campaign.runs, campaign.seed);
        output.wrapped(output.paint(Paint::Good, &line), 2);
        return;
    }
    let line = format!("{} in {} runs:", counted(all, "breach", "breaches"), campaign.runs);
    output.wrapped(output.paint(Paint::Bad, &line), 2);
    for run in campaign.breaches.iter().take(BREACHES_SHOWN) {
        one_run(run, plan, output);
    }
    if all > BREACHES_SHOWN {
        output.wrapped(format_args!("and {} more; --json lists all", all - BREACHES_SHOWN), 2);
    }
}

fn one_run(run: &Run, plan: Option<&str>, output: &mut Output) {
    for Breach { invariant, at, what } in &run.breaches {
        output.wrapped(
            format_args!("  {invariant} at {}: {}", at.strftime("%H:%M:%S"), one_line(what)),
            4,
        );
    }
    output.wrapped(format_args!("  {}", run.script.command(run.seed, plan)), 6);
}
