//! What people are asked and what they answer, with the real SDK clients against the simulated AWS: first the two steps
//! alone, asking and taking answers; then with the machine that waits for the verdict.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use crate::common::{self, ON_CALL, PRIMARY, RECOVERY, SECOND, THIRD, in_virtual_time, killed_after, request};
use record_approval::RecordApproval;
use request_approval::RequestApproval;
use serde_json::{Value, json};
use shared::approval::{Answer, Approval, Question, Settled, Verdict};
use shared::error::ErrorKind;
use shared::recovery::Outcome;
use shared::scenario::Scenario;
use simulator::aws::sns::Message;

const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:one";
const QUESTION: &str = "failover";
/// The execution that somebody on call starts.
const BY_HAND: &str = "arn:aws:states:us-west-2:123456789012:execution:recovery:by-hand";

/// A recovery that was opened and asks nothing yet. No machine runs: each step is invoked by hand.
struct World {
    world: common::World,
    /// What `open-recovery` answered.
    opened: Value,
}

impl Deref for World {
    type Target = common::World;

    fn deref(&self) -> &common::World {
        &self.world
    }
}

impl World {
    async fn opened() -> Self {
        let mut world = Self {
            world: common::World::bare().await,
            opened: Value::Null,
        };
        let mut started = request("failover");
        started["trigger"]["at"] = json!("2026-01-06T02:50:00Z");
        let open = json!({
            "request": started,
            "machines": { "region-failure": common::SCENARIO_MACHINE },
            "execution": EXECUTION,
            "started_at": "2026-01-06T02:50:01Z",
        });
        world.opened = world.step::<open_recovery::OpenRecovery>().invoke(open).await.unwrap();
        assert_eq!(world.opened["refused"], Value::Null);
        world.knows_who_started(EXECUTION).await;
        world
    }

    fn recovery(&self) -> &str {
        self.opened["recovery"]["id"].as_str().unwrap()
    }

    fn ask(&self, people: u8, token: &str) -> Value {
        json!({
            "state": { "Name": "RequestApproval" },
            "recovery": self.opened["recovery"],
            "scenario": "region-failure",
            "mode": "rehearsal",
            "topic_arn": self.opened["plan"]["here"]["topic_arn"],
            "ask": {
                "id": QUESTION,
                "headline": "Fail over to us-west-2.",
                "shown": ["Expected loss: unmeasured.", "The fence is not confirmed."],
                "people": people,
                "because": "the expected loss is not known",
                "needs_reason": true,
            },
            "started_by": ON_CALL,
            "same_person": "name-before-at",
            "answer_within_seconds": 900,
            "task_token": token,
            "approval_url": "https://abc.lambda-url.us-west-2.on.aws/",
        })
    }

    async fn asked(&self, people: u8, token: &str) -> Value {
        let asking = self.step::<RequestApproval>();
        asking.invoke(self.ask(people, token)).await.unwrap()
    }

    fn said(&self, answer: &str) -> Value {
        json!({ "recovery": self.recovery(), "question": QUESTION, "answer": answer, "reason": "customers wait" })
    }

    /// What a person is answered: the status and the body.
    async fn answered(&self, by: &str, said: &Value) -> (u64, Value) {
        let answer = self.step::<RecordApproval>().invoke(event(by, said)).await.unwrap();
        let body = answer["body"].as_str().unwrap();
        assert!(!body.contains("s3cret"), "{body}");
        (
            answer["statusCode"].as_u64().unwrap(),
            serde_json::from_str(body).unwrap(),
        )
    }

    async fn kept_question(&self) -> Option<Question> {
        self.record.question(self.recovery(), QUESTION).await.unwrap()
    }

    async fn settled(&self) -> Option<Settled> {
        let asked = self.kept_question().await?;
        self.record.settled(self.recovery(), &asked.ask).await.unwrap()
    }

    /// Keeps an answer as a function does that dies right after.
    async fn keep(&self, by: &str, answer: Answer) {
        let approval = Approval {
            by: by.to_owned(),
            at: self.cloud().now(),
            answer,
            reason: None,
            shown: vec![],
            request_id: None,
        };
        assert!(
            self.record
                .note_approval(self.recovery(), QUESTION, &approval)
                .await
                .unwrap()
        );
    }
}

/// A request to the function URL, with what AWS adds.
fn event(by: &str, said: &Value) -> Value {
    json!({
        "version": "2.0",
        "rawPath": "/",
        "headers": { "content-type": "application/json" },
        "requestContext": {
            "accountId": "123456789012",
            "authorizer": { "iam": { "accountId": "123456789012", "principalOrgId": null, "userArn": by } },
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
            "timeEpoch": 1_767_668_400_000_u64,
        },
        "body": said.to_string(),
        "isBase64Encoded": false,
    })
}

#[test]
fn people_are_asked_once_and_the_newest_token_is_kept() {
    in_virtual_time(async {
        let world = World::opened().await;
        let asked_at = world.cloud().now();
        let output = world.asked(1, "s3cret-1").await;
        assert_eq!(
            (&output["asked"], &output["told"], &output["verdict"]),
            (&json!(true), &json!(true), &Value::Null)
        );
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.asked(1, "s3cret-2").await, output);

        let question = world.kept_question().await.unwrap();
        assert_eq!(question.task_token.secret(), "s3cret-2");
        assert!(question.asked_at.duration_since(asked_at).as_secs() < 1);
        assert!(question.expires_at.duration_since(asked_at).as_secs() >= 960);
        assert_eq!(world.record.questions(world.recovery()).await.unwrap().len(), 1);

        let messages = world.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(
            messages[0].subject,
            format!("[rehearsal] {}: region-failure asks for approval", world.plan.workload)
        );
        assert!(messages[0].text.contains("- The fence is not confirmed."));
        assert!(!messages[0].text.contains("s3cret"));

        // What has expired is asked and told anew.
        tokio::time::sleep(Duration::from_secs(1000)).await;
        world.asked(1, "s3cret-3").await;
        assert!(world.kept_question().await.unwrap().asked_at > question.asked_at);
        assert_eq!(world.messages().len(), 2);
    });
}

#[test]
fn a_question_is_kept_before_anybody_is_told_wherever_it_dies() {
    let mut ended = false;
    for call in 1.. {
        in_virtual_time(async {
            let world = World::opened().await;
            let first = world.step::<RequestApproval>();
            let before = world.calls_of("request-approval");
            let asking = first.invoke(world.ask(1, "s3cret-1"));
            let was_killed = killed_after(&world, "request-approval", before + call, asking).await;
            if !world.messages().is_empty() {
                assert!(
                    world.kept_question().await.is_some(),
                    "told before it was kept; call {call}"
                );
            }
            world.asked(1, "s3cret-2").await;
            assert_eq!(world.kept_question().await.unwrap().task_token.secret(), "s3cret-2");
            assert!((1..=2).contains(&world.messages().len()), "call {call}");
            ended = !was_killed;
        });
        if ended {
            assert!(call > 5, "it was killed at too few places");
            break;
        }
    }
}

#[test]
fn a_topic_that_fails_does_not_fail_the_step() {
    in_virtual_time(async {
        let world = World::opened().await;
        let mut ask = world.ask(1, "s3cret-1");
        ask["topic_arn"] = json!("arn:aws:sns:us-west-2:123456789012:nobody-made-it");
        let output = world.step::<RequestApproval>().invoke(ask).await.unwrap();
        assert_eq!(
            (&output["asked"], &output["told"], &output["verdict"]),
            (&json!(true), &json!(false), &Value::Null)
        );
        assert_eq!(
            output["summary"],
            "people are asked, but the message on the topic failed"
        );
        assert!(world.kept_question().await.is_some());
        // The next try tells them.
        assert_eq!(world.asked(1, "s3cret-2").await["told"], true);
    });
}

#[test]
fn an_input_that_could_forge_a_key_is_refused() {
    in_virtual_time(async {
        let world = World::opened().await;
        let mut ask = world.ask(1, "s3cret-1");
        ask["ask"]["id"] = json!("failover#x");
        let error = world.step::<RequestApproval>().invoke(ask).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
    });
}

#[test]
fn what_was_answered_before_is_not_asked_again() {
    in_virtual_time(async {
        for (answer, approved) in [(Answer::Approve, true), (Answer::Decline, false)] {
            let world = World::opened().await;
            world.asked(1, "s3cret-1").await;
            world.keep(SECOND, answer).await;
            // Whether Step Functions still waits for the token is not this test's matter.
            let _ = world.step::<RequestApproval>().invoke(world.ask(1, "s3cret-2")).await;
            assert_eq!(world.messages().len(), 1, "people were asked again");
            let verdict = world.settled().await.unwrap().verdict;
            assert_eq!(matches!(verdict, Verdict::Approved { .. }), approved, "{verdict:?}");
            assert_eq!(world.kept_question().await.unwrap().task_token.secret(), "s3cret-2");
            assert_eq!(world.count("request-approval", "SendTaskSuccess"), 1);
        }
    });
}

#[test]
fn whoever_started_it_is_not_enough_and_two_are_two() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(2, "s3cret-1").await;
        let yes = world.said("approve");
        let (status, body) = world.answered(ON_CALL, &yes).await;
        assert_eq!((status, &body["result"]), (202, &json!("waiting")), "{body}");
        let (status, body) = world.answered(ON_CALL, &yes).await;
        assert_eq!((status, &body["result"]), (409, &json!("already-answered")), "{body}");
        assert_eq!(world.count("record-approval", "SendTaskSuccess"), 0);
        assert_eq!(world.settled().await, None);

        world.answered(THIRD, &yes).await;
        assert_eq!(
            world.settled().await.unwrap().verdict,
            Verdict::Approved {
                by: vec![ON_CALL.to_owned(), THIRD.to_owned()],
                reasons: vec!["customers wait".to_owned(); 2],
            }
        );
        assert_eq!(world.count("record-approval", "SendTaskSuccess"), 1);
        let kept = world.record.approvals(world.recovery(), QUESTION).await.unwrap();
        assert_eq!(
            kept[0].shown,
            ["Expected loss: unmeasured.", "The fence is not confirmed."]
        );
    });
}

/// The evidence or the plan is another one by then: the same question is asked of more people.
#[test]
fn what_one_person_approved_is_not_approved_by_two() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(1, "s3cret-1").await;
        let yes = world.said("approve");
        world.answered(SECOND, &yes).await;
        assert!(world.settled().await.is_some());

        let again = world.asked(2, "s3cret-2").await;
        assert_eq!(again["asked"], true, "{again}");
        assert_eq!(world.settled().await, None);
        let (status, body) = world.answered(SECOND, &yes).await;
        assert_eq!((status, &body["result"]), (409, &json!("already-answered")), "{body}");
        assert_eq!(world.settled().await, None);
        world.answered(THIRD, &yes).await;
        let Some(Verdict::Approved { by, .. }) = world.settled().await.map(|settled| settled.verdict) else {
            panic!("it is not approved");
        };
        assert_eq!(by, [SECOND, THIRD]);

        // Two are enough where one is.
        let again = world.asked(1, "s3cret-3").await;
        assert_eq!(again["asked"], false, "{again}");
    });
}

/// One person has two permission sets, or is a user too.
#[test]
fn one_person_in_two_roles_is_one() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(2, "s3cret-1").await;
        let yes = world.said("approve");
        assert_eq!(world.answered(SECOND, &yes).await.0, 202);
        let others = [
            SECOND.replace("/on-call/", "/administrator/"),
            "arn:aws:iam::123456789012:user/second".to_owned(),
        ];
        for other in &others {
            let (status, body) = world.answered(other, &yes).await;
            assert_eq!((status, &body["result"]), (409, &json!("already-answered")), "{body}");
        }
        assert_eq!(world.settled().await, None);
    });
}

/// Where this Region knows too little, people are told through the other one's topic too, and by that alone if they must.
#[test]
fn a_question_goes_through_the_other_regions_topic_too() {
    in_virtual_time(async {
        let world = World::opened().await;
        let there = world.plan.topic_arn(&world.plan.regions.primary);
        let asked = async |id: &str, here: &str| {
            let mut ask = world.ask(2, "s3cret-1");
            ask["topic_arn"] = json!(here);
            ask["also_topic_arn"] = json!(there);
            ask["ask"]["id"] = json!(id);
            world.step::<RequestApproval>().invoke(ask).await.unwrap()
        };
        let told = |topic: &str| world.cloud().sns.messages(topic).len();
        let here = world.plan.topic_arn(&world.plan.regions.standby);
        assert_eq!(asked("one", &here).await["told"], true);
        assert_eq!((told(&here), told(&there)), (1, 1));
        let gone = format!("{here}-of-before");
        assert_eq!(asked("two", &gone).await["told"], true);
        assert_eq!((told(&here), told(&there)), (1, 2));
        world.cloud().take_region_away(PRIMARY);
        assert_eq!(asked("three", &gone).await["told"], false);
    });
}

/// Who starts an execution in the console writes into it whom they like.
#[test]
fn what_somebody_unknown_started_needs_two() {
    in_virtual_time(async {
        let world = common::World::good_times(|plan| {
            let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
            policy.approvals_without_evidence = 1;
        })
        .await;
        world.cloud().take_region_away(PRIMARY);
        let mut started = request("failover");
        started["trigger"]["by"] = json!(THIRD);
        world.start("in-the-console", started);
        let question = world.question().await;
        assert!(
            question
                .text
                .contains("which AWS does not confirm. Two people must approve"),
            "{}",
            question.text
        );
        let answer = async |who| world.answer(&question, who, "approve", Some("customers wait")).await;
        let (status, body) = answer(ON_CALL).await;
        assert_eq!(status, 202, "{body}");
        assert!(
            body["message"]
                .as_str()
                .unwrap()
                .contains("AWS does not say who started"),
            "{body}"
        );
        assert_eq!(answer(SECOND).await.0, 200);
        world.wait().await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn refusals_keep_nothing() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(1, "s3cret-1").await;
        let yes = world.said("approve");
        let with = |field: &str, value: Value| {
            let mut said = yes.clone();
            said[field] = value;
            said
        };
        let elsewhere = "arn:aws:iam::210987654321:user/third";
        for (by, said, status) in [
            (SECOND, with("recovery", json!("another")), 404),
            (SECOND, with("recovery", json!("")), 404),
            (SECOND, with("question", json!("failover#")), 404),
            (SECOND, with("reason", json!(" ")), 422),
            (SECOND, with("shown", json!([])), 400),
            (elsewhere, yes.clone(), 403),
            ("arn:aws:iam::123456789012:root", yes.clone(), 403),
        ] {
            let (found, body) = world.answered(by, &said).await;
            assert_eq!(found, status, "{by} {said}: {body}");
        }
        tokio::time::sleep(Duration::from_secs(901)).await;
        let (status, body) = world.answered(SECOND, &yes).await;
        assert_eq!((status, &body["result"]), (409, &json!("ended")), "{body}");
        let kept = world.record.approvals(world.recovery(), QUESTION).await.unwrap();
        assert_eq!(kept, []);
        assert_eq!(world.count("record-approval", "SendTaskSuccess"), 0);
    });
}

#[test]
fn a_table_that_does_not_answer_is_said_in_words() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(1, "s3cret-1").await;
        let said = world.said("approve");
        world.cloud().take_region_away(RECOVERY);
        let (status, body) = world.answered(SECOND, &said).await;
        assert_eq!((status, &body["result"]), (503, &json!("try-again")), "{body}");
    });
}

#[test]
fn two_at_the_same_moment_settle_it_once() {
    // The third person comes in while the answer of the second is anywhere on its way.
    for (delay, others) in (0..100)
        .step_by(20)
        .flat_map(|delay| [(delay, "approve"), (delay, "decline")])
    {
        in_virtual_time(async {
            let world = World::opened().await;
            world.asked(1, "s3cret-1").await;
            let (yes, other) = (world.said("approve"), world.said(others));
            let mut both = pin!(async {
                let third = async {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    world.answered(THIRD, &other).await
                };
                tokio::join!(world.answered(SECOND, &yes), third)
            });
            let mut seen: Vec<Verdict> = Vec::new();
            loop {
                let settled = tokio::select! {
                    biased;
                    _ = &mut both => break,
                    settled = world.settled() => settled,
                };
                seen.extend(settled.map(|settled| settled.verdict));
            }
            // A later answer changes nothing either.
            world.answered(ON_CALL, &world.said("decline")).await;
            seen.extend(world.settled().await.map(|settled| settled.verdict));
            assert!(
                seen.iter().all(|verdict| *verdict == seen[0]),
                "{delay} {others}: {seen:?}"
            );
            assert!(
                others == "decline" || matches!(seen[0], Verdict::Approved { .. }),
                "{delay}: {seen:?}"
            );
        });
    }
}

#[test]
fn what_was_settled_first_holds() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(1, "s3cret-1").await;
        let ask = world.kept_question().await.unwrap().ask;
        let settled = |by: &str| Settled {
            verdict: Verdict::Declined {
                by: by.to_owned(),
                reason: None,
            },
            at: world.cloud().now(),
            told_at: None,
        };
        for by in [SECOND, THIRD] {
            let holds = world.record.settle(world.recovery(), &ask, settled(by)).await.unwrap();
            assert_eq!(holds.verdict, settled(SECOND).verdict);
        }
    });
}

/// How far an answer had come.
fn place(kept: bool, settled: bool, told: bool) -> &'static str {
    match (kept, settled, told) {
        (false, ..) => "before it was kept",
        (true, false, _) => "kept",
        (true, true, false) => "settled",
        (true, true, true) => "told",
    }
}

/// A machine that has asked, and waits.
struct Asking {
    world: common::World,
    question: Message,
}

impl Deref for Asking {
    type Target = common::World;

    fn deref(&self) -> &common::World {
        &self.world
    }
}

impl Asking {
    /// The one on call wants a failover whose loss nobody knows yet, which so many must approve.
    async fn people(people: u8) -> Self {
        let world = common::World::good_times(|plan| {
            let policy = plan.scenarios.get_mut(&Scenario::REGION_FAILURE).unwrap();
            policy.approvals_without_evidence = people;
        })
        .await;
        Self::in_world(world).await
    }

    async fn in_world(world: common::World) -> Self {
        world.cloud().take_region_away(PRIMARY);
        world.knows_who_started(BY_HAND).await;
        world.start("by-hand", request("failover"));
        let question = world.question().await;
        Self { world, question }
    }

    async fn approves(&self, who: &str) -> (u16, Value) {
        self.answer(&self.question, who, "approve", Some("customers wait"))
            .await
    }

    /// The id of the recovery and of its question, as people are told.
    fn ids(&self) -> (String, String) {
        let body = common::body(&self.question.text).unwrap();
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        (text("recovery"), text("question"))
    }

    async fn settled(&self) -> Option<Settled> {
        let (recovery, question) = self.ids();
        let asked = self.record.question(&recovery, &question).await.unwrap()?;
        self.record.settled(&recovery, &asked.ask).await.unwrap()
    }

    /// How often the machine got a verdict.
    fn verdicts(&self) -> usize {
        let entered = self.entered.borrow();
        entered.iter().filter(|state| *state == "IsApproved").count()
    }

    /// Whether nothing was changed that customers depend on.
    fn is_untouched(&self) -> bool {
        self.calls_to("FailoverGlobalCluster") == 0 && self.calls_to("PutFunctionConcurrency") == 0
    }

    /// Lets some seconds pass, in which the machine could go on if it had its verdict.
    async fn a_moment(&self) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[track_caller]
fn assert_answer(answer: &(u16, Value), status: u16, result: &str, says: &str) {
    let (found, body) = answer;
    assert_eq!((*found, &body["result"]), (status, &json!(result)), "{body}");
    assert!(body["message"].as_str().unwrap().contains(says), "{body}");
}

#[test]
fn with_enough_approvals_the_machine_goes_on() {
    in_virtual_time(async {
        let asking = Asking::people(2).await;
        assert_answer(&asking.approves(ON_CALL).await, 202, "waiting", "one more person");
        asking.a_moment().await;
        assert_eq!(asking.verdicts(), 0);
        assert_answer(
            &asking.approves(SECOND).await,
            200,
            "approved",
            "the recovery continues",
        );
        asking.a_moment().await;
        assert_eq!(asking.verdicts(), 1);
        // While it goes on, and after it has ended.
        let late = asking.approves(THIRD).await;
        assert_answer(&late, 409, "ended", &format!("approved by {ON_CALL} and {SECOND}"));
        asking.wait().await;
        let closing = asking.closing().await;
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        let late = asking.answer(&asking.question, THIRD, "decline", None).await;
        assert_answer(&late, 409, "ended", "approved by");
        assert_eq!((asking.verdicts(), asking.questions().len()), (1, 1));
        assert_eq!(asking.count("record-approval", "SendTaskSuccess"), 1);
    });
}

#[test]
fn one_who_declines_ends_it_before_anything_is_changed() {
    in_virtual_time(async {
        let asking = Asking::people(2).await;
        assert_answer(&asking.approves(ON_CALL).await, 202, "waiting", "");
        let no = asking
            .answer(&asking.question, SECOND, "decline", Some("it comes back"))
            .await;
        assert_answer(&no, 200, "declined", "does nothing more");
        asking.wait().await;
        let closing = asking.closing().await;
        assert_eq!(closing.outcome, Outcome::Declined);
        let reason = closing.reason.unwrap();
        assert!(reason.contains(SECOND) && reason.contains("it comes back"), "{reason}");
        assert!(asking.is_untouched() && asking.is_unlocked().await && !asking.has_failed());
        assert_answer(&asking.approves(THIRD).await, 409, "ended", "declined by");
    });
}

#[test]
fn of_two_at_the_same_moment_one_verdict_reaches_the_machine() {
    // The third person comes in while the answer of the second is anywhere on its way.
    for (delay, third_says) in [0, 5, 15, 30, 60, 100]
        .into_iter()
        .flat_map(|delay| [(delay, "approve"), (delay, "decline")])
    {
        in_virtual_time(async {
            let asking = Asking::people(1).await;
            let third = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                asking.answer(&asking.question, THIRD, third_says, Some("me too")).await
            };
            let (second, third) = tokio::join!(asking.approves(SECOND), third);
            asking.wait().await;
            assert_eq!(asking.verdicts(), 1);
            let (outcome, settled) = (asking.closing().await.outcome, asking.settled().await.unwrap());
            let word = |answer: &(u16, Value)| (answer.0, answer.1["result"].as_str().unwrap().to_owned());
            let (second, third) = (word(&second), word(&third));
            let said = format!("{delay} ms, {third_says}: {second:?} {third:?} {settled:?}");
            assert!(settled.told_at.is_some(), "{said}");
            // Whoever is on the side of the verdict hears that it is so, or that it is so already.
            let agrees = |answer: &(u16, String), result: &str| {
                *answer == (200, result.to_owned()) || (answer.0 == 409 && answer.1 != "already-answered")
            };
            match settled.verdict {
                Verdict::Approved { .. } => {
                    assert_eq!(outcome, Outcome::Recovered, "{said}");
                    assert!(agrees(&second, "approved"), "{said}");
                    assert!(
                        agrees(&third, "approved") && (third_says == "approve" || third.0 == 409),
                        "{said}"
                    );
                }
                Verdict::Declined { .. } => {
                    assert_eq!((outcome, third_says), (Outcome::Declined, "decline"), "{said}");
                    assert!(agrees(&third, "declined") && second.0 == 409, "{said}");
                    assert!(asking.is_untouched());
                }
            }
            assert!([second.0, third.0].contains(&200), "nobody's answer counted; {said}");
        });
    }
}

#[test]
fn the_same_person_twice_is_one_person() {
    in_virtual_time(async {
        let asking = Asking::people(2).await;
        assert_answer(&asking.approves(SECOND).await, 202, "waiting", "one more person");
        for answer in ["approve", "decline"] {
            let again = asking.answer(&asking.question, SECOND, answer, Some("again")).await;
            assert_answer(&again, 409, "already-answered", "one more person");
        }
        asking.a_moment().await;
        assert_eq!((asking.verdicts(), asking.settled().await), (0, None));
        assert!(asking.is_untouched());
    });
}

#[test]
fn whoever_started_it_is_not_the_one_who_is_needed() {
    in_virtual_time(async {
        let asking = Asking::people(1).await;
        let alone = asking.approves(ON_CALL).await;
        assert_answer(
            &alone,
            202,
            "waiting",
            "whoever started the recovery cannot approve alone",
        );
        assert_answer(
            &asking.approves(ON_CALL).await,
            409,
            "already-answered",
            "cannot approve alone",
        );
        asking.a_moment().await;
        assert_eq!((asking.verdicts(), asking.settled().await), (0, None));
        assert_answer(&asking.approves(SECOND).await, 200, "approved", "");
        asking.wait().await;
        assert_eq!(asking.closing().await.outcome, Outcome::Recovered);
    });
}

#[test]
fn nobody_answers_in_time_and_then_it_is_too_late() {
    in_virtual_time(async {
        let asking = Asking::people(2).await;
        assert_answer(&asking.approves(ON_CALL).await, 202, "waiting", "");
        asking.wait().await;
        let closing = asking.closing().await;
        assert_eq!(closing.outcome, Outcome::Expired);
        assert!(asking.is_untouched() && asking.is_unlocked().await && !asking.has_failed());
        let ended = format!("the recovery has ended: expired at {}", closing.closed_at);
        for (who, answer) in [(SECOND, "approve"), (SECOND, "decline"), (ON_CALL, "approve")] {
            let late = asking.answer(&asking.question, who, answer, Some("late")).await;
            assert_answer(&late, 409, "ended", &ended);
        }
        let (recovery, question) = asking.ids();
        let kept = asking.record.approvals(&recovery, &question).await.unwrap();
        assert_eq!(kept.len(), 1, "what comes too late is not kept");
        assert_eq!(asking.count("record-approval", "SendTaskSuccess"), 0);
    });
}

/// Replication is two hours behind, which is more than the plan allows to lose.
#[test]
fn an_approval_without_a_reason_where_one_is_needed_is_not_kept() {
    in_virtual_time(async {
        let world = common::World::good_times(|_| {}).await;
        let (cloud, global) = (world.cloud(), &world.plan.database.global_cluster);
        cloud
            .rds
            .set_replication_lag(cloud, global, Some(Duration::from_secs(2 * 3600)));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let asking = Asking::in_world(world).await;
        for reason in [None, Some(" ")] {
            let answer = asking.answer(&asking.question, SECOND, "approve", reason).await;
            assert_answer(&answer, 422, "reason-needed", "say why you approve");
        }
        let (recovery, question) = asking.ids();
        assert_eq!(asking.record.approvals(&recovery, &question).await.unwrap(), []);
        assert_answer(&asking.approves(SECOND).await, 202, "waiting", "one more person");
        // Whoever declines need not say why.
        let no = asking.answer(&asking.question, THIRD, "decline", None).await;
        assert_answer(&no, 200, "declined", "");
        asking.wait().await;
        assert_eq!(asking.closing().await.outcome, Outcome::Declined);
    });
}

/// The function dies at any of its calls. Whoever answers next repairs it: the same person, or somebody else.
#[test]
fn killed_anywhere_the_next_answer_brings_the_machine_its_verdict() {
    let mut places: BTreeMap<&str, u64> = BTreeMap::new();
    let mut lived = false;
    for (calls, next) in (1..).flat_map(|calls| [(calls, SECOND), (calls, THIRD)]) {
        in_virtual_time(async {
            let asking = Asking::people(1).await;
            let simulation = &asking.simulation;
            simulation.kill_function(RECOVERY, "record-approval", calls).unwrap();
            let body = {
                let mut body = common::body(&asking.question.text).unwrap();
                body["reason"] = json!("customers wait");
                body.to_string()
            };
            let first = simulation.post_to_function(RECOVERY, "record-approval", SECOND, &body);
            let (status, _) = first.await.unwrap();
            lived = !simulation.was_killed(RECOVERY, "record-approval");
            assert_eq!(status, if lived { 200 } else { 502 }, "after call {calls}");
            simulation.let_live(RECOVERY, "record-approval").unwrap();
            let (recovery, question) = asking.ids();
            let kept = asking.record.approvals(&recovery, &question).await.unwrap();
            let told = asking.count("record-approval", "SendTaskSuccess") > 0;
            let place = place(!kept.is_empty(), asking.settled().await.is_some(), told);
            *places.entry(place).or_default() += 1;
            asking.a_moment().await;
            assert_eq!(asking.verdicts(), usize::from(told), "after call {calls}");

            let (status, answer) = asking.approves(next).await;
            let expected = if told { 409 } else { 200 };
            assert_eq!(status, expected, "after call {calls}, then {next}: {answer}");
            asking.a_moment().await;
            assert_eq!(asking.verdicts(), 1, "after call {calls}, then {next}");
            let Some(Verdict::Approved { by, .. }) = asking.settled().await.map(|settled| settled.verdict) else {
                panic!("not approved");
            };
            assert!(place == "before it was kept" || by[0] == SECOND, "{place}: {by:?}");
        });
        if lived {
            break;
        }
    }
    assert_eq!(places.len(), 4, "it was not killed everywhere: {places:?}");
}
