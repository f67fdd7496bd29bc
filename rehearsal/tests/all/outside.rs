//! A scenario that the crate does not know: everything that plays, draws and judges the built-in ones does so with it.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use rehearsal::campaign::{command, draw, one, play, shrink};
use rehearsal::deployment::{DeployedStep, step};
use rehearsal::fault::{Count, Effect, Fits};
use rehearsal::happened::{Happened, Invariant, Seen};
use rehearsal::scenarios::kinds_that_fit;
use rehearsal::{Disaster, Fault, FaultKind, Scene, Script, Start, Truth, World, rehearse, vocabulary};
use serde_json::{Map, Value, json};
use shared::scenario::Scenario;
use simulator::aws::resources::Resource;
use simulator::aws::service::{Answer, Parts, Service};
use simulator::aws::wire::{Call, Reply};
use simulator::environment::Environment;

use crate::PLAN;

/// A storm takes the primary Region; a person sees it, and starts the recovery.
struct Storm;

/// Says of the weather what nobody asks.
struct Weather;

impl Service for Weather {
    fn endpoint(&self) -> Option<&'static str> {
        Some("weather")
    }

    fn operation<'a>(&self, _: &'a Call) -> Option<Cow<'a, str>> {
        None
    }

    fn touched(&self, _: &Environment, _: &Call, _: &str) -> Option<Vec<Resource>> {
        None
    }

    fn answer<'a>(&'a self, _: &'a Arc<Environment>, _: &'a Call, _: &'a str) -> Answer<'a> {
        Reply::json(200, &json!({})).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        Parts::from_iter([("weather".to_owned(), json!("storm"))])
    }
}

thread_local! {
    /// How much rain falls in the rehearsal of this thread.
    static RAIN: Cell<u64> = const { Cell::new(0) };
}

static RAIN_FALLS: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        "rain:<millimetres>",
        "so much rain falls",
        "gets wet",
        |said| {
            let millimetres = said.text("millimetres")?.parse();
            Ok(Box::new(Rain(millimetres.map_err(|_| "it is a number".to_owned())?)))
        },
        |rng, _| Box::new(Rain(rng.u64(1..100))),
    )
};

struct Rain(u64);

impl Effect for Rain {
    fn argument(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn at_the_disaster(&self, _world: &World<'_>) -> Option<Count> {
        RAIN.set(self.0);
        Some(Box::new(|_| 1))
    }
}

fn stays_dry(happened: &Happened<'_>) -> Vec<Seen> {
    let snapshot = happened.simulation.cloud().snapshot();
    assert_eq!(snapshot["weather"], "storm", "what its service holds is seen");
    match RAIN.get() {
        0 => Vec::new(),
        rain => vec![(happened.disaster_at, format!("{rain} mm fell"))],
    }
}

static STEPS: [DeployedStep; 1] = [DeployedStep {
    name: "look-outside",
    ..step::<announce::Announce>()
}];

const MACHINE: &str =
    r#"{"QueryLanguage":"JSONata","StartAt":"LookOutside","States":{"LookOutside":{"Type":"Succeed"}}}"#;

impl Disaster for Storm {
    fn name(&self) -> &'static str {
        "storm"
    }

    fn description(&self) -> &'static str {
        "a storm takes the primary Region"
    }

    fn scenario(&self) -> Scenario {
        Scenario::REGION_FAILURE
    }

    fn steps(&self) -> &'static [DeployedStep] {
        &STEPS
    }

    fn machines(&self) -> &'static [(&'static str, &'static str)] {
        &[("wait-for-sun", MACHINE)]
    }

    fn services(&self) -> Vec<Arc<dyn Service>> {
        vec![Arc::new(Weather)]
    }

    fn set_up<'a>(&'a self, _world: &'a World<'a>) -> Scene<'a> {
        RAIN.set(0);
        Box::pin(async { Ok(()) })
    }

    fn strike<'a>(&'a self, world: &'a World<'a>) -> Scene<'a> {
        Box::pin(async {
            world.cloud().take_region_away(world.other);
            tokio::time::sleep(Duration::from_secs(300)).await;
            Ok(())
        })
    }

    fn start(&self) -> Start {
        Start::Person {
            name: "seen",
            attempts: 1,
            attempts_with_faults: 1,
            again_after: Duration::ZERO,
        }
    }

    fn wants(&self) -> Map<String, Value> {
        Map::from_iter([("intent".to_owned(), json!("failover"))])
    }

    /// Nobody looks at the customers.
    fn truth(&self, _world: &World<'_>, _since: Timestamp) -> Truth {
        Truth {
            rto_seconds: None,
            rpo_seconds: None,
            lost_writes: 0,
        }
    }

    fn invariants(&self) -> &'static [Invariant] {
        &[Invariant {
            name: "stays-dry",
            check: stays_dry,
        }]
    }

    fn faults(&self) -> &'static [&'static FaultKind] {
        static FAULTS: [&FaultKind; 1] = [&RAIN_FALLS];
        &FAULTS
    }
}

fn fault(spec: &str) -> Result<Fault, String> {
    let storm: &dyn Disaster = &Storm;
    Fault::read(spec, kinds_that_fit(storm), &vocabulary([storm]))
}

#[test]
fn it_is_played_and_held_to_what_always_holds() {
    let rehearsal = rehearse(&PLAN, &Script::new(&Storm), 1, |_| {}).unwrap();
    assert_eq!(rehearsal.outcome, "recovered", "{:?}", rehearsal.reason);
    assert_eq!(rehearsal.breaches, []);
    assert_eq!(serde_json::to_value(&rehearsal).unwrap()["scenario"], "storm");
}

#[test]
fn faults_name_what_it_brings() {
    for spec in [
        "rain:3",
        "throttle:weather",
        "kill:look-outside",
        "child-dies:LookOutside",
    ] {
        assert_eq!(fault(spec).unwrap().to_string(), spec);
    }
    let others = ["region-outage", "late-event:5m", "flapping-alarm"];
    assert!(others.into_iter().all(|spec| fault(spec).is_err()), "these do not fit");
    assert!(
        "rain:3".parse::<Fault>().is_err(),
        "the built-in scenarios know no rain"
    );
}

#[test]
fn campaigns_draw_what_fits_and_no_more() {
    let drawn: BTreeSet<&str> = (0..2000)
        .flat_map(|seed| draw(&[&Storm], seed).faults)
        .map(|fault| fault.kind())
        .collect();
    let fit: BTreeSet<&str> = kinds_that_fit(&Storm).into_iter().map(FaultKind::name).collect();
    assert_eq!(drawn, fit);
    assert!(drawn.contains("rain") && drawn.contains("busy") && !drawn.contains("lag"));
}

#[test]
fn its_own_invariant_is_breached_by_its_own_fault_and_shrunk_to_it() {
    let script = Script {
        faults: ["clock-skew:1s", "rain:3"].map(|spec| fault(spec).unwrap()).into(),
        ..Script::new(&Storm)
    };
    let run = one(&PLAN, &script, 1);
    let names: Vec<&str> = run.breaches.iter().map(|breach| breach.invariant).collect();
    assert_eq!(names, ["stays-dry"], "{:?}", run.breaches);
    assert!(run.faults.iter().all(|applied| applied.times > 0), "{:?}", run.faults);
    let small = shrink(&PLAN, &run);
    assert_eq!(
        command(&small.script, small.seed, None),
        "drctl rehearse storm --fault rain:3 --seed 1"
    );

    let dry = |_| Script::new(&Storm);
    let campaign = play(&PLAN, dry, 3, 1, &AtomicBool::new(false), |_| {});
    assert_eq!((campaign.breaches.len(), campaign.scenarios["storm"].runs), (0, 3));
}
