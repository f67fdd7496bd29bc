//! Many rehearsals: what they came to, and how the achieved times are distributed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::page::{Block, Page, Section, Table, Text, Todo, Tone};
use crate::plot::Plot;
use crate::words::{humanised, length};

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
    /// What came of each scenario.
    pub scenarios: Vec<ScenarioRuns>,
    /// In how many rehearsals a kind of fault happened, by its name.
    pub faults: BTreeMap<String, u64>,
    /// Where something did not hold that always must.
    pub breaches: Vec<Breach>,
}

/// The rehearsals of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRuns {
    /// The scenario's name.
    pub name: String,
    /// How many there were.
    pub runs: u64,
    /// How many had each outcome.
    pub outcomes: BTreeMap<String, u64>,
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

/// Something that always must hold, and did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// What must hold.
    pub invariant: String,
    /// What was found instead.
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

/// The page of a campaign.
pub(crate) fn page(campaign: &Campaign) -> Page {
    let breaches = campaign.breaches.len();
    let (outcome, tone, sentence) = match breaches {
        0 => (
            "Held",
            Tone::Good,
            "everything that always must hold did so in each of them.".to_owned(),
        ),
        1 => (
            "Breached",
            Tone::Bad,
            "once something did not hold that always must.".to_owned(),
        ),
        more => (
            "Breached",
            Tone::Bad,
            format!("{more} times something did not hold that always must."),
        ),
    };
    let runs = format!(
        "{} rehearsals of {} scenarios: ",
        campaign.runs,
        campaign.scenarios.len()
    );
    let sections = vec![
        Section::new("breaches", "What did not hold", breaches_in_words(campaign)),
        Section::new("scenarios", "What came of them", outcomes(campaign)),
        Section::new("times", "Achieved times", times(campaign)),
        Section::new("faults", "Faults that happened", faults(campaign)),
        Section::new("words", "Words", words()),
    ];
    Page {
        title: campaign.title.clone(),
        notice: Some(
            "These were rehearsals, against a simulated AWS: no real service was lost, and none was changed."
                .to_owned(),
        ),
        outcome: outcome.to_owned(),
        tone,
        sentence: Text::plain(runs + &sentence),
        because: vec![
            Text::plain("They come from seed ")
                .and_code(campaign.seed.to_string())
                .and(" and took ")
                .number(
                    "/campaign/took_seconds",
                    campaign.took_seconds,
                    length(campaign.took_seconds),
                )
                .and(" of real time."),
        ],
        state: Vec::new(),
        day: String::new(),
        sections,
    }
}

fn breaches_in_words(campaign: &Campaign) -> Vec<Block> {
    if campaign.breaches.is_empty() {
        return vec![Block::Paragraph(
            "Nothing: every rehearsal was held against every rule.".into(),
        )];
    }
    let todo = |breach: &Breach| {
        let what = Text::default().strong(breach.invariant.as_str()).and(format!(
            ": {}, at {} with seed {}.",
            breach.what, breach.at, breach.seed
        ));
        Todo::new(what).run("To play it again", breach.command.clone())
    };
    vec![Block::Todo(campaign.breaches.iter().map(todo).collect())]
}

fn outcomes(campaign: &Campaign) -> Vec<Block> {
    let mut names: Vec<&String> = campaign
        .scenarios
        .iter()
        .flat_map(|runs| runs.outcomes.keys())
        .collect();
    // What is hoped for comes first.
    names.sort_by_key(|name| (name.as_str() != "recovered", name.as_str()));
    names.dedup();
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
        caption: "Achieved times, of the rehearsals that measured one".to_owned(),
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
        let lines = [("median", spread.spread.median), ("95 of 100", spread.spread.p95)];
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
}

fn spreads(campaign: &Campaign) -> impl Iterator<Item = Named<'_>> {
    campaign.scenarios.iter().enumerate().flat_map(|(index, runs)| {
        [("rto", &runs.rto), ("rpo", &runs.rpo)].map(|(field, spread)| Named {
            scenario: &runs.name,
            index,
            field,
            spread,
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

fn faults(campaign: &Campaign) -> Vec<Block> {
    if campaign.faults.is_empty() {
        return vec![Block::Paragraph("None beside the disasters themselves.".into())];
    }
    let rows = campaign
        .faults
        .iter()
        .map(|(name, runs)| vec![Text::plain(name.as_str()), runs.to_string().into()]);
    vec![Block::Table(Table {
        caption: "In how many rehearsals each kind of fault happened".to_owned(),
        head: ["Fault", "Rehearsals"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    })]
}

fn words() -> Vec<Block> {
    let words = [
        (
            "Rehearsal",
            "one disaster and the recovery from it, played against a simulated AWS; the same seed plays the same one \
             again",
        ),
        (
            "RTO, recovery time",
            "from the moment at which customers began to suffer until the first healthy answer",
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
