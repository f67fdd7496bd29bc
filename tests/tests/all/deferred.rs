//! An alarm that starts nothing while another recovery runs is looked at again when that is over, or its Region does not answer.

use std::time::Duration;

use crate::common::plays::{HOLDER, hold_lock, holders_execution, release_lock};
use crate::common::{PRIMARY, RECOVERY, World, in_virtual_time, killed_after};
use serde_json::json;
use shared::recovery::Outcome;
use shared::request::TriggerKind;
use shared::step::Step;
use simulator::cloud::Reach;
use start_recovery::StartRecovery;

/// Longer than until the schedule has looked.
const LOOKED_BY: Duration = Duration::from_secs(6 * 60);
const AGAIN: &str = "[rehearsal] radiant: an alarm that had to wait is looked at again";

/// A recovery runs in the primary Region, customers do not reach that, and the alarm has started nothing but a refusal.
async fn put_off() -> World {
    let world = World::watched(|_| {}).await;
    hold_lock(&world, PRIMARY).await;
    world.cloud().take_away(PRIMARY, Reach::Customers);
    world.wait().await;
    let closing = world.only_header().await.closing.unwrap();
    assert_eq!(closing.outcome, Outcome::Refused);
    let reason = closing.reason.unwrap();
    assert!(
        reason.contains(HOLDER) && reason.contains("looked at again"),
        "{reason}"
    );
    assert_eq!(waiting(&world).await, 1);
    world
}

/// It waits for as long as the other recovery runs.
async fn put_off_for_long() -> World {
    let world = put_off().await;
    tokio::time::sleep(LOOKED_BY * 5).await;
    assert_eq!((world.headers().await.len(), waiting(&world).await), (1, 1));
    world
}

async fn waiting(world: &World) -> usize {
    world.record.deferred(&world.plan.workload).await.unwrap().len()
}

/// The second recovery has been started by the alarm, people were told once, and nothing waits any more.
async fn is_looked_at_again(world: &World) {
    tokio::time::sleep(LOOKED_BY).await;
    let headers = world.headers().await;
    let [_, again] = &*headers else {
        panic!("{} recoveries", headers.len());
    };
    assert_eq!(again.trigger.kind, TriggerKind::Alarm);
    assert_eq!(waiting(world).await, 0);
    let told = world.subjects().into_iter().filter(|subject| subject == AGAIN);
    assert_eq!(told.count(), 1);
}

#[test]
fn a_region_that_is_lost_in_the_middle_of_its_recovery_is_recovered_from() {
    in_virtual_time(async {
        let world = put_off_for_long().await;
        world.cloud().take_region_away(PRIMARY);
        is_looked_at_again(&world).await;
        // What is known of a Region that is lost in such a way does not do to move unasked.
        let asked = world.question().await;
        world.approve_as_asked(&asked).await;
        world.wait().await;
        let last = world.headers().await.pop().unwrap();
        let closing = last.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        tokio::time::sleep(LOOKED_BY * 5).await;
        assert_eq!(world.headers().await.len(), 2);
    });
}

#[test]
fn an_alarm_that_stands_after_the_other_recovery_is_looked_at() {
    in_virtual_time(async {
        let world = put_off_for_long().await;
        release_lock(&world, PRIMARY).await;
        is_looked_at_again(&world).await;
    });
}

#[test]
fn an_alarm_that_is_over_by_then_is_forgotten() {
    in_virtual_time(async {
        let world = put_off().await;
        world.cloud().give_region_back(PRIMARY);
        tokio::time::sleep(LOOKED_BY * 2).await;
        assert_eq!(waiting(&world).await, 1, "it is looked at when that recovery ends");
        release_lock(&world, PRIMARY).await;
        tokio::time::sleep(LOOKED_BY).await;
        assert_eq!((world.headers().await.len(), waiting(&world).await), (1, 0));
    });
}

/// Killed after any call and run again: one recovery looks again.
#[test]
fn killed_and_run_again_it_starts_one() {
    let look = json!({ "machine": format!("arn:aws:states:{RECOVERY}:123456789012:stateMachine:recovery") });
    for call in 1.. {
        let mut lived = false;
        in_virtual_time(async {
            let world = put_off().await;
            release_lock(&world, PRIMARY).await;
            let step = world.step::<StartRecovery>();
            lived = !killed_after(&world, StartRecovery::NAME, call, step.invoke(look.clone())).await;
            drop(world.step::<StartRecovery>().invoke(look.clone()).await.unwrap());
            let mut started = world.recovery_arns();
            started.retain(|arn| *arn != holders_execution(PRIMARY));
            assert_eq!(started.len(), 2, "after call {call}: {started:?}");
            assert_eq!(waiting(&world).await, 0, "after call {call}");
        });
        if lived {
            assert!(call > 6, "{call}");
            break;
        }
    }
}
