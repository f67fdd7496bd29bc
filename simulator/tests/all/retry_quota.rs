//! The SDK's retry quota, which the process shares. A test of its own, so that nothing else runs in this process.

use std::time::Duration;

use crate::common::{WEST, World};
use aws_sdk_sns::Client;
use simulator::faults::{CallEffect, CallFault};

/// Publishes so many messages while a share of all calls is throttled; gives which failed, how many calls it took, and
/// how long.
fn publish(messages: usize, share: f64) -> (Vec<usize>, u64, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // The SDK's back-off draws from the thread's generator.
        fastrand::seed(7);
        let world = World::new().await;
        world.cloud.faults.deploy(WEST, ["caller"]);
        world.cloud.faults.on_calls(CallFault {
            share,
            ..CallFault::every(CallEffect::Throttled)
        });
        let began = tokio::time::Instant::now();
        let client = Client::new(world.aws.config());
        let topic = world.plan.topic_arn(&world.plan.regions.standby);
        let mut failed = Vec::new();
        for message in 0..messages {
            let call = client.publish().topic_arn(&topic).message("told");
            if call.send().await.is_err() {
                failed.push(message);
            }
        }
        (failed, world.cloud.calls_of("caller"), began.elapsed())
    })
}

#[test]
fn calls_that_fail_in_one_simulation_change_nothing_in_the_next() {
    let alone = publish(100, 0.6);
    assert!((5..=40).contains(&alone.0.len()), "{alone:?}");
    // The quota of the process would be used up several times.
    let (failed, calls, _) = publish(500, 1.0);
    assert_eq!((failed.len(), calls), (500, 1_500));
    assert_eq!(publish(100, 0.6), alone);
}

#[test]
fn simulations_beside_each_other_change_nothing_in_each_other() {
    let alone = publish(100, 0.6);
    let busy = std::thread::spawn(|| publish(500, 1.0));
    for _ in 0..5 {
        assert_eq!(publish(100, 0.6), alone);
    }
    assert_eq!(busy.join().unwrap().1, 1_500);
}
