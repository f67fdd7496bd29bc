//! Who is asked before a recovery goes on, what they see, and what becomes of everything when they do not want it.

use std::time::Duration;

use crate::common::{ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, World, in_virtual_time, request};
use serde_json::json;
use shared::measure::RpoStatus;
use shared::plan::Plan;
use shared::recovery::Outcome;
use shared::scenario::Scenario;
use simulator::cloud::Reach;
use simulator::faults::{CallEffect, CallFault};

/// Two different people approve.
async fn approve(world: &World, before: usize, reason: Option<&str>) {
    let question = world.nth_question(before).await;
    assert_eq!(world.answer(&question, SECOND, "approve", reason).await.0, 202);
    assert_eq!(world.answer(&question, THIRD, "approve", reason).await.0, 200);
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[test]
fn two_signals_and_a_measured_loss_within_the_target_ask_nobody_and_say_why() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert!(world.questions().is_empty() && !world.passed("RequestApproval"));
        let told = world.messages().pop().unwrap().text;
        for part in [
            "No approval needed",
            "outside-probe, replication-lag, other-control-plane",
            "expected loss",
            "RPO target 5m",
        ] {
            assert!(told.contains(part), "{part} is missing in: {told}");
        }
        assert_eq!(closing.evidence["assessment"]["ask"]["people"], 0);
    });
}

/// The primary is lost after its replication lag became `lag`.
async fn lost_with_lag(lag: Duration, change: fn(&mut Plan)) -> World {
    let world = World::watched(change).await;
    let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
    cloud.rds.set_replication_lag(cloud, global, Some(lag));
    tokio::time::sleep(minutes(6)).await;
    cloud.take_region_away(PRIMARY);
    world
}

#[test]
fn a_loss_above_the_target_is_for_two_people() {
    in_virtual_time(async {
        let world = lost_with_lag(minutes(6), |_| {}).await;
        let question = world.question().await;
        for part in [
            "Expected loss: 360.0 s",
            "above the RPO target",
            "2 different people",
            "Fence: cannot be confirmed",
        ] {
            assert!(question.text.contains(part), "{part} is missing in: {}", question.text);
        }
        assert!(!question.text.contains("needs a reason"), "{}", question.text);
        approve(&world, 0, None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert!(
            world
                .messages()
                .pop()
                .unwrap()
                .text
                .contains(&format!("Approved by {SECOND} and {THIRD}"))
        );
    });
}

#[test]
fn a_loss_above_the_maximum_is_overridden_only_with_a_reason_that_is_kept() {
    in_virtual_time(async {
        let maximum = |plan: &mut Plan| {
            let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
            policy.objectives.rpo.as_mut().unwrap().maximum = shared::plan::Duration::from_secs(420);
        };
        overridden(lost_with_lag(minutes(8), maximum).await).await;
    });
}

#[test]
fn a_loss_that_nobody_knows_is_overridden_only_with_a_reason_that_is_kept() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let global = &world.plan.database.global_cluster;
        world.cloud().rds.publish_replication_lag(global, false);
        tokio::time::sleep(minutes(30)).await;
        world.cloud().take_region_away(PRIMARY);
        overridden(world).await;
    });
}

/// People go on although more than the maximum may be lost.
async fn overridden(world: World) {
    let reason = "the orders are in the queue as well";
    let question = world.question().await;
    assert!(
        question.text.contains("An approval needs a reason"),
        "{}",
        question.text
    );
    assert_eq!(world.answer(&question, SECOND, "approve", None).await.0, 422);
    approve(&world, 0, Some(reason)).await;
    world.wait().await;
    let header = world.only_header().await;
    let closing = header.closing.unwrap();
    assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
    assert_eq!(closing.evidence["approval"]["reasons"], json!([reason, reason]));
    let question = world.record.questions(&header.id).await.unwrap().remove(0);
    let approvals = world.record.approvals(&header.id, &question.ask.id).await.unwrap();
    assert_eq!(approvals.len(), 2);
    assert_eq!(approvals[0].shown, question.ask.shown);
}

#[test]
fn with_one_signal_missing_two_people_are_asked() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        // Nobody reaches it, its APIs do not answer; but replication goes on.
        world.cloud().take_away(PRIMARY, Reach::Apis);
        world.cloud().take_away(PRIMARY, Reach::Customers);
        let question = world.question().await;
        for part in [
            "2 different people",
            "the observer says down; 2 of 3 signals of us-west-2 say down; 1 of all 4 signals say healthy",
            "replication-lag says healthy",
            "AWS Health",
        ] {
            assert!(question.text.contains(part), "{part} is missing in: {}", question.text);
        }
        approve(&world, 0, None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
    });
}

/// What the other control plane is said to say where looks at the primary's cluster fail like this, so many of them.
async fn seen_after(effect: CallEffect, at_most: Option<u64>) -> String {
    let world = World::watched(|_| {}).await;
    let cloud = world.cloud();
    cloud.faults.on_calls(CallFault {
        operation: Some("DescribeDBClusters".to_owned()),
        region: Some(PRIMARY.to_owned()),
        from: cloud.now(),
        at_most,
        ..CallFault::every(effect)
    });
    cloud.take_away(PRIMARY, Reach::Customers);
    let text = world.question().await.text;
    let mut lines = text.lines().filter(|line| line.contains("other-control-plane says"));
    lines.next().unwrap_or_default().to_owned()
}

#[test]
fn a_control_plane_is_down_after_two_looks_of_two_tries_some_seconds_apart() {
    for (at_most, expected) in [
        (Some(1), "says healthy"),
        (Some(2), "says healthy"),
        (Some(3), "says healthy"),
        (None, "says down"),
    ] {
        in_virtual_time(async {
            let said = seen_after(CallEffect::NoAnswer, at_most).await;
            assert!(said.contains(expected), "{at_most:?}: {said}");
        });
    }
    // Two errors of one moment are one piece of evidence.
    in_virtual_time(async {
        let said = seen_after(CallEffect::ServerError, None).await;
        assert!(said.contains("says nothing"), "{said}");
    });
}

#[test]
fn an_alarm_that_wants_people_to_be_asked_has_them_asked() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        tokio::time::sleep(minutes(4)).await;
        let mut wanted = request("decide");
        wanted["always_ask"] = json!(true);
        world.start("asking", wanted);
        let question = world.question().await;
        assert!(question.text.contains("asked for an approval"), "{}", question.text);
        approve(&world, 0, None).await;
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn declined_nothing_was_changed() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("insisting", request("failover"));
        let question = world.question().await;
        let (status, _) = world.answer(&question, SECOND, "decline", Some("it works")).await;
        assert_eq!(status, 200);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Declined);
        let reason = closing.reason.unwrap();
        assert!(reason.contains(SECOND) && reason.contains("it works"), "{reason}");
        world.assert_as_before();
        assert!(world.is_unlocked().await && !world.has_failed() && !world.passed("FenceRegion"));
        assert!(world.subjects().pop().unwrap().ends_with("declined"));
    });
}

#[test]
fn when_nobody_answers_it_expires_at_the_severitys_time_and_never_approves() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("insisting", request("failover"));
        let question = world.question().await;
        let asked_at = world.cloud().now();
        // One of two is not enough.
        assert_eq!(world.answer(&question, SECOND, "approve", None).await.0, 202);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Expired);
        let waited = closing.closed_at.duration_since(asked_at).as_secs();
        assert!((895..=905).contains(&waited), "{waited} s, where a sev1 has 15 minutes");
        assert_eq!(closing.achieved.old_side_wrote_seconds, None, "it writes by right");
        world.assert_as_before();
        assert!(world.is_unlocked().await && !world.has_failed());
        let (status, answer) = world.answer(&question, THIRD, "approve", None).await;
        assert_eq!(status, 409, "{answer}");
    });
}

#[test]
fn what_was_approved_is_looked_at_again_before_it_is_done() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        cloud.rds.set_replication_lag(cloud, global, Some(minutes(6)));
        tokio::time::sleep(minutes(6)).await;
        cloud.take_region_away(PRIMARY);
        world.question().await;
        // The Region comes back while people think: now a switchover would do, or nothing at all.
        cloud.rds.set_replication_lag(cloud, global, None);
        cloud.give_region_back(PRIMARY);
        tokio::time::sleep(minutes(5)).await;
        approve(&world, 0, None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Refused);
        let reason = closing.reason.unwrap();
        assert!(reason.contains("nothing to recover"), "{reason}");
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 0);
        world.assert_as_before();
    });
}

/// People are told that the fence can be confirmed, and then it cannot.
async fn unfenceable() -> World {
    let world = World::good_times(|_| {}).await;
    let broken = world
        .simulation
        .break_function(RECOVERY, "fence-region", "Denied", "no permission");
    broken.unwrap();
    world.start("insisting", request("failover"));
    let question = world.question().await;
    assert!(question.text.contains("the recovery can confirm"), "{}", question.text);
    approve(&world, 0, None).await;
    world
}

#[test]
fn people_who_were_told_of_a_fence_are_asked_again_without_one() {
    in_virtual_time(async {
        let world = unfenceable().await;
        let question = world.nth_question(1).await;
        for part in ["; the fence is not confirmed", "fencing us-east-1 failed"] {
            assert!(question.text.contains(part), "{part} is missing in: {}", question.text);
        }
        approve(&world, 1, None).await;
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn and_when_they_do_not_want_that_the_world_is_as_before() {
    in_virtual_time(async {
        let world = unfenceable().await;
        let question = world.nth_question(1).await;
        world.answer(&question, ON_CALL, "decline", None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Declined, "{:?}", closing.reason);
        world.assert_as_before();
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_fence_is_given_back_exactly_when_the_promotion_is_not_reached() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let promote = "promote-database";
        world
            .simulation
            .break_function(RECOVERY, promote, "Denied", "no permission")
            .unwrap();
        world.start("insisting", request("failover"));
        approve(&world, 0, None).await;
        // It is fenced for a while.
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::RolledBack, "{:?}", closing.reason);
        assert!(world.passed("FenceRegion") && world.passed("TakeBack"));
        assert!(world.calls_to("PutFunctionConcurrency") > 0, "it was fenced");
        tokio::time::sleep(minutes(2)).await;
        world.assert_as_before();
        assert!(world.is_unlocked().await && world.has_failed());
        let undo = world.record.undo_notes(&world.only_header().await.id).await.unwrap();
        assert!(!undo.is_empty() && undo.iter().all(|undo| undo.taken_back_at.is_some()));
    });
}

#[test]
fn a_fence_that_was_left_behind_is_given_back_by_the_next_recovery() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let promote = "promote-database";
        let breaking = |error: &str| world.simulation.break_function(RECOVERY, promote, error, "no").unwrap();
        breaking("Unavailable");
        world.start("first", request("failover"));
        approve(&world, 0, None).await;
        while !world.passed("PromoteDatabase") {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        world
            .stop("arn:aws:states:us-west-2:123456789012:execution:recovery:first")
            .await;
        tokio::time::sleep(minutes(2)).await;
        assert_ne!(world.cloud().snapshot(), world.before, "it is fenced");
        breaking("Denied");
        world.start("second", request("failover"));
        approve(&world, 1, None).await;
        world.wait().await;
        let last = world.headers().await.pop().unwrap().closing.unwrap();
        assert_eq!(last.outcome, Outcome::RolledBack, "{:?}", last.reason);
        tokio::time::sleep(minutes(2)).await;
        world.assert_as_before();
    });
}

/// A planned switchover that hangs.
async fn hanging(hangs: Duration) -> World {
    let world = World::good_times(|_| {}).await;
    world.cloud().rds.hang_next_switchover(world.cloud(), Some(hangs));
    world.start("planned", request("switchover"));
    world
}

#[test]
fn a_switchover_that_does_not_end_becomes_the_question_of_a_failover() {
    in_virtual_time(async {
        let world = hanging(minutes(17)).await;
        let question = world.question().await;
        for part in [
            "after 900 s the switchover has not ended",
            "this cannot be undone",
            "Expected loss",
        ] {
            assert!(question.text.contains(part), "{part} is missing in: {}", question.text);
        }
        tokio::time::sleep(minutes(3)).await;
        approve(&world, 0, Some("customers wait")).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(
            closing.achieved.rpo_status,
            RpoStatus::Measured,
            "it may have lost writes"
        );
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 1);
    });
}

#[test]
fn and_when_people_do_not_want_it_the_world_is_as_before() {
    in_virtual_time(async {
        let world = hanging(minutes(17)).await;
        let question = world.question().await;
        tokio::time::sleep(minutes(3)).await;
        world.answer(&question, SECOND, "decline", None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Declined, "{:?}", closing.reason);
        tokio::time::sleep(minutes(2)).await;
        world.assert_as_before();
        assert_eq!(world.calls_to("FailoverGlobalCluster"), 0);
    });
}

#[test]
fn a_switchover_that_still_hangs_keeps_its_fence_and_says_so() {
    in_virtual_time(async {
        let world = hanging(minutes(90)).await;
        let question = world.question().await;
        world.answer(&question, SECOND, "decline", None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Failed, "{:?}", closing.reason);
        let reason = closing.reason.unwrap();
        assert!(reason.contains("declined by") && reason.contains("fence"), "{reason}");
    });
}

#[test]
fn a_switchover_that_aws_cancels_is_asked_about_at_once() {
    in_virtual_time(async {
        let world = hanging(minutes(2)).await;
        let question = world.question().await;
        assert!(
            question.text.contains("AWS has cancelled the switchover"),
            "{}",
            question.text
        );
        let header = world.only_header().await;
        let after = question.published_at.duration_since(header.opened_at).as_secs();
        assert!(after < 300, "{after} s, where the deadline is 15 minutes");
    });
}

#[test]
fn versions_that_aurora_does_not_fail_over_between_are_refused_with_the_way_by_hand() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let here = world.plan.cluster_arn(&world.plan.regions.standby);
        world.cloud().rds.set_engine_version(&here, "16.4");
        let before = world.cloud().snapshot();
        world.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Refused);
        let reason = closing.reason.unwrap();
        for part in [
            "16.6",
            "16.4",
            "aws rds remove-from-global-cluster --region us-west-2",
            &here,
        ] {
            assert!(reason.contains(part), "{part} is missing in: {reason}");
        }
        assert!(!world.passed("FenceRegion") && world.is_unlocked().await);
        assert_eq!(world.cloud().snapshot(), before);
    });
}

#[test]
fn a_region_whose_apis_are_silent_while_it_serves_is_a_question_and_what_it_writes_on_is_counted() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_away(PRIMARY, Reach::Apis);
        world.start("grey", request("decide"));
        let question = world.question().await;
        for part in [
            "outside-probe says healthy",
            "other-control-plane says down",
            "upper bound",
            "Fence: cannot be confirmed",
        ] {
            assert!(question.text.contains(part), "{part} is missing in: {}", question.text);
        }
        approve(&world, 0, None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert!(!closing.evidence["fence"]["confirmed"].as_bool().unwrap());
        let wrote_on = closing.achieved.old_side_wrote_seconds.unwrap();
        let (platform, cloud) = (world.simulation.platform(), world.cloud());
        let decided_at = closing.observed.decided_at.unwrap();
        let lost = platform.acknowledged_and_lost(cloud, decided_at, cloud.now());
        assert!(!lost.is_empty(), "the old side took writes that are not here");
        assert!(wrote_on > 60.0, "{wrote_on} s");
        let told = world.messages().pop().unwrap().text;
        assert!(told.contains("kept taking writes for at least"), "{told}");
    });
}

#[test]
fn with_a_region_that_serves_again_nothing_is_lost_from_before_the_impact() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_away(PRIMARY, Reach::Customers);
        // Its control plane and its replication work: people are asked, and a switchover recovers and loses nothing.
        approve(&world, 0, None).await;
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(closing.achieved.rpo_status, RpoStatus::NotApplicable);
        assert_eq!(world.calls_to("SwitchoverGlobalCluster"), 1);
        assert_eq!(closing.evidence["fence"]["confirmed"], true);
    });
}

fn without_a_switch_object(plan: &mut Plan) {
    plan.dns.switch_object = None;
}

#[test]
fn an_error_that_no_list_knows_is_tried_again_after_the_point_of_no_return() {
    for error in [
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.ResourceConflictException",
        "Lambda.ResourceNotReadyException",
        "Lambda.CodeArtifactUserPendingException",
    ] {
        in_virtual_time(async move {
            let world = World::good_times(|_| {}).await;
            let simulation = &world.simulation;
            simulation
                .break_function(RECOVERY, "switch-dns", error, "for a moment")
                .unwrap();
            world.cloud().take_region_away(PRIMARY);
            world.start("one", request("failover"));
            world.approve().await;
            while !world.passed("SwitchDns") {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            simulation.mend_function(RECOVERY, "switch-dns").unwrap();
            world.wait().await;
            let closing = world.closing().await;
            assert_eq!(closing.outcome, Outcome::Recovered, "{error}: {:?}", closing.reason);
        });
    }
}

#[test]
fn where_the_change_of_the_record_cannot_be_looked_at_the_health_check_has_the_last_word_at_once() {
    in_virtual_time(async {
        let world = World::good_times(without_a_switch_object).await;
        world.cloud().faults.on_calls(CallFault {
            service: Some("route53".to_owned()),
            operation: Some("GetChange".to_owned()),
            ..CallFault::every(CallEffect::Denied)
        });
        world.start("planned", request("switchover"));
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(world.calls_to("GetChange"), 1, "a refusal is not asked for again");
    });
}

#[test]
fn without_a_switch_object_the_record_is_changed_and_waited_for() {
    in_virtual_time(async {
        let world = World::good_times(without_a_switch_object).await;
        world.start("planned", request("switchover"));
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(world.calls_to("ChangeResourceRecordSets"), 1);
        assert!(world.passed("CheckDns") && !world.passed("SubmitDnsAgain"));
        let undo = world.record.undo_notes(&world.only_header().await.id).await.unwrap();
        let dns = undo.iter().find(|undo| undo.step == "switch-dns").unwrap();
        let before = world.plan.regions.primary.api.domain.as_str();
        assert!(
            dns.previous["values"][0].as_str().unwrap().contains(before),
            "{}",
            dns.previous
        );
    });
}

#[test]
fn a_change_that_route_53_forgets_is_submitted_again() {
    in_virtual_time(async {
        let world = World::good_times(without_a_switch_object).await;
        world.start("planned", request("switchover"));
        while world.calls_to("ChangeResourceRecordSets") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.cloud().route53.forget_changes(world.cloud());
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert!(world.passed("SubmitDnsAgain"));
        assert_eq!(world.calls_to("ChangeResourceRecordSets"), 2);
    });
}

#[test]
fn a_person_takes_over_from_a_recovery_that_runs_once_others_agree() {
    in_virtual_time(async {
        let world = hanging(minutes(4)).await;
        tokio::time::sleep(minutes(1)).await;
        let first = world.only_header().await;
        let mut wanted = request("switchover");
        wanted["take_over"] = json!(first.id);
        world.start("second", wanted);
        let question = world.question().await;
        assert!(question.text.contains(&first.id), "{}", question.text);
        assert_eq!(
            world.answer(&question, ON_CALL, "approve", Some("it hangs")).await.0,
            202
        );
        assert_eq!(world.answer(&question, SECOND, "approve", None).await.0, 422);
        assert_eq!(
            world.answer(&question, SECOND, "approve", Some("it hangs")).await.0,
            200
        );
        world.wait().await;
        let headers = world.headers().await;
        let [first, second] = [0, 1].map(|index| headers[index].closing.clone().unwrap());
        assert_eq!(first.outcome, Outcome::Preempted, "{:?}", first.reason);
        assert!(world.passed("TakeOver"));
        let warning = second.evidence["opening"]["warnings"][0]["text"].as_str().unwrap();
        assert!(
            warning.contains("taken over from") && warning.contains(SECOND),
            "{warning}"
        );
        assert!(world.is_unlocked().await);
    });
}
