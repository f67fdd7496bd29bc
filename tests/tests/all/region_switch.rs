//! The machine `region-switch` from end to end: the deployed text, the real steps, the simulated AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{ON_CALL, PRIMARY, RECOVERY, SECOND, World, in_virtual_time, request};
use serde_json::json;
use shared::measure::{Met, RpoStatus};
use shared::record::Record;
use shared::recovery::Outcome;
use shared::scenario::Scenario;
use simulator::aws::lambda::Function;
use simulator::faults::{CallEffect, CallFault};
use states_language::ExecutionStatus;

#[test]
fn a_planned_switchover_loses_nothing() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("planned", request("switchover"));
        world.wait().await;
        let header = world.only_header().await;
        let closing = header.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(closing.achieved.rpo_status, RpoStatus::NotApplicable);
        assert_eq!(closing.met.rpo, Met::NotApplicable);
        assert!(
            closing.achieved.rto_seconds.is_some_and(|seconds| seconds < 600.0),
            "{:?}",
            closing.achieved
        );
        let calls = world.simulation.calls();
        let called = |operation: &str| {
            calls
                .iter()
                .find(|(call, _)| call.operation == operation)
                .map(|(call, _)| call.region.clone())
        };
        assert_eq!(
            called("SwitchoverGlobalCluster").as_deref(),
            Some(PRIMARY),
            "it is called where the writer is"
        );
        assert_eq!(called("FailoverGlobalCluster"), None);
        let cloud = world.simulation.cloud();
        let writer = cloud.rds.writer_of(cloud, &world.plan.database.global_cluster);
        assert_eq!(writer, Some(world.plan.cluster_arn(&world.plan.regions.standby)));
        assert!(world.is_unlocked().await);
        assert_eq!(
            world.subjects(),
            [
                "[rehearsal] radiant: region-failure opened",
                "[rehearsal] radiant: region-failure recovered"
            ]
        );
    });
}

#[test]
fn a_failover_by_hand_before_anything_else_has_noticed_is_for_two_people() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        world.start("by-hand", request("failover"));
        let question = world.question().await;
        assert!(question.text.contains("this cannot be undone"), "{}", question.text);
        assert_eq!(
            world.answer(&question, ON_CALL, "approve", Some("it is dark")).await.0,
            202
        );
        assert_eq!(world.answer(&question, SECOND, "approve", Some("it is")).await.0, 200);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert_eq!(closing.achieved.rpo_status, RpoStatus::Measured);
    });
}

#[test]
fn a_healthy_service_is_left_alone() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("nervous", request("decide"));
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Refused);
        assert!(closing.reason.unwrap().contains("nothing to recover"));
        world.assert_as_before();
        assert!(world.is_unlocked().await && !world.has_failed());
        assert_eq!(world.subjects().len(), 2, "a refusal is told");
    });
}

#[test]
fn a_switchover_is_refused_while_the_other_side_is_away() {
    in_virtual_time(async {
        let world = World::good_times(|plan| {
            plan.alarms
                .retain(|alarm| alarm.start == shared::plan::Start::Automatic)
        })
        .await;
        world.simulation.cloud().take_region_away(PRIMARY);
        world.start("planned", request("switchover"));
        world.wait().await;
        let header = world.headers().await.remove(0);
        let closing = header.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Refused);
        assert!(closing.reason.unwrap().contains("needs both sides healthy"));
    });
}

#[test]
fn one_recovery_runs_at_a_time() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("first", request("switchover"));
        tokio::time::sleep(Duration::from_secs(20)).await;
        world.start("second", request("switchover"));
        world.wait().await;
        let headers = world.headers().await;
        let [first, second] = [0, 1].map(|index| headers[index].closing.clone().unwrap());
        assert_eq!((first.outcome, second.outcome), (Outcome::Recovered, Outcome::Refused));
        let reason = second.reason.unwrap();
        assert!(
            reason.contains(&headers[0].id) && reason.contains("one recovery runs at a time"),
            "{reason}"
        );
        let switchovers = world
            .simulation
            .calls()
            .into_iter()
            .filter(|(call, _)| call.operation == "SwitchoverGlobalCluster");
        assert_eq!(switchovers.map(|(_, count)| count).sum::<u64>(), 1);
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn the_lock_of_an_execution_that_has_ended_is_taken_over() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let claim = shared::record::Claim {
            mode: shared::recovery::Mode::Rehearsal,
            workload: &world.plan.workload,
            execution: "arn:aws:states:us-west-2:123456789012:execution:recovery:long-gone",
            recovery: "left-behind",
            at: "2026-01-05T12:00:00Z".parse().unwrap(),
        };
        world.record.claim_lock(&claim, None).await.unwrap();
        world.start("next", request("switchover"));
        world.wait().await;
        assert_eq!(world.only_header().await.closing.unwrap().outcome, Outcome::Recovered);
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_wrong_input_is_refused_and_leaves_nothing_locked() {
    in_virtual_time(async {
        for wrong in [json!({}), json!([]), json!("region-failure"), json!(null), {
            let mut input = request("decide");
            input["wants"]["intent"] = json!("destroy");
            input
        }] {
            let world = World::good_times(|_| {}).await;
            world.start("wrong", wrong.clone());
            world.wait().await;
            assert!(world.headers().await.is_empty(), "{wrong}");
            world.assert_as_before();
            assert!(world.is_unlocked().await, "{wrong}");
            // Nobody could be told, so it is a failure, which alarms see.
            let ended = world.simulation.ended();
            let ExecutionStatus::Failed { error, cause } = &ended[0].result.status else {
                panic!("{wrong}: {:?}", ended[0].result.status);
            };
            assert_eq!(error, "RecoveryFailed", "{wrong}");
            assert!(
                cause.contains("not opened") && cause.contains("InvalidInput"),
                "{wrong}: {cause}"
            );
        }
    });
}

#[test]
fn a_drill_and_another_scenario_are_refused_and_told() {
    in_virtual_time(async {
        for (field, value, because) in [
            ("mode", "drill", "no drills yet"),
            ("mode", "live", "not live"),
            ("scenario", "az-failure", "there is no recovery from az-failure yet"),
        ] {
            let world = World::good_times(|_| {}).await;
            let mut input = request("switchover");
            input[field] = json!(value);
            if field == "scenario" {
                // What is wanted of one scenario cannot be asked of another one.
                input["wants"] = json!({});
            }
            world.start("not-meant", input);
            world.wait().await;
            let closing = world.only_header().await.closing.unwrap();
            assert_eq!(closing.outcome, Outcome::Refused);
            assert!(closing.reason.unwrap().contains(because));
            world.assert_as_before();
            assert!(world.is_unlocked().await);
            assert_eq!(world.subjects().len(), 1, "the refusal is told");
        }
    });
}

#[test]
fn a_lock_that_was_just_taken_by_an_execution_not_seen_yet_is_left_alone() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let claim = shared::record::Claim {
            mode: shared::recovery::Mode::Rehearsal,
            workload: &world.plan.workload,
            execution: "arn:aws:states:us-west-2:123456789012:execution:recovery:just-begun",
            recovery: "just-begun",
            at: world.simulation.cloud().now(),
        };
        world.record.claim_lock(&claim, None).await.unwrap();
        world.start("second", request("switchover"));
        world.wait().await;
        world.assert_as_before();
        assert!(world.has_failed());
        let holder = world.record.lock(&world.plan.workload).await.unwrap().unwrap();
        assert_eq!(holder.recovery, "just-begun");
    });
}

#[test]
fn a_recovery_in_the_other_region_is_seen() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let execution = "arn:aws:states:us-east-1:123456789012:execution:recovery:there";
        let claim = shared::record::Claim {
            mode: shared::recovery::Mode::Rehearsal,
            workload: &world.plan.workload,
            execution,
            recovery: "the-other-one",
            at: world.simulation.cloud().now(),
        };
        let there = Record::in_region(&world.simulation.aws("test"), PRIMARY);
        there.claim_lock(&claim, None).await.unwrap();
        let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:recovery";
        let began_at = world.simulation.cloud().now();
        let running = simulator::aws::states::ExecutionRecord::running(machine, "there", "{}", began_at);
        world.simulation.cloud().executions.put(execution, running);
        world.start("here", request("switchover"));
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Refused);
        assert!(closing.reason.unwrap().contains("the-other-one"));
        world.assert_as_before();
        assert!(world.is_unlocked().await);
    });
}

#[test]
fn a_database_that_does_not_come_fails_the_recovery_at_its_deadline() {
    in_virtual_time(async {
        let world = World::watched(|plan| {
            let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
            policy
                .deadlines
                .insert("database".to_owned(), shared::plan::Duration::from_secs(30));
        })
        .await;
        world.simulation.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Failed);
        let reason = closing.reason.unwrap();
        assert!(
            reason.contains("after 30 s the database is not ready: the promotion is still in progress"),
            "{reason}"
        );
        assert!(world.has_failed() && world.is_unlocked().await);
        assert_eq!(
            world.subjects().last().unwrap(),
            "[rehearsal] radiant: region-failure failed"
        );
    });
}

#[test]
fn a_name_that_does_not_answer_fails_the_recovery_at_its_deadline() {
    in_virtual_time(async {
        let world = World::watched(|plan| {
            // More healthy answers in a row than the deadline has time for.
            plan.health.consecutive = 20;
            plan.scenarios
                .get_mut(&Scenario::REGION_FAILURE)
                .unwrap()
                .deadlines
                .insert("health".to_owned(), shared::plan::Duration::from_secs(60));
        })
        .await;
        world.simulation.cloud().take_region_away(PRIMARY);
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Failed);
        let reason = closing.reason.unwrap();
        assert!(reason.contains("was not healthy within 60 s"), "{reason}");
        assert!(world.has_failed() && world.is_unlocked().await);
        assert!(closing.achieved.rto_seconds.is_none(), "nobody saw it healthy for good");
    });
}

#[test]
fn a_function_that_points_elsewhere_stays_off_and_is_named() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let billing = "radiant-production-billing";
        let elsewhere = BTreeMap::from([(
            "DB_CLUSTER_ARN".to_owned(),
            "arn:aws:rds:us-east-1:123456789012:cluster:radiant-production".to_owned(),
        )]);
        let function = Function {
            environment: elsewhere,
            reserved_concurrency: Some(0),
            ..Function::default()
        };
        world
            .simulation
            .cloud()
            .lambda
            .create_function(RECOVERY, billing, function.clone());
        world.simulation.cloud().take_region_away(PRIMARY);
        let question = world.question().await;
        assert!(question.text.contains(billing), "{}", question.text);
        world.approve_as_asked(&question).await;
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Partial);
        let reason = closing.reason.unwrap();
        assert!(
            reason.contains("4 of 5 functions run") && reason.contains(billing),
            "{reason}"
        );
        assert_eq!(
            world.simulation.cloud().lambda.function(RECOVERY, billing),
            Some(function)
        );
    });
}

#[test]
fn a_table_that_is_missing_is_said_at_once_and_not_waited_for() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let cloud = world.simulation.cloud();
        let primary = world.plan.cluster_arn(&world.plan.regions.primary);
        let sql = format!("DROP TABLE {}.canary", world.plan.database.heartbeat.schema);
        cloud
            .rds
            .execute(cloud, PRIMARY, &primary, &sql, &BTreeMap::new())
            .unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        cloud.take_region_away(PRIMARY);
        world.wait().await;
        let header = world.only_header().await;
        let closing = header.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Failed);
        let reason = closing.reason.unwrap();
        assert!(
            reason.starts_with("CheckDatabase: VerificationFailed") && reason.contains("canary"),
            "{reason}"
        );
        let lasted = closing.closed_at.duration_since(header.opened_at).as_secs();
        assert!(lasted < 600, "{lasted} s, where the deadline is 30 minutes");
    });
}

#[test]
fn two_hundred_functions_are_activated_within_lambdas_quota() {
    in_virtual_time(async {
        let world = World::watched(|plan| {
            let more = (5..200).map(|number| shared::plan::Function {
                name: format!("radiant-production-{number}"),
                reserved_concurrency: None,
                alias: None,
            });
            plan.functions.extend(more);
        })
        .await;
        let cloud = world.simulation.cloud();
        cloud.take_region_away(PRIMARY);
        world.wait().await;
        let header = world.only_header().await;
        let closing = header.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        let runs = |function: &shared::plan::Function| {
            cloud
                .lambda
                .function(RECOVERY, &function.name)
                .unwrap()
                .reserved_concurrency
                .is_none()
        };
        assert!(world.plan.functions.iter().all(runs));
        let undo = world.record.undo_notes(&header.id).await.unwrap();
        let of_functions = |undo: &shared::record::Undo| {
            undo.step == "activate-region" && undo.resource.kind == shared::record::ResourceKind::Function
        };
        assert_eq!(undo.iter().filter(|undo| of_functions(undo)).count(), 200);
    });
}

#[test]
fn the_timeline_says_for_how_long_each_step_waited_and_what_failed_before() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.simulation.kill_function(RECOVERY, "switch-dns", 2).unwrap();
        world.cloud().take_region_away(PRIMARY);
        // Sooner than the machine tries again, which full jitter lets it do at any moment.
        while !world.simulation.was_killed(RECOVERY, "switch-dns") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.simulation.let_live(RECOVERY, "switch-dns").unwrap();
        world.wait().await;
        let id = world.only_header().await.id;
        let timeline = world.record.timeline(&id).await.unwrap();
        let step = |state: &str| timeline.iter().find(|step| step.state == state).unwrap();
        for step in &timeline {
            let took = step.ended_at.unwrap().duration_since(step.started_at);
            assert!(
                step.waited_ms > 0 && i128::from(step.waited_ms) <= took.as_millis(),
                "{step:?}"
            );
            assert!(step.execution.starts_with("region-failure-"), "{step:?}");
        }
        // A lost Region costs its time limits, and they are waited for.
        assert!(step("FenceRegion").waited_ms >= 4_000);
        let polls = step("CheckDatabase");
        let pause = polls
            .last_started_at
            .unwrap()
            .duration_since(polls.previous_ended_at.unwrap());
        assert!((4..=5).contains(&pause.as_secs()) && polls.attempts > 3, "{polls:?}");
        // The killed one never ended, and has not failed by its own words.
        let killed = step("SwitchDns");
        assert_eq!((killed.attempts, killed.failures, &killed.last_failure), (2, 0, &None));
        assert_eq!(killed.previous_ended_at, None);
    });
}

#[test]
fn what_was_achieved_is_published_and_nothing_that_was_not_measured() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        assert!(world.simulation.wait_for_a_start(Duration::from_secs(900)).await);
        world.wait().await;
        let achieved = world.closing().await.achieved;
        assert_eq!(achieved.rpo_status, RpoStatus::Measured);
        assert_eq!(world.achieved("AchievedRto"), [achieved.rto_seconds.unwrap()]);
        assert_eq!(world.achieved("AchievedRpo"), [achieved.rpo_seconds.unwrap()]);
        assert_eq!(world.count("close-recovery", "PutMetricData"), 1);
    });
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("planned", request("switchover"));
        world.wait().await;
        let achieved = world.closing().await.achieved;
        assert_eq!(world.achieved("AchievedRto"), [achieved.rto_seconds.unwrap()]);
        assert!(world.achieved("AchievedRpo").is_empty());
    });
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        let mut refused = request("switchover");
        refused["mode"] = json!("live");
        world.start("refused", refused);
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Refused);
        assert_eq!(world.count("close-recovery", "PutMetricData"), 0);
    });
}

#[test]
fn a_metric_that_is_not_taken_fails_no_closing_and_holds_nobody_up() {
    for effect in [CallEffect::NoAnswer, CallEffect::ServerError, CallEffect::LostReply] {
        in_virtual_time(async {
            let world = World::good_times(|_| {}).await;
            world.start("planned", request("switchover"));
            while !world.passed("CloseRecovery") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.cloud().faults.on_calls(CallFault {
                service: Some("monitoring".to_owned()),
                ..CallFault::every(effect)
            });
            world.wait().await;
            let closing = world.closing().await;
            assert_eq!(closing.outcome, Outcome::Recovered);
            assert_eq!(world.count("close-recovery", "PutMetricData"), 1);
            let told_at = world.messages().last().unwrap().published_at;
            let took = told_at.duration_since(closing.closed_at).as_secs_f64();
            assert!(took < 3.0, "{took} s");
        });
    }
}

/// Nobody can read when customers first suffered: the time is the least that it can be, wherever it is shown.
#[test]
fn a_time_from_an_impact_that_nobody_saw_is_at_least_that() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().faults.on_calls(CallFault {
            service: Some("monitoring".to_owned()),
            operation: Some("GetMetricData".to_owned()),
            ..CallFault::every(CallEffect::Denied)
        });
        world.cloud().take_region_away(PRIMARY);
        let question = world.question().await;
        assert_eq!(
            world.answer(&question, ON_CALL, "approve", Some("it is dark")).await.0,
            202
        );
        assert_eq!(world.answer(&question, SECOND, "approve", Some("it is")).await.0, 200);
        world.wait().await;
        let closing = world.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        assert!(closing.achieved.rto_is_at_least && closing.observed.impact_assumed);
        assert_eq!(closing.met.rto, Met::Missed);
        assert!(world.achieved("AchievedRto").is_empty());
        assert_eq!(
            world.achieved("AchievedRtoAtLeast"),
            [closing.achieved.rto_seconds.unwrap()]
        );
        let told = world.messages().pop().unwrap().text;
        assert!(told.contains("Back after at least"), "{told}");
    });
}

#[test]
fn a_record_that_fails_after_the_promotion_does_not_stop_the_move_of_the_name() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        cloud.take_region_away(PRIMARY);
        while !cloud.rds.moves(global).iter().any(|asked| asked.accepted) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        cloud.faults.on_calls(CallFault {
            service: Some("dynamodb".to_owned()),
            region: Some(RECOVERY.to_owned()),
            ..CallFault::every(CallEffect::ServerError)
        });
        while !world.passed("CheckHealth") {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let switch = world.plan.dns.switch_object.as_ref().unwrap();
        assert!(cloud.s3.is_publicly_there(&switch.bucket.0, &switch.key));
        cloud.faults.lift_all();
        world.wait().await;

        let header = world.only_header().await;
        let closing = header.ended().unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        let undo = world.record.undo_notes(&header.id).await.unwrap();
        assert!(undo.iter().all(|undo| undo.step != "switch-dns"), "{undo:?}");
        // People have what the undo notes have not.
        let text = world.messages().pop().unwrap().text;
        assert!(text.contains("put-function-concurrency"), "{text}");
        assert!(
            text.contains(&format!("s3://{}/{}", switch.bucket.0, switch.key)),
            "{text}"
        );
    });
}

#[test]
fn a_record_is_done_without_only_where_the_region_was_just_seen_to_write() {
    use shared::error::{ErrorKind, StepError};
    use shared::record::go_on_without_record;
    let now = "2026-01-06T03:30:00Z".parse().unwrap();
    let goes_on = |kind, seen: Option<&str>| {
        let seen = seen.map(|seen| seen.parse().unwrap());
        go_on_without_record(StepError::new(kind, "no record"), seen, now).is_ok()
    };
    assert!(goes_on(ErrorKind::Unavailable, Some("2026-01-06T03:20:00Z")));
    assert!(goes_on(ErrorKind::NotFound, Some("2026-01-06T03:29:00Z")));
    assert!(!goes_on(ErrorKind::Unavailable, Some("2026-01-06T03:19:59Z")));
    assert!(!goes_on(ErrorKind::Unavailable, None));
    assert!(!goes_on(ErrorKind::Preempted, Some("2026-01-06T03:29:00Z")));
}
