//! Many rehearsals: how they ended, which rules they broke, and how the achieved times are distributed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::plan::{Duration, Objective, Objectives};

use crate::page::{Answer, Block, Page, Section, Table, Text, Todo, Tone, Verdict};
use crate::plot::Plot;
use crate::words::{count, humanised, length};

/// Many rehearsals. All times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// What was rehearsed, in a line.
    pub title: String,
    /// The seed that all of them come from.
    pub seed: u64,
    /// How many rehearsals there were.
    pub runs: u64,
    /// How long they took, by a real clock.
    pub took_seconds: f64,
    /// How the rehearsals of each scenario ended.
    pub scenarios: Vec<ScenarioRuns>,
    /// Kinds of faults by their names: of the rehearsals in which one happened, how many had each outcome.
    pub faults: BTreeMap<String, BTreeMap<String, u64>>,
    /// Each rule that a rehearsal broke.
    pub breaches: Vec<Breach>,
    /// SHA-256 of the plan.
    pub plan_sha256: String,
    /// The version of the program that played it.
    pub version: String,
}

/// The rehearsals of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRuns {
    /// The scenario's name.
    pub name: String,
    /// How many there were.
    pub runs: u64,
    /// What the plan aims at.
    pub objectives: Objectives,
    /// How many had each outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// What plays the first rehearsal of each outcome again.
    pub commands: BTreeMap<String, String>,
    /// The achieved recovery times of those that measured one.
    pub rto: Spread,
    /// The achieved recovery points of those that measured one.
    pub rpo: Spread,
}

/// How measured times are spread. Nothing was measured where `values` is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The least.
    pub minimum: Option<f64>,
    /// The one in the middle.
    pub median: Option<f64>,
    /// The least that 95 of 100 do not exceed.
    pub p95: Option<f64>,
    /// The greatest.
    pub maximum: Option<f64>,
    /// All of them, in ascending order.
    pub values: Vec<f64>,
}

/// A rule that a rehearsal broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The rule's name.
    pub invariant: String,
    /// What happened against it.
    pub what: String,
    /// When in the rehearsal, or where.
    pub at: String,
    /// The rehearsal's seed.
    pub seed: u64,
    /// What plays it again.
    pub command: String,
}

impl Spread {
    /// The spread of `values`, which may be in any order. A percentile is the least value that as many do not exceed.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let percentile = |part: usize| {
            let rank = (values.len() * part).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        Self {
            minimum: values.first().copied(),
            median: percentile(50),
            p95: percentile(95),
            maximum: values.last().copied(),
            values,
        }
    }
}

/// The outcome of a recovery that did what it should.
const RECOVERED: &str = "recovered";

/// What its first screen counts.
struct Counts {
    broken: usize,
    recovered: u64,
    /// Times without service.
    late: Held,
    /// Losses.
    lost: Held,
}

/// Measured times, held against their limits.
#[derive(Clone, Copy, Default)]
struct Held {
    measured: usize,
    above_target: usize,
    above_maximum: usize,
}

impl Held {
    /// Those of each spread, against the limits beside it.
    fn of<'a>(spreads: impl Iterator<Item = (&'a Spread, Option<Objective>)>) -> Self {
        spreads.fold(Self::default(), |held, (spread, objective)| {
            let above = |limit: fn(Objective) -> Duration| {
                let limit = objective.map(|objective| limit(objective).as_secs() as f64);
                let is_above = |value: &&f64| limit.is_some_and(|limit| **value > limit);
                spread.values.iter().filter(is_above).count()
            };
            Self {
                measured: held.measured + spread.values.len(),
                above_target: held.above_target + above(|objective| objective.target),
                above_maximum: held.above_maximum + above(|objective| objective.maximum),
            }
        })
    }
}

impl Counts {
    fn of(campaign: &Campaign) -> Self {
        let scenarios = || campaign.scenarios.iter();
        Self {
            broken: campaign.breaches.len(),
            recovered: scenarios().filter_map(|runs| runs.outcomes.get(RECOVERED)).sum(),
            late: Held::of(scenarios().map(|runs| (&runs.rto, Some(runs.objectives.rto)))),
            lost: Held::of(scenarios().map(|runs| (&runs.rpo, runs.objectives.rpo))),
        }
    }

    /// One that is broken is a defect of ours, and a maximum must not be exceeded. An end without a recovery can be right, and has to
    /// be looked at.
    fn tone(&self, runs: u64) -> Tone {
        if self.broken > 0 || self.above(|held| held.above_maximum) > 0 {
            Tone::Bad
        } else if self.recovered < runs || self.above(|held| held.above_target) > 0 {
            Tone::Warn
        } else {
            Tone::Good
        }
    }

    fn above(&self, of: fn(&Held) -> usize) -> usize {
        of(&self.late) + of(&self.lost)
    }

    fn named(&self) -> [(Held, &'static str); 2] {
        [(self.late, "RTO"), (self.lost, "RPO")]
    }
}

/// The page of a campaign.
pub(crate) fn page(campaign: &Campaign) -> Page {
    let counts = Counts::of(campaign);
    let mut said = vec![
        format!("{} broken", count(counts.broken, "rule", "rules")),
        format!("{} of {} recovered", counts.recovered, campaign.runs),
    ];
    for (held, what) in counts.named() {
        match (held.above_target, held.above_maximum) {
            (0, _) => {}
            (target, 0) => said.push(format!("{target} above the {what} target")),
            (_, maximum) => said.push(format!("{maximum} above the {what} maximum")),
        }
    }
    let sections = vec![
        Section::new("breaches", "Rules broken", breaches_in_words(campaign)),
        Section::new("scenarios", "Outcomes", outcomes(campaign)),
        Section::new("times", "Achieved times", times(campaign)),
        Section::folded("faults", "Outcomes by fault", faults(campaign)),
        Section::folded("again", "Play one again", again(campaign)),
        Section::folded("words", "Words", words()),
        Section::folded("origin", "Origin", origin(campaign)),
    ];
    Page {
        title: campaign.title.clone(),
        strip: vec![
            "REHEARSALS".to_owned(),
            format!("{} on a simulated AWS", campaign.runs),
            format!("seed {}", campaign.seed),
        ],
        verdict: Verdict::new(
            counts.tone(campaign.runs),
            format!("{}.", said.join("; ")),
            vec!["No real service was lost, and nothing real changed.".into()],
        ),
        answers: answers(campaign, &counts),
        pictures: Vec::new(),
        day: String::new(),
        sections,
    }
}

fn answers(campaign: &Campaign, counts: &Counts) -> Vec<Answer> {
    let answer = |question: &'static str, value: String, note: &str, tone: Tone| Answer {
        question,
        value: value.into(),
        gauge: None,
        notes: vec![note.into()],
        tone,
    };
    let all = counts.recovered == campaign.runs;
    let look_at = if counts.broken > 0 {
        "The rules that were broken"
    } else if counts.above(|held| held.above_maximum) > 0 {
        "What is above a maximum"
    } else if counts.above(|held| held.above_target) > 0 {
        "What is above a target"
    } else if all {
        "Nothing stands out"
    } else {
        "What did not recover"
    };
    vec![
        answer(
            "How many recovered?",
            format!("{} of {}", counts.recovered, campaign.runs),
            if all {
                "each rehearsal"
            } else {
                "the others were refused, declined, expired, partial, rolled back or failed: see Outcomes"
            },
            if all { Tone::Good } else { Tone::Warn },
        ),
        above_a_limit(campaign.runs, counts),
        answer(
            "How many rules were broken?",
            counts.broken.to_string(),
            "rules hold in each rehearsal, however it ends",
            if counts.broken > 0 { Tone::Bad } else { Tone::Good },
        ),
        answer(
            "What do I look at first?",
            look_at.to_owned(),
            "each has a command that plays it again",
            Tone::Plain,
        ),
    ]
}

/// How many were above a maximum, of those that measured anything: the others can be above it too.
fn above_a_limit(runs: u64, counts: &Counts) -> Answer {
    let in_words = |of: fn(&Held) -> usize| {
        let said = counts
            .named()
            .map(|(held, what)| format!("{what} {} of {}", of(&held), held.measured));
        said.join(", ")
    };
    let unmeasured = counts
        .named()
        .map(|(held, what)| (runs.saturating_sub(held.measured as u64), what));
    let all_measured = counts.late.measured as u64 == runs;
    let mut notes: Vec<Text> = vec![format!("above a target: {}", in_words(|held| held.above_target)).into()];
    if unmeasured.iter().any(|(number, _)| *number > 0) {
        let said = unmeasured.map(|(number, what)| format!("{what} {number}"));
        notes.push(format!("of {runs} not measured: {}; these may be above it too", said.join(", ")).into());
    }
    Answer {
        question: "How many were above a maximum?",
        value: in_words(|held| held.above_maximum).into(),
        gauge: None,
        notes,
        tone: if counts.above(|held| held.above_maximum) > 0 {
            Tone::Bad
        } else if counts.above(|held| held.above_target) > 0 || !all_measured {
            Tone::Warn
        } else {
            Tone::Good
        },
    }
}

fn breaches_in_words(campaign: &Campaign) -> Vec<Block> {
    if campaign.breaches.is_empty() {
        return vec![Block::Paragraph(
            "None: each rehearsal was checked against each rule.".into(),
        )];
    }
    let todo = |breach: &Breach| {
        let about = format!("{}, at {} with seed {}.", breach.what, breach.at, breach.seed);
        Todo::now(breach.invariant.as_str())
            .about(about)
            .run("Play it again", breach.command.clone())
    };
    vec![Block::Todo(campaign.breaches.iter().map(todo).collect())]
}

/// What plays the first rehearsal of each outcome again.
fn again(campaign: &Campaign) -> Vec<Block> {
    let rows = campaign.scenarios.iter().flat_map(|runs| {
        runs.commands.iter().map(|(outcome, command)| {
            vec![
                Text::plain(format!("{}, {outcome}", runs.name)),
                Text::code(command.as_str()),
            ]
        })
    });
    let rows: Vec<Vec<Text>> = rows.collect();
    if rows.is_empty() {
        return vec![Block::Paragraph("Nothing was played.".into())];
    }
    vec![Block::Table(Table {
        caption: "The first rehearsal of each outcome".to_owned(),
        head: ["Scenario and outcome", "Command"].map(str::to_owned).to_vec(),
        rows,
    })]
}

/// What it was made from.
fn origin(campaign: &Campaign) -> Vec<Block> {
    vec![Block::Facts(vec![
        ("Seed".into(), Text::code(campaign.seed.to_string())),
        (
            "Real time".into(),
            Text::default().number(
                "/campaign/took_seconds",
                campaign.took_seconds,
                length(campaign.took_seconds),
            ),
        ),
        ("Plan (SHA-256)".into(), Text::code(campaign.plan_sha256.as_str())),
        ("Version of drctl".into(), Text::code(campaign.version.as_str())),
    ])]
}

fn outcomes(campaign: &Campaign) -> Vec<Block> {
    let names = outcome_names(campaign.scenarios.iter().map(|runs| &runs.outcomes));
    let head = ["Scenario".to_owned(), "Runs".to_owned()];
    let rows = campaign.scenarios.iter().enumerate().map(|(index, runs)| {
        let count = |pointer: &str, count: u64| {
            Text::default().number(
                &format!("/campaign/scenarios/{index}/{pointer}"),
                count as f64,
                count.to_string(),
            )
        };
        let outcomes = names.iter().map(|name| match runs.outcomes.get(*name) {
            Some(some) => count(
                &format!("outcomes/{}", name.replace('~', "~0").replace('/', "~1")),
                *some,
            ),
            None => "0".into(),
        });
        [runs.name.as_str().into(), count("runs", runs.runs)]
            .into_iter()
            .chain(outcomes)
            .collect()
    });
    vec![Block::Table(Table {
        caption: "How the rehearsals of each scenario ended".to_owned(),
        head: head
            .into_iter()
            .chain(names.iter().map(|name| humanised(name)))
            .collect(),
        rows: rows.collect(),
    })]
}

fn times(campaign: &Campaign) -> Vec<Block> {
    let mut blocks = vec![Block::Table(Table {
        caption: "Achieved times of the rehearsals that measured one".to_owned(),
        head: [
            "Scenario and time",
            "Measured",
            "Least",
            "Median",
            "95 of 100 within",
            "Greatest",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: spreads(campaign).map(|spread| spread.row()).collect(),
    })];
    for spread in spreads(campaign) {
        let limit = |of: fn(Objective) -> Duration| spread.objective.map(|objective| of(objective).as_secs() as f64);
        let lines = [
            ("median", spread.spread.median),
            ("95 of 100", spread.spread.p95),
            ("target", limit(|objective| objective.target)),
            ("maximum", limit(|objective| objective.maximum)),
        ];
        if let Some(plot) = Plot::of(&spread.title(), &spread.spread.values, &lines) {
            blocks.push(Block::Plot(plot));
        }
    }
    blocks
}

/// One spread, and where it is in the JSON form.
struct Named<'a> {
    scenario: &'a str,
    index: usize,
    field: &'static str,
    spread: &'a Spread,
    objective: Option<Objective>,
}

fn spreads(campaign: &Campaign) -> impl Iterator<Item = Named<'_>> {
    campaign.scenarios.iter().enumerate().flat_map(|(index, runs)| {
        let objectives = &runs.objectives;
        [
            ("rto", &runs.rto, Some(objectives.rto)),
            ("rpo", &runs.rpo, objectives.rpo),
        ]
        .map(|(field, spread, objective)| Named {
            scenario: &runs.name,
            index,
            field,
            spread,
            objective,
        })
    })
}

impl Named<'_> {
    fn title(&self) -> String {
        let what = if self.field == "rto" {
            "time without service (RTO)"
        } else {
            "writes lost (RPO)"
        };
        format!("{}: {what}", self.scenario)
    }

    fn row(&self) -> Vec<Text> {
        let figure = |name: &str, seconds: Option<f64>| match seconds {
            Some(seconds) => {
                let pointer = format!("/campaign/scenarios/{}/{}/{name}", self.index, self.field);
                Text::default().number(&pointer, seconds, length(seconds))
            }
            None => "–".into(),
        };
        let spread = self.spread;
        vec![
            self.title().into(),
            spread.values.len().to_string().into(),
            figure("minimum", spread.minimum),
            figure("median", spread.median),
            figure("p95", spread.p95),
            figure("maximum", spread.maximum),
        ]
    }
}

/// A matrix: a row for each kind of fault, a column for each outcome.
fn faults(campaign: &Campaign) -> Vec<Block> {
    if campaign.faults.is_empty() {
        return vec![Block::Paragraph("None beside the disasters themselves.".into())];
    }
    let names = outcome_names(campaign.faults.values());
    let rows = campaign.faults.iter().map(|(fault, outcomes)| {
        let of = |name: &&String| outcomes.get(*name).copied().unwrap_or(0);
        let all: u64 = outcomes.values().sum();
        [Text::plain(fault.as_str()), all.to_string().into()]
            .into_iter()
            .chain(names.iter().map(|name| match of(name) {
                0 => "\u{2013}".into(),
                some => some.to_string().into(),
            }))
            .collect()
    });
    vec![Block::Table(Table {
        caption: "Outcomes of the rehearsals in which each kind of fault happened; one can be in several rows"
            .to_owned(),
        head: ["Fault".to_owned(), "Runs".to_owned()]
            .into_iter()
            .chain(names.iter().map(|name| humanised(name)))
            .collect(),
        rows: rows.collect(),
    })]
}

/// Names of outcomes; what is hoped for comes first.
fn outcome_names<'a>(counted: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> Vec<&'a String> {
    let mut names: Vec<&String> = counted.flat_map(BTreeMap::keys).collect();
    names.sort_by_key(|name| (name.as_str() != RECOVERED, name.as_str()));
    names.dedup();
    names
}

fn words() -> Vec<Block> {
    let words = [
        (
            "Rehearsal",
            "one disaster and the recovery from it, played on a simulated AWS; the same seed plays the same one again",
        ),
        (
            "RTO, recovery time",
            "from the first minute without service to the first healthy answer",
        ),
        (
            "RPO, recovery point",
            "the age, at that moment, of the last write that survived",
        ),
        ("Median", "half of the rehearsals took no longer than this"),
        ("95 of 100 within", "95 of 100 rehearsals took no longer than this"),
    ];
    vec![Block::Facts(
        words.map(|(word, meaning)| (word.into(), meaning.into())).to_vec(),
    )]
}
