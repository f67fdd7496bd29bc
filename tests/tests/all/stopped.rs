//! A recovery whose execution ends without its last state: its lock is free within seconds, people are told once, and it can
//! be gone on with. Where the event is lost, the schedule does the same and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{self, MACHINE, PRIMARY, RECOVERY, World, in_virtual_time, request, stopped};

use serde_json::json;
use shared::recovery::{Mode, Outcome};
use simulator::aws::cloudwatch::Metric;
use simulator::aws::sns::Message;
use simulator::faults::ExecutionFault;
use states_language::ExecutionStatus;

const SUBJECT: &str = "a recovery ended without being closed";
const NOT_ANNOUNCED: &str = "a recovery ended as recovered, and may not have been announced";

fn execution(name: &str) -> String {
    format!("arn:aws:states:{RECOVERY}:123456789012:execution:{MACHINE}:{name}")
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Both Regions with everything, but for the rule on executions' ends.
async fn without_the_event() -> World {
    World::good_times_with(common::plan(), |deployment| deployment.rules.clear()).await
}

/// The primary Region is lost, people approve, and the execution is stopped while the database is on its way.
async fn stopped_in_the_middle(world: &World) {
    world.cloud().take_region_away(PRIMARY);
    world.start("one", request("failover"));
    world.approve().await;
    while !world.passed("CheckDatabase") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!world.is_unlocked().await);
    world.stop(&execution("one")).await;
}

/// The primary Region is lost, people approve, and the execution is stopped when it was closed, before it has told so.
async fn stopped_before_it_tells(world: &World) {
    world.cloud().take_region_away(PRIMARY);
    world.cloud().faults.on_executions(ExecutionFault {
        machines: [MACHINE.to_owned()].into(),
        state: "CanAnnounce".to_owned(),
        at_most: Some(1),
        status: ExecutionStatus::Aborted {
            error: String::new(),
            cause: String::new(),
        },
    });
    world.start("one", request("failover"));
    world.approve().await;
    while !world
        .simulation
        .ended()
        .iter()
        .any(|ended| ended.arn == execution("one"))
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    assert!(
        !world
            .messages()
            .iter()
            .any(|message| message.subject.contains("recovered"))
    );
}

/// What people were told of ends that the recovery itself did not tell of.
fn told(world: &World) -> Vec<Message> {
    let messages = world.messages().into_iter();
    let is_of_an_end = |message: &Message| {
        [SUBJECT, NOT_ANNOUNCED]
            .iter()
            .any(|about| message.subject.ends_with(about))
    };
    messages.filter(is_of_an_end).collect()
}

/// How often the schedule found a lock that had outlived its execution.
fn stale(world: &World) -> usize {
    let metric = Metric {
        namespace: world.plan.probe.namespace.clone(),
        name: "StaleLock".to_owned(),
        dimensions: BTreeMap::from([("Workload".to_owned(), world.plan.workload.clone())]),
    };
    let found = world.cloud().cloudwatch.largest(RECOVERY, &metric);
    assert!(found.iter().all(|value| *value == 1.0), "{found:?}");
    found.len()
}

async fn goes_on(world: &World) {
    let id = world.only_header().await.id;
    world.resume(&id).await.unwrap();
    world.wait().await;
    let closing = world.closing().await;
    assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
    assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
}

#[test]
fn a_stopped_recovery_leaves_no_lock_and_is_told_once() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        stopped_in_the_middle(&world).await;
        sleep(5).await;
        assert!(world.is_unlocked().await);
        let header = world.only_header().await;
        let text = &told(&world)[0].text;
        for part in [
            &format!(
                "The execution of recovery {} is ABORTED, and did not close it",
                header.id
            ),
            "promote-database",
            &format!("drctl resume {}", header.id),
            &execution("one"),
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        let undo = world.record.undo_notes(&header.id).await.unwrap();
        assert!(!undo.is_empty() && undo.iter().all(|undo| undo.taken_back_at.is_none()));

        // The same event again, and the schedule, tell nothing more.
        let again = json!({ "event": stopped(&execution("one")) });
        world.step::<release_lock::ReleaseLock>().invoke(again).await.unwrap();
        sleep(900).await;
        assert_eq!((told(&world).len(), stale(&world)), (1, 0));

        goes_on(&world).await;
        sleep(900).await;
        // A recovery that was closed leaves nothing to be told.
        assert_eq!((told(&world).len(), stale(&world)), (1, 0));
        assert_eq!(world.cloud().events.failures(), Vec::<String>::new());
    });
}

#[test]
fn where_the_event_is_lost_the_schedule_frees_the_lock_and_says_so() {
    in_virtual_time(async {
        let world = without_the_event().await;
        stopped_in_the_middle(&world).await;
        sleep(5).await;
        assert!(!world.is_unlocked().await);
        assert_eq!((told(&world).len(), stale(&world)), (0, 0));
        sleep(330).await;
        assert!(world.is_unlocked().await);
        assert_eq!((told(&world).len(), stale(&world)), (1, 1));
        sleep(900).await;
        assert_eq!((told(&world).len(), stale(&world)), (1, 1));
        goes_on(&world).await;
    });
}

#[test]
fn a_recovery_that_is_stopped_when_it_was_closed_is_told_once() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        stopped_before_it_tells(&world).await;
        sleep(5).await;
        let said = told(&world);
        assert!(said.len() == 1 && said[0].subject.ends_with(NOT_ANNOUNCED), "{said:?}");
        assert!(
            said[0]
                .text
                .contains("was closed as recovered. Its execution is ABORTED"),
            "{}",
            said[0].text
        );
        sleep(900).await;
        assert_eq!((told(&world).len(), stale(&world)), (1, 0));
    });
}

#[test]
fn where_the_event_is_lost_the_schedule_tells_how_it_was_closed() {
    in_virtual_time(async {
        let world = without_the_event().await;
        stopped_before_it_tells(&world).await;
        sleep(5).await;
        assert_eq!(told(&world).len(), 0);
        sleep(660).await;
        assert_eq!((told(&world).len(), stale(&world)), (1, 0));
        // The note is gone: nothing is looked up again.
        assert_eq!(world.record.untold(&world.plan.workload).await.unwrap(), []);
    });
}

#[test]
fn a_recovery_that_fails_as_it_should_is_told_as_that_and_not_as_stopped() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world
            .simulation
            .break_function(RECOVERY, "promote-database", "Denied", "no")
            .unwrap();
        world.start("one", request("failover"));
        world.approve().await;
        world.wait().await;
        assert!(world.has_failed());
        sleep(900).await;
        assert!(world.is_unlocked().await && world.calls_of("release-lock") > 0);
        assert_eq!((told(&world).len(), stale(&world)), (0, 0));
    });
}

#[test]
fn one_that_cannot_be_closed_is_freed_too() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world
            .simulation
            .break_function(RECOVERY, "close-recovery", "Denied", "no")
            .unwrap();
        world.start("one", request("switchover"));
        world.wait().await;
        assert!(!world.is_unlocked().await);
        sleep(5).await;
        assert!(world.is_unlocked().await);
        let told = told(&world);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].text.contains("is FAILED, and did not close it"),
            "{}",
            told[0].text
        );
    });
}

#[test]
fn a_holder_that_runs_is_never_freed() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.start("one", request("failover"));
        world.question().await;
        // The schedule looks, people do not answer, and somebody sends an event that is not true.
        let untrue = json!({ "event": stopped(&execution("one")) });
        let error = world.step::<release_lock::ReleaseLock>().invoke(untrue).await;
        assert!(error.unwrap_err().message.contains("does not say so yet"));
        sleep(660).await;
        let lock = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
        assert_eq!(lock.execution, execution("one"));
        // One that has just begun may not be seen yet.
        world
            .record
            .release_lock(&world.plan.workload, &execution("one"))
            .await
            .unwrap();
        let now = world.cloud().now().to_string();
        world
            .lock_by(&execution("unseen"), "unseen", Mode::Rehearsal, &now)
            .await;
        let looked = world
            .step::<release_lock::ReleaseLock>()
            .invoke(json!({}))
            .await
            .unwrap();
        assert_eq!(looked["lock"]["what"], "at-work");
        assert_eq!((told(&world).len(), stale(&world)), (0, 0));
        // Later it is known that there is none.
        sleep(11 * 60).await;
        assert!(world.is_unlocked().await);
        assert!(told(&world)[0].text.contains("It was not opened and cannot be resumed"));
    });
}

#[test]
fn a_lock_that_changed_hands_is_not_taken_from_its_new_owner() {
    in_virtual_time(async {
        let world = without_the_event().await;
        stopped_in_the_middle(&world).await;
        // It is gone on with before the schedule looks.
        goes_on(&world).await;
        sleep(900).await;
        assert_eq!((told(&world).len(), stale(&world)), (0, 0));
        // An event that comes late is of nobody who holds it.
        let late = json!({ "event": stopped(&execution("one")) });
        let next = execution("next");
        let now = world.cloud().now().to_string();
        world.lock_by(&next, "next", Mode::Rehearsal, &now).await;
        let looked = world.step::<release_lock::ReleaseLock>().invoke(late).await.unwrap();
        assert_eq!(looked["lock"], json!({ "what": "held-by-another", "execution": next }));
        assert!(!world.is_unlocked().await && told(&world).is_empty());
    });
}
