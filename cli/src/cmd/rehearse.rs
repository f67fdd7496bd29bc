//! `drctl rehearse`: play a disaster and the recovery from it against a simulated AWS.

use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rehearsal::scenarios::{ALL, fault_kinds};
use rehearsal::{FaultKind, Moment, Rehearsal, Script, Spread, compatible, deployments, rehearse, spawn_with_room};
use report::Account;
use serde::Serialize;
use shared::aws::Aws;
use shared::metric::Metrics;
use shared::plan::Plan;
use shared::recovery::Outcome;
use shared::slices::Slices;

use super::campaign;
use crate::account;
use crate::args::{Disasters, RehearseArgs, ReportFormat};
use crate::output::{Exit, INTERRUPTED, Output, Paint, dumb, one_line};
use crate::view::{self, Live, Statistics, run_line, summary};

/// Rehearses a recovery, once or many times.
pub fn run(args: &RehearseArgs, plan: &Plan, output: &mut Output) -> Exit {
    let disasters = match args.disasters {
        Some(Disasters::One(disaster)) => vec![disaster],
        Some(Disasters::All) | None => ALL.to_vec(),
    };
    // Said before anything else is printed: nothing runs then.
    for disaster in &disasters {
        if let Err(why) = deployments(plan, *disaster, true) {
            output.error(format_args!("{}: {why}", one_line(&args.plan.display())));
            return Exit::WrongUse;
        }
    }
    let seed = args.seed.unwrap_or_else(a_new_seed);
    if let Some(runs) = args.campaign {
        return campaign::run(args, plan, &disasters, runs, seed, output);
    }
    if let Err(error) = ctrlc::set_handler(interrupted) {
        output.error(format_args!("Ctrl-C will end this without a word: {error}"));
    }
    let script = match script(args) {
        Ok(script) => script,
        Err(why) => {
            output.error(why);
            return Exit::WrongUse;
        }
    };
    let result = if args.runs == 1 {
        once(args, &script, plan, seed, output)
    } else {
        many(args, &script, plan, seed, output)
    };
    match result {
        Ok(exit) => exit,
        Err(why) => {
            output.error(why);
            Exit::Failure
        }
    }
}

/// Shows every fault that can be rehearsed.
pub fn list_faults(output: &mut Output) -> Exit {
    let kinds = fault_kinds();
    let width = kinds.iter().map(|kind| kind.form.len()).max().unwrap_or_default() + 2;
    for FaultKind {
        form, what, expected, ..
    } in kinds
    {
        if view::wide(output) {
            output.wrapped(format_args!("{form:<width$}{what}"), width);
            output.wrapped(
                output.paint(Paint::Faint, &format!("{:<width$}the recovery {expected}", "")),
                width,
            );
        } else {
            output.wrapped(form, 2);
            output.wrapped(format_args!("  {what}"), 2);
            output.wrapped(output.paint(Paint::Faint, &format!("  the recovery {expected}")), 2);
        }
    }
    Exit::Success
}

/// What is asked for. Errors: `all` without a campaign, faults that cannot be together, an event's file that cannot be read
/// or is no JSON.
fn script(args: &RehearseArgs) -> Result<Script, String> {
    let Some(Disasters::One(disaster)) = args.disasters else {
        return Err("all scenarios are played by a campaign only; say how many runs: --campaign 1000".to_owned());
    };
    let mut script = Script::new(disaster);
    compatible(&args.fault)?;
    script.faults.clone_from(&args.fault);
    script.resume = args.resume;
    script.account = args.report.is_some();
    script.stop_at.clone_from(&args.stop_at);
    if let Some(file) = &args.event {
        let name = one_line(&file.display());
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        let event = serde_json::from_str(&text).map_err(|error| format!("{name} is not JSON: {error}"))?;
        script.event = Some(event);
    }
    Ok(script)
}

/// Nothing outside of this process is ever changed, so there is nothing to clean up but the line that is being drawn.
/// Nobody may be reading what is said here, which must not keep it from ending.
fn interrupted() {
    let mut stderr = io::stderr();
    let tidy = match (stderr.is_terminal(), dumb()) {
        (false, _) => "",
        (true, false) => "\r\x1b[K",
        (true, true) => "\n",
    };
    let _ = writeln!(
        stderr,
        "{tidy}drctl: interrupted; it was a rehearsal, and nothing was changed"
    );
    std::process::exit(INTERRUPTED);
}

/// Small enough to be typed again.
fn a_new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    fastrand::Rng::with_seed(now.as_nanos() as u64).u64(1..1_000_000)
}

/// One rehearsal. That it cannot be played is a defect, not wrong use; the seed is said, to find it again.
fn play(
    plan: &Plan,
    script: &Script,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let rehearsed = script.disaster.name();
    catch_unwind(AssertUnwindSafe(|| rehearse(plan, script, seed, watch)))
        .unwrap_or_else(|_| Err("it panicked".to_owned()))
        .map_err(|why| {
            format!(
                "the rehearsal of {rehearsed} with seed {seed} broke off, which is a defect; please report it: {why}"
            )
        })
}

/// How a rehearsal ended, for whoever called. With `expected` it is well where it ended so.
fn exit_of(rehearsal: &Rehearsal, expected: Option<Outcome>) -> Exit {
    if !rehearsal.breaches.is_empty() {
        return Exit::RuleBroken;
    }
    if rehearsal.without_effect().next().is_some() {
        return Exit::Failure;
    }
    if let Some(expected) = expected {
        return match rehearsal.outcome == expected.name() {
            true => Exit::Success,
            false => Exit::Failure,
        };
    }
    let ended_as = |outcomes: &[Outcome]| outcomes.iter().any(|outcome| rehearsal.outcome == outcome.name());
    if rehearsal.within_objectives {
        Exit::Success
    } else if ended_as(&[Outcome::Recovered]) && !rehearsal.met.within() {
        Exit::AboveMaximum
    } else if ended_as(&[Outcome::Refused, Outcome::Declined, Outcome::Expired]) {
        Exit::NotBegun
    } else {
        Exit::Failure
    }
}

/// One rehearsal, shown while it goes on.
fn once(args: &RehearseArgs, script: &Script, plan: &Plan, seed: u64, output: &mut Output) -> Result<Exit, String> {
    let show = !args.json && !args.quiet;
    if show {
        let line = format!(
            "Rehearsing {} of {} with seed {seed}, against a simulated AWS. The clock is virtual (UTC); +… is the time since \
             the disaster.",
            script.disaster.name(),
            plan.workload
        );
        output.wrapped(output.paint(Paint::Faint, &line), 0);
        output.line("");
    }
    let (send, moments) = mpsc::channel::<Moment>();
    let rehearsal = thread::scope(|scope| {
        // Virtual time needs a thread of its own: waiting for the terminal must not hold it up.
        let rehearsing = spawn_with_room(scope, move || {
            play(plan, script, seed, move |moment| {
                // Whoever watches may have stopped; the rehearsal goes on.
                let _ = send.send(moment);
            })
        });
        let mut live = Live::default();
        for moment in moments {
            if show {
                live.show(&moment, output);
            }
        }
        live.end(output);
        rehearsing
            .join()
            .unwrap_or_else(|_| Err("the rehearsal panicked".to_owned()))
    })?;
    if let Some(file) = &args.report {
        write_report(file, rehearsal.account.as_ref())?;
    }
    if args.json {
        output.line(serde_json::to_string(&rehearsal).map_err(|error| error.to_string())?);
    } else {
        if show {
            output.line("");
        }
        summary(&rehearsal, plan, output);
    }
    if args.publish {
        publish(&rehearsal, plan, args.json, output)?;
    }
    Ok(exit_of(&rehearsal, args.expect))
}

/// Publishes what a rehearsal achieved in the standby Region of the real account. Errors: a text, if that fails.
fn publish(rehearsal: &Rehearsal, plan: &Plan, json: bool, output: &mut Output) -> Result<(), String> {
    let region = &plan.regions.standby.region;
    let slices = Slices::new(plan, rehearsal.scenario.scenario(), region)?;
    let published = async |aws: &Aws| {
        let metrics = Metrics::in_region(aws, region);
        let (scenario, achieved) = (rehearsal.scenario.name(), &rehearsal.achieved);
        metrics
            .publish_achieved(&slices.probe, scenario, rehearsal.mode, aws.now(), achieved)
            .await
    };
    let mut outcome = None;
    account::in_its_account(plan, output, async |aws, _, _| {
        outcome = Some(published(aws).await);
        Exit::Success
    });
    // Why nothing came about is said.
    match outcome.ok_or("nothing could be published")? {
        // What is printed is one JSON object, and nothing else.
        Ok(_) if json => Ok(()),
        Ok(true) => {
            let namespace = &slices.probe.namespace;
            output.line(format_args!("Published in {region}, namespace {namespace}."));
            Ok(())
        }
        Ok(false) => {
            output.line("Nothing was measured, so nothing is published.");
            Ok(())
        }
        Err(error) => Err(format!("what was achieved could not be published: {error}")),
    }
}

/// Writes the report of a recovery. Errors: there was none, or the file cannot be written.
fn write_report(file: &Path, account: Option<&Account>) -> Result<(), String> {
    let name = one_line(&file.display());
    let account =
        account.ok_or_else(|| format!("{name}: no recovery was opened, so that there is nothing to report"))?;
    let text = match ReportFormat::of(file) {
        Some(ReportFormat::Html) | None => report::html(account),
        Some(ReportFormat::Json) => report::json(account).map_err(|error| format!("{name}: {error}"))?,
        Some(ReportFormat::Markdown) => report::markdown(account),
    };
    std::fs::write(file, text).map_err(|error| format!("{name}: {error}"))
}

/// Many rehearsals, on all cores; their order is that of their seeds. Ends as the worst of them.
fn many(
    args: &RehearseArgs,
    script: &Script,
    plan: &Plan,
    first_seed: u64,
    output: &mut Output,
) -> Result<Exit, String> {
    let next = AtomicU32::new(0);
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(args.runs as usize);
    let (send, results) = mpsc::channel::<(u32, Result<Rehearsal, String>)>();
    let mut done: Vec<Rehearsal> = Vec::new();
    let last_seed = first_seed.wrapping_add(u64::from(args.runs - 1));
    let greatest_seed = if last_seed < first_seed { u64::MAX } else { last_seed };
    let seed_width = greatest_seed.to_string().len();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (send, next) = (send.clone(), &next);
            spawn_with_room(scope, move || {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= args.runs {
                        break;
                    }
                    let seed = first_seed.wrapping_add(u64::from(run));
                    let rehearsal = play(plan, script, seed, |_| {});
                    let failed = rehearsal.is_err();
                    if send.send((run, rehearsal)).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = std::collections::BTreeMap::new();
        for (run, rehearsal) in results {
            waiting.insert(run, rehearsal?);
            while let Some(rehearsal) = waiting.remove(&(done.len() as u32)) {
                if !args.json && !args.quiet {
                    run_line(&rehearsal, plan, seed_width, output);
                }
                done.push(rehearsal);
            }
        }
        Ok::<(), String>(())
    })?;
    let statistics = Statistics::of(&done);
    if args.json {
        let runs = Runs {
            runs: &done,
            rto_seconds: statistics.rto,
            rpo_seconds: statistics.rpo,
        };
        output.line(serde_json::to_string(&runs).map_err(|error| error.to_string())?);
    } else {
        if !args.quiet {
            output.line("");
        }
        statistics.show(&done, plan, output);
    }
    let each = done.iter().map(|rehearsal| exit_of(rehearsal, args.expect));
    Ok(each.max().unwrap_or(Exit::Success))
}

/// What `--json` prints for many rehearsals.
#[derive(Serialize)]
struct Runs<'a> {
    runs: &'a [Rehearsal],
    rto_seconds: Spread,
    rpo_seconds: Spread,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rehearsal::campaign::{command, draw};

    use super::*;
    use crate::args::{Args, Verb};

    #[test]
    fn the_command_that_is_printed_is_read_as_what_was_drawn() {
        for seed in 1..=300 {
            let drawn = draw(ALL, seed);
            let line = command(&drawn, seed, None);
            let Verb::Rehearse(args) = Args::try_parse_from(line.split(' ')).unwrap().verb else {
                panic!("{line}");
            };
            assert_eq!((script(&args), args.seed), (Ok(drawn), Some(seed)), "{line}");
        }
    }
}
