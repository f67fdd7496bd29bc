//! A service that the simulator does not have, brought by somebody else: everything that holds for the simulator's own holds
//! for it by the trait alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::aws::door::Door;
use simulator::aws::quota::Quota;
use simulator::aws::resources::Resource;
use simulator::aws::service::{Answer, Parts, Service};
use simulator::aws::wire::{Call, Reply, UNKNOWN, target_operation};
use simulator::clock::Clock;
use simulator::cloud::Cloud;
use simulator::environment::Environment;
use simulator::faults::{CallEffect, CallFault};
use simulator::simulation::{Conditions, Deployment, Simulation};
use simulator::timings::Timings;

use crate::common::{EAST, WEST, at};

/// Switches that are on or off, by name.
struct Switches {
    on: Mutex<BTreeMap<String, bool>>,
    quota: Quota,
}

impl Switches {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            on: Mutex::default(),
            quota: Quota::new(3, SignedDuration::from_secs(1)),
        })
    }
}

fn named(call: &Call) -> Option<String> {
    let body: Value = serde_json::from_slice(&call.body).ok()?;
    Some(body.get("Name")?.as_str()?.to_owned())
}

impl Service for Switches {
    fn endpoint(&self) -> Option<&'static str> {
        Some("switches")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let operation = target_operation(&call.headers)?;
        ["DescribeSwitch", "FlipSwitch"]
            .contains(&operation)
            .then_some(Cow::Borrowed(operation))
    }

    fn touched(&self, environment: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        let (region, account) = (&call.region, &environment.account);
        let arn = format!("arn:aws:switches:{region}:{account}:switch/{}", named(call)?);
        Some(vec![Resource::new(arn)])
    }

    fn quota(&self, _: &str) -> Option<&Quota> {
        Some(&self.quota)
    }

    fn throttled(&self, _: &Call) -> Reply {
        Reply::json_error(429, "TooManySwitches", "Wait a while")
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        if operation == UNKNOWN {
            return Reply::json_error(501, "NotSimulated", "it has no such operation").into();
        }
        Answer::Later(Box::pin(async move {
            environment
                .clock
                .wait_until(environment.now() + SignedDuration::from_millis(5))
                .await;
            let mut switches = self.on.lock().unwrap();
            let switch = switches.entry(named(call).unwrap_or_default()).or_default();
            *switch ^= operation == "FlipSwitch";
            Reply::json(200, &json!({ "On": *switch }))
        }))
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        let on = self.on.lock().unwrap();
        Parts::from_iter([("switches".to_owned(), json!(*on))])
    }
}

struct World {
    simulation: Simulation,
    door: Door,
}

impl World {
    async fn new() -> Self {
        let plan = serde_saphyr::from_str(include_str!("../../../radiant.plan.yaml")).unwrap();
        let nothing = vec![Deployment::empty(WEST)];
        let services: Vec<Arc<dyn Service>> = vec![Switches::new()];
        let conditions = Conditions {
            seed: 7,
            began_at: at(0),
            timings: Timings::built_in().unwrap(),
            services,
        };
        let simulation = Simulation::begin_in(&plan, nothing, conditions, Box::new(|_| {}));
        let simulation = simulation.await.unwrap();
        simulation.cloud().faults.deploy(WEST, ["caller"]);
        let door = Door::new(simulation.cloud(), simulation.platform(), "caller", WEST);
        Self { simulation, door }
    }

    fn cloud(&self) -> &Arc<Cloud> {
        self.simulation.cloud()
    }

    /// Status and body of the answer; nothing, if none comes within a minute.
    async fn call(&self, region: &str, operation: &str) -> Option<(u16, Value)> {
        let mut request = HttpRequest::new(SdkBody::from(r#"{"Name":"main"}"#));
        request.set_method("POST").unwrap();
        request
            .set_uri(format!("https://switches.{region}.amazonaws.com/"))
            .unwrap();
        request
            .headers_mut()
            .insert("x-amz-target", format!("Switches.{operation}"));
        let answer = tokio::time::timeout(Duration::from_secs(60), self.door.call(request)).await;
        let answer = answer.ok()?.unwrap();
        let body = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
        Some((answer.status().as_u16(), body))
    }

    fn on(&self) -> Value {
        self.cloud().snapshot()["switches"]["main"].clone()
    }
}

fn in_a_world(test: impl AsyncFnOnce(World)) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { test(World::new().await).await });
}

#[test]
fn it_is_found_answers_and_is_part_of_the_snapshot() {
    in_a_world(async |world| {
        let before = world.cloud().snapshot();
        assert_eq!(world.call(WEST, "FlipSwitch").await, Some((200, json!({ "On": true }))));
        assert_eq!(world.on(), json!(true));
        assert_ne!(world.cloud().snapshot(), before);
        let unknown = world.call(WEST, "BreakSwitch").await.unwrap();
        assert_eq!((unknown.0, &unknown.1["__type"]), (501, &json!("NotSimulated")));
    });
}

#[test]
fn what_it_touches_is_kept_and_each_call_is_counted() {
    in_a_world(async |world| {
        world.call(EAST, "DescribeSwitch").await.unwrap();
        let touched = world.cloud().touched();
        let own = touched.iter().find(|touched| touched.service == "switches").unwrap();
        let arn = format!("arn:aws:switches:{EAST}:{}:switch/main", world.cloud().account);
        assert_eq!(own.resources, Ok([Resource::new(arn)].into()));
        assert_eq!((own.operation.as_str(), own.region.as_str()), ("DescribeSwitch", EAST));
        let counted = world.cloud().calls();
        let own = counted.iter().find(|(call, _)| call.service == "switches").unwrap();
        assert_eq!((own.0.operation.as_str(), *own.1), ("DescribeSwitch", 1));
    });
}

#[test]
fn it_is_throttled_and_fails_in_its_own_words_and_loses_replies() {
    in_a_world(async |world| {
        let faults = &world.cloud().faults;
        let on = |effect| CallFault {
            service: Some("switches".to_owned()),
            ..CallFault::every(effect)
        };
        for (effect, status, code) in [
            (CallEffect::Throttled, 429, "TooManySwitches"),
            (CallEffect::ServerError, 500, "InternalFailure"),
            (CallEffect::Denied, 403, "AccessDeniedException"),
        ] {
            let fault = faults.on_calls(on(effect));
            let (answered, body) = world.call(WEST, "FlipSwitch").await.unwrap();
            assert_eq!((answered, &body["__type"]), (status, &json!(code)));
            assert_eq!((faults.applied(fault), world.on()), (1, Value::Null), "nothing is done");
            faults.lift(fault);
        }
        // What changes nothing is left alone, if the fault says so.
        let lost = faults.on_calls(CallFault {
            changes_only: true,
            operation: None,
            ..on(CallEffect::LostReply)
        });
        assert_eq!(
            world.call(WEST, "DescribeSwitch").await,
            Some((200, json!({ "On": false })))
        );
        assert_eq!(world.call(WEST, "FlipSwitch").await, None);
        assert_eq!(
            (faults.applied(lost), world.on()),
            (1, json!(true)),
            "it is done all the same"
        );
    });
}

#[test]
fn its_quota_holds_and_an_outage_silences_it() {
    in_a_world(async |world| {
        let calls = (0..5).map(|_| world.call(WEST, "DescribeSwitch"));
        let answers = futures::future::join_all(calls).await;
        let refused = answers.into_iter().flatten().filter(|(status, _)| *status == 429);
        assert_eq!(refused.count(), 2);
        world.cloud().take_region_away(EAST);
        assert_eq!(world.call(EAST, "DescribeSwitch").await, None);
    });
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_belongs_to_one_service() {
    let (clock, timings) = (Clock::starting_at(at(0)), Timings::built_in().unwrap());
    let twice: Vec<Arc<dyn Service>> = vec![Switches::new(), Switches::new()];
    let refused = Cloud::with_services("123456789012", 7, clock, timings, twice).err();
    assert_eq!(refused.as_deref(), Some("there are two services switches"));
}
