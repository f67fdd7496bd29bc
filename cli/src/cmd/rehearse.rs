//! `drctl rehearse`: play a disaster and the recovery from it against a simulated AWS.

use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rehearsal::scenarios::{ALL, fault_values, faults_by_area};
use rehearsal::{
    Disaster, FaultKind, Moment, OwnTimings, Rehearsal, Script, Spread, compatible, deployments, rehearse,
    spawn_with_room,
};
use report::Account;
use serde::Serialize;
use shared::aws::Aws;
use shared::metric::Metrics;
use shared::plan::Plan;
use shared::recovery::Outcome;
use shared::scenario::Scenario;
use shared::slices::Slices;

use super::campaign;
use crate::account;
use crate::args::{Disasters, RehearseArgs, ReportFormat};
use crate::output::{Exit, INTERRUPTED, Output, Paint, dumb, one_line};
use crate::view::{Live, Statistics, run_line, summary};

/// Rehearses a recovery, once or many times.
pub fn run(args: &RehearseArgs, plan: &Plan, output: &mut Output) -> Exit {
    let disasters = match disasters(args.disasters, plan) {
        Ok(disasters) => disasters,
        Err(why) => {
            output.error(format_args!("{}: {why}", one_line(&args.plan.display())));
            return Exit::WrongUse;
        }
    };
    // Said before anything else is printed: nothing runs then.
    for disaster in &disasters {
        let scenario = disaster.scenario();
        let checked = match plan.scenarios.contains_key(&scenario) {
            true => deployments(plan, *disaster, true).map(drop),
            false => Err(format!(
                "/scenarios/{scenario}: missing; add it to rehearse {}",
                disaster.name()
            )),
        };
        if let Err(why) = checked {
            output.error(format_args!("{}: {why}", one_line(&args.plan.display())));
            return Exit::WrongUse;
        }
    }
    let timings = match args.timings.as_deref().map(own_timings).transpose() {
        Ok(timings) => timings,
        Err(why) => {
            output.error(why);
            return Exit::WrongUse;
        }
    };
    let seed = args.seed.unwrap_or_else(a_new_seed);
    if let Some(runs) = args.campaign {
        return campaign::run(args, plan, &disasters, timings.as_ref(), runs, seed, output);
    }
    if let Err(error) = ctrlc::set_handler(interrupted) {
        output.error(format_args!("Ctrl-C ends this without a message: {error}"));
    }
    let script = match script(args, &disasters) {
        Ok(script) => Script { timings, ..script },
        Err(why) => {
            output.error(why);
            return Exit::WrongUse;
        }
    };
    if args.disasters.is_none() && !args.json && !args.quiet {
        others(script.disaster, plan, output);
    }
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

/// The durations in a team's own file. Errors: it cannot be read, or is not in the form of `timings.yaml`.
fn own_timings(file: &Path) -> Result<OwnTimings, String> {
    let (name, text) = read(file)?;
    OwnTimings::read(&file.display().to_string(), text).map_err(|why| format!("{name}: {}", one_line(&why)))
}

/// The name of a file, as it is printed, and its text. Errors: it cannot be read.
fn read(file: &Path) -> Result<(String, String), String> {
    let name = one_line(&file.display());
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    Ok((name, text))
}

/// What is said of a scenario that a plan declares, and that no machine recovers from yet.
const NOT_YET: &str = "declared in your plan, not available yet";

/// The disasters that are asked for; without any, the one of the plan's first scenario that a machine recovers from. Errors: a text,
/// if there is none.
fn disasters(asked: Option<Disasters>, plan: &Plan) -> Result<Vec<&'static dyn Disaster>, String> {
    match asked {
        Some(Disasters::One(disaster)) => Ok(vec![disaster]),
        Some(Disasters::All) => Ok(ALL.to_vec()),
        Some(Disasters::NotYet(scenario)) => Err(not_available(scenario, plan)),
        None => {
            let mut available = plan.scenarios.keys().filter(|scenario| scenario.machine().is_some());
            let first = available.find_map(|scenario| ALL.iter().find(|disaster| disaster.scenario() == *scenario));
            match first {
                Some(disaster) => Ok(vec![*disaster]),
                None => Err(format!(
                    "/scenarios: nothing can be rehearsed; {}: {NOT_YET}",
                    not_yet(plan).join(", ")
                )),
            }
        }
    }
}

/// The message for a scenario that no machine recovers from yet.
pub(super) fn not_available(scenario: Scenario, plan: &Plan) -> String {
    match plan.scenarios.contains_key(&scenario) {
        true => format!("{scenario}: {NOT_YET}"),
        false => format!("{scenario}: not available yet, and not in your plan"),
    }
}

/// The plan's scenarios that no machine recovers from yet.
fn not_yet(plan: &Plan) -> Vec<&'static str> {
    let scenarios = plan.scenarios.keys().filter(|scenario| scenario.machine().is_none());
    scenarios.map(|scenario| scenario.name()).collect()
}

/// Says what is rehearsed where nobody said it, and what else there is.
fn others(rehearsed: &'static dyn Disaster, plan: &Plan, output: &mut Output) {
    output.wrapped(
        format_args!(
            "No scenario given: this rehearses {}, the first of your plan.",
            rehearsed.name()
        ),
        2,
    );
    let others = ALL.iter().filter(|disaster| **disaster != rehearsed);
    let others: Vec<&str> = others.map(|disaster| disaster.name()).collect();
    if !others.is_empty() {
        output.wrapped(format_args!("Also available: {}.", others.join(", ")), 2);
    }
    let not_yet = not_yet(plan);
    if !not_yet.is_empty() {
        output.wrapped(format_args!("{}: {NOT_YET}.", not_yet.join(", ")), 2);
    }
    output.line("");
}

/// Lists every fault by what it disturbs, with its expected result, and the values that faults take.
pub fn list_faults(output: &mut Output) -> Exit {
    output.wrapped(output.paint(Paint::Strong, "Faults and their expected result"), 2);
    output.wrapped("Inject one with: drctl rehearse SCENARIO --fault FAULT", 2);
    for (area, kinds) in faults_by_area() {
        output.line("");
        output.wrapped(output.paint(Paint::Strong, area.title()), 2);
        for FaultKind {
            form, what, expected, ..
        } in kinds
        {
            output.wrapped(format_args!("  {form}"), 4);
            output.wrapped(format_args!("      {what}"), 6);
            output.wrapped(
                format_args!("      {}", output.paint(Paint::Faint, &format!("→ {expected}"))),
                8,
            );
        }
    }
    output.line("");
    output.wrapped(output.paint(Paint::Strong, "Values"), 2);
    for (name, values) in fault_values() {
        output.wrapped(format_args!("  {name:<12} {values}"), 15);
    }
    Exit::Success
}

/// The script that the arguments describe. Errors: `all` without a campaign, faults that exclude each other, an event's file that
/// cannot be read or is not JSON.
fn script(args: &RehearseArgs, disasters: &[&'static dyn Disaster]) -> Result<Script, String> {
    let [disaster] = disasters else {
        return Err("only a campaign plays all scenarios; give its number of runs: --campaign 1000".to_owned());
    };
    let mut script = Script::new(*disaster);
    compatible(&args.fault)?;
    script.faults.clone_from(&args.fault);
    script.resume = args.resume;
    script.account = args.report.is_some();
    script.stop_at.clone_from(&args.stop_at);
    if let Some(file) = &args.event {
        let (name, text) = read(file)?;
        let event = serde_json::from_str(&text).map_err(|error| format!("{name} is not JSON: {error}"))?;
        script.event = Some(event);
    }
    Ok(script)
}

/// A rehearsal changes nothing outside of this process: only the line that is being drawn is cleaned up. A reader that has gone away
/// must not keep the process from ending.
fn interrupted() {
    let mut stderr = io::stderr();
    let tidy = match (stderr.is_terminal(), dumb()) {
        (false, _) => "",
        (true, false) => "\r\x1b[K",
        (true, true) => "\n",
    };
    let _ = writeln!(stderr, "{tidy}drctl: interrupted; a rehearsal changes nothing on AWS");
    std::process::exit(INTERRUPTED);
}

/// Small enough to be typed again.
fn a_new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    fastrand::Rng::with_seed(now.as_nanos() as u64).u64(1..1_000_000)
}

/// One rehearsal. Errors: a text with the seed, to find it again. Only a panic is a defect of this program.
fn play(
    plan: &Plan,
    script: &Script,
    seed: u64,
    watch: impl Fn(Moment) + Clone + 'static,
) -> Result<Rehearsal, String> {
    let rehearsed = script.disaster.name();
    match catch_unwind(AssertUnwindSafe(|| rehearse(plan, script, seed, watch))) {
        Ok(played) => played.map_err(|why| format!("{rehearsed} with seed {seed} could not be rehearsed: {why}")),
        Err(_) => Err(format!(
            "the rehearsal of {rehearsed} with seed {seed} panicked: this is a defect of drctl, please report it"
        )),
    }
}

/// The exit status of a rehearsal. With `expected`, an outcome that equals it is a success.
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

/// One rehearsal, shown while it runs.
fn once(args: &RehearseArgs, script: &Script, plan: &Plan, seed: u64, output: &mut Output) -> Result<Exit, String> {
    let show = !args.json && !args.quiet;
    if show {
        let line = format!(
            "Rehearsing {} of {} with seed {seed} on a simulated AWS. The clock is virtual (UTC); +… is the time since the \
             disaster.",
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
        let mut live = Live::new(args.verbose);
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
        summary(&rehearsal, plan, args.verbose, output);
    }
    if args.publish {
        publish(&rehearsal, plan, args.json, output)?;
    }
    Ok(exit_of(&rehearsal, args.expect))
}

/// Publishes the achieved RTO and RPO of a rehearsal in the standby Region of the real account. Errors: a text, if that fails.
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
    // The reason is printed before.
    match outcome.ok_or("nothing was published")? {
        // What is printed is one JSON object, and nothing else.
        Ok(_) if json => Ok(()),
        Ok(true) => {
            let namespace = &slices.probe.namespace;
            output.line(format_args!("Published in {region}, namespace {namespace}."));
            Ok(())
        }
        Ok(false) => {
            output.line("Nothing was published: nothing was measured.");
            Ok(())
        }
        Err(error) => Err(format!("RTO and RPO could not be published: {error}")),
    }
}

/// Writes the report of a recovery. Errors: there was none, or the file cannot be written.
fn write_report(file: &Path, account: Option<&Account>) -> Result<(), String> {
    let name = one_line(&file.display());
    let account = account.ok_or_else(|| format!("{name}: not written, because no recovery was opened"))?;
    let text = match ReportFormat::of(file) {
        Some(ReportFormat::Html) | None => report::html(account),
        Some(ReportFormat::Json) => report::json(account).map_err(|error| format!("{name}: {error}"))?,
        Some(ReportFormat::Markdown) => report::markdown(account),
    };
    std::fs::write(file, text).map_err(|error| format!("{name}: {error}"))
}

/// Many rehearsals, on all cores, in the order of their seeds. The exit status is the worst of theirs.
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

/// The object that `--json` prints for many rehearsals.
#[derive(Serialize)]
struct Runs<'a> {
    runs: &'a [Rehearsal],
    rto_seconds: Spread,
    rpo_seconds: Spread,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rehearsal::campaign::draw;

    use super::*;
    use crate::args::{Args, Verb};

    #[test]
    fn the_command_that_is_printed_is_read_as_what_was_drawn() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../radiant.plan.yaml");
        let plan = crate::plan_file::read_plan(file.as_ref()).unwrap();
        for seed in 1..=300 {
            let drawn = draw(ALL, seed);
            let line = drawn.command(seed, None);
            let Verb::Rehearse(args) = Args::try_parse_from(line.split(' ')).unwrap().verb else {
                panic!("{line}");
            };
            let disasters = disasters(args.disasters, &plan).unwrap();
            assert_eq!(
                (script(&args, &disasters), args.seed),
                (Ok(drawn), Some(seed)),
                "{line}"
            );
        }
    }
}
