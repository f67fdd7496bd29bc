//! `drctl rehearse`: play a disaster and the recovery from it against a simulated AWS.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use shared::plan::Plan;

use crate::args::RehearseArgs;
use crate::output::{Exit, Output, Paint};
use crate::rehearsal::{Moment, Rehearsal, rehearse};
use crate::view::{Live, Statistics, run_line, summary};

/// Exit status after Ctrl-C, as shells count it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Rehearses a recovery, once or many times.
pub fn run(args: &RehearseArgs, plan: &Plan, output: &mut Output) -> Exit {
    // Nothing outside of this process is ever changed, so there is nothing to clean up.
    let handled = ctrlc::set_handler(|| {
        eprintln!("\ndrctl: interrupted; it was a rehearsal, and nothing was changed");
        std::process::exit(INTERRUPTED);
    });
    if let Err(error) = handled {
        output.error(format_args!("Ctrl-C will end this without a word: {error}"));
    }
    let seed = args.seed.unwrap_or_else(a_new_seed);
    let result = if args.runs == 1 {
        once(args, plan, seed, output)
    } else {
        many(args, plan, seed, output)
    };
    match result {
        Ok(true) => Exit::Success,
        Ok(false) => Exit::Failure,
        Err(why) => {
            output.error(format_args!("{}: {why}", args.plan.display()));
            Exit::WrongUse
        }
    }
}

/// Small enough to be typed again.
fn a_new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    fastrand::Rng::with_seed(now.as_nanos() as u64).u64(1..1_000_000)
}

/// One rehearsal, shown while it goes on. Says whether it did what it is for.
fn once(args: &RehearseArgs, plan: &Plan, seed: u64, output: &mut Output) -> Result<bool, String> {
    let show = !args.json && !args.quiet;
    if show {
        let line = format!(
            "Rehearsing {} of {}, seed {seed}. The clock is virtual (UTC).",
            args.scenario, plan.workload
        );
        output.line(output.paint(Paint::Faint, &line));
        output.line("");
    }
    let (send, moments) = mpsc::channel::<Moment>();
    let rehearsal = thread::scope(|scope| {
        // Virtual time needs a thread of its own: waiting for the terminal must not hold it up.
        let rehearsing = scope.spawn(move || {
            rehearse(plan, args.scenario, seed, move |moment| {
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
            .unwrap_or_else(|_| Err("the rehearsal panicked, which is a defect; please report it".to_owned()))
    })?;
    if args.json {
        output.line(serde_json::to_string(&rehearsal).map_err(|error| error.to_string())?);
    } else {
        if show {
            output.line("");
        }
        summary(&rehearsal, output);
    }
    Ok(rehearsal.succeeded())
}

/// Many rehearsals, on all cores; their order is that of their seeds. Says whether every one did what it is for.
fn many(args: &RehearseArgs, plan: &Plan, first_seed: u64, output: &mut Output) -> Result<bool, String> {
    let next = AtomicU32::new(0);
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(args.runs as usize);
    let (send, results) = mpsc::channel::<(u32, Result<Rehearsal, String>)>();
    let mut done: Vec<Rehearsal> = Vec::new();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= args.runs {
                        break;
                    }
                    let seed = first_seed.wrapping_add(u64::from(run));
                    let rehearsal = rehearse(plan, args.scenario, seed, |_| {});
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
                    output.line(run_line(&rehearsal, output));
                }
                done.push(rehearsal);
            }
        }
        Ok::<(), String>(())
    })?;
    let statistics = Statistics::of(&done);
    if args.json {
        let object = json!({ "runs": done, "rto_seconds": statistics.rto, "rpo_seconds": statistics.rpo });
        output.line(object);
    } else {
        statistics.show(&done, output);
    }
    Ok(done.iter().all(Rehearsal::succeeded))
}
