//! What people are asked and what they answer, with the real SDK clients against the simulated AWS: asking, keeping,
//! telling, and taking answers until the machine is told.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use record_approval::RecordApproval;
use request_approval::RequestApproval;
use serde_json::{Value, json};
use shared::approval::{Answer, Approval, Question, Settled, Verdict};
use shared::error::ErrorKind;
use shared::plan::Plan;
use shared::record::Record;
use shared::step::{Handler, Step, handler};
use simulator::aws::sns::Message;
use simulator::cloud::Cloud;
use simulator::simulation::{Deployment, Simulation};

const RECOVERY: &str = "us-west-2";
const EXECUTION: &str = "arn:aws:states:us-west-2:123456789012:execution:region-switch:one";
const STARTER: &str = "arn:aws:iam::123456789012:user/starter";
const ANNA: &str = "arn:aws:iam::123456789012:user/anna";
const BEN: &str = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Ops_0a1b/ben@example.com";
const QUESTION: &str = "failover";

/// A recovery that was opened and asks nothing yet.
struct World {
    simulation: Simulation,
    plan: Plan,
    record: Record,
    /// What `open-recovery` answered.
    opened: Value,
}

impl World {
    async fn opened() -> Self {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../radiant.plan.yaml")).unwrap();
        let deployment = Deployment {
            region: RECOVERY.to_owned(),
            functions: vec![],
            machines: vec![],
            substitutions: vec![],
            alarms: vec![],
            rules: vec![],
            schedules: vec![],
        };
        let begins_at = "2026-01-06T02:50:00Z".parse().unwrap();
        let simulation = Simulation::begin(&plan, vec![deployment], 7, begins_at, Box::new(|_| {}))
            .await
            .unwrap();
        let record = Record::new(&simulation.aws("test"));
        record.put_plan(&plan).await.unwrap();
        let mut world = Self {
            simulation,
            plan,
            record,
            opened: Value::Null,
        };
        let open = json!({
            "request": {
                "scenario": "region-failure", "mode": "rehearsal", "intent": "failover",
                "trigger": { "kind": "person", "by": STARTER, "at": "2026-01-06T02:50:00Z" },
            },
            "recovers_from": ["region-failure"],
            "execution": EXECUTION,
            "started_at": "2026-01-06T02:50:01Z",
        });
        world.opened = world.step::<open_recovery::OpenRecovery>().invoke(open).await.unwrap();
        assert_eq!(world.opened["refused"], Value::Null);
        world
    }

    fn cloud(&self) -> &Arc<Cloud> {
        self.simulation.cloud()
    }

    /// A fresh instance of a step, as a Lambda that has just started.
    fn step<S: Step>(&self) -> Box<dyn Handler> {
        handler::<S>(&self.simulation.aws(S::NAME))
    }

    fn recovery(&self) -> &str {
        self.opened["recovery"]["id"].as_str().unwrap()
    }

    /// How often `function` called `operation`, or anything.
    fn count(&self, function: &str, operation: Option<&str>) -> u64 {
        let calls = self.cloud().calls();
        let wanted = calls.iter().filter(|(call, _)| {
            call.function == function && operation.is_none_or(|operation| call.operation == operation)
        });
        wanted.map(|(_, count)| count).sum()
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
            "started_by": STARTER,
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

    async fn question(&self) -> Option<Question> {
        self.record.question(self.recovery(), QUESTION).await.unwrap()
    }

    async fn settled(&self) -> Option<Settled> {
        self.record.settled(self.recovery(), QUESTION).await.unwrap()
    }

    fn messages(&self) -> Vec<Message> {
        self.cloud()
            .sns
            .messages(&self.plan.topic_arn(&self.plan.regions.recovery))
    }

    /// Keeps an answer as a function does that dies right after.
    async fn keep(&self, by: &str, answer: Answer) {
        let approval = Approval {
            by: by.to_owned(),
            at: self.cloud().now(),
            answer,
            reason: None,
            shown: vec![],
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

/// Runs a test in virtual time.
fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Runs `invocation` until its function has made `calls` AWS calls, then drops it as a killed Lambda is. Says whether it
/// was killed; otherwise it ended before.
async fn killed_after(world: &World, function: &str, calls: u64, invocation: impl Future) -> bool {
    let mut invocation = pin!(invocation);
    loop {
        tokio::select! {
            biased;
            _ = &mut invocation => return false,
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                if world.count(function, None) >= calls {
                    return true;
                }
            }
        }
    }
}

#[test]
fn people_are_asked_once_and_the_newest_token_is_kept() {
    in_virtual_time(async {
        let world = World::opened().await;
        let asked_at = world.cloud().now();
        let output = world.asked(1, "s3cret-1").await;
        assert_eq!(output, json!({ "asked": true, "told": true, "verdict": null }));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.asked(1, "s3cret-2").await, output);

        let question = world.question().await.unwrap();
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
        assert!(world.question().await.unwrap().asked_at > question.asked_at);
        assert_eq!(world.messages().len(), 2);
    });
}

#[test]
fn a_question_is_kept_before_anybody_is_told_wherever_it_dies() {
    in_virtual_time(async {
        for call in 1.. {
            let world = World::opened().await;
            let first = world.step::<RequestApproval>();
            let before = world.count("request-approval", None);
            let asking = first.invoke(world.ask(1, "s3cret-1"));
            let was_killed = killed_after(&world, "request-approval", before + call, asking).await;
            if !world.messages().is_empty() {
                assert!(world.question().await.is_some(), "told before it was kept; call {call}");
            }
            world.asked(1, "s3cret-2").await;
            assert_eq!(world.question().await.unwrap().task_token.secret(), "s3cret-2");
            assert!((1..=2).contains(&world.messages().len()), "call {call}");
            if !was_killed {
                assert!(call > 5, "it was killed at too few places");
                break;
            }
        }
    });
}

#[test]
fn a_topic_that_fails_does_not_fail_the_step() {
    in_virtual_time(async {
        let world = World::opened().await;
        let mut ask = world.ask(1, "s3cret-1");
        ask["topic_arn"] = json!("arn:aws:sns:us-west-2:123456789012:nobody-made-it");
        let output = world.step::<RequestApproval>().invoke(ask).await.unwrap();
        assert_eq!(output, json!({ "asked": true, "told": false, "verdict": null }));
        assert!(world.question().await.is_some());
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
            world.keep(ANNA, answer).await;
            // Whether Step Functions still waits for the token is not this test's matter.
            let _ = world.step::<RequestApproval>().invoke(world.ask(1, "s3cret-2")).await;
            assert_eq!(world.messages().len(), 1, "people were asked again");
            let verdict = world.settled().await.unwrap().verdict;
            assert_eq!(matches!(verdict, Verdict::Approved { .. }), approved, "{verdict:?}");
            assert_eq!(world.question().await.unwrap().task_token.secret(), "s3cret-2");
            assert_eq!(world.count("request-approval", Some("SendTaskSuccess")), 1);
        }
    });
}

#[test]
fn whoever_started_it_is_not_enough_and_two_are_two() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(2, "s3cret-1").await;
        let yes = world.said("approve");
        let (status, body) = world.answered(STARTER, &yes).await;
        assert_eq!((status, &body["result"]), (202, &json!("waiting")), "{body}");
        let (status, body) = world.answered(STARTER, &yes).await;
        assert_eq!((status, &body["result"]), (409, &json!("already-answered")), "{body}");
        assert_eq!(world.count("record-approval", Some("SendTaskSuccess")), 0);
        assert_eq!(world.settled().await, None);

        world.answered(BEN, &yes).await;
        assert_eq!(
            world.settled().await.unwrap().verdict,
            Verdict::Approved {
                by: vec![STARTER.to_owned(), BEN.to_owned()],
                reasons: vec!["customers wait".to_owned(); 2],
            }
        );
        assert_eq!(world.count("record-approval", Some("SendTaskSuccess")), 1);
        let kept = world.record.approvals(world.recovery(), QUESTION).await.unwrap();
        assert_eq!(
            kept[0].shown,
            ["Expected loss: unmeasured.", "The fence is not confirmed."]
        );
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
        let elsewhere = "arn:aws:iam::210987654321:user/anna";
        for (by, said, status) in [
            (ANNA, with("recovery", json!("another")), 404),
            (ANNA, with("recovery", json!("")), 404),
            (ANNA, with("question", json!("failover#")), 404),
            (ANNA, with("reason", json!(" ")), 422),
            (ANNA, with("shown", json!([])), 400),
            (elsewhere, yes.clone(), 403),
            ("arn:aws:iam::123456789012:root", yes.clone(), 403),
        ] {
            let (found, body) = world.answered(by, &said).await;
            assert_eq!(found, status, "{by} {said}: {body}");
        }
        tokio::time::sleep(Duration::from_secs(901)).await;
        let (status, body) = world.answered(ANNA, &yes).await;
        assert_eq!((status, &body["result"]), (409, &json!("ended")), "{body}");
        let kept = world.record.approvals(world.recovery(), QUESTION).await.unwrap();
        assert_eq!(kept, []);
        assert_eq!(world.count("record-approval", Some("SendTaskSuccess")), 0);
    });
}

#[test]
fn a_table_that_does_not_answer_is_said_in_words() {
    in_virtual_time(async {
        let world = World::opened().await;
        world.asked(1, "s3cret-1").await;
        let said = world.said("approve");
        world.cloud().take_region_away(RECOVERY);
        let (status, body) = world.answered(ANNA, &said).await;
        assert_eq!((status, &body["result"]), (503, &json!("try-again")), "{body}");
    });
}

#[test]
fn two_at_the_same_moment_settle_it_once() {
    in_virtual_time(async {
        // Ben comes in while Anna's answer is anywhere on its way.
        for (delay, bens) in (0..100)
            .step_by(10)
            .flat_map(|delay| [(delay, "approve"), (delay, "decline")])
        {
            let world = World::opened().await;
            world.asked(1, "s3cret-1").await;
            let (yes, other) = (world.said("approve"), world.said(bens));
            let mut both = pin!(async {
                let ben = async {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                    world.answered(BEN, &other).await
                };
                tokio::join!(world.answered(ANNA, &yes), ben)
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
            world.answered(STARTER, &world.said("decline")).await;
            seen.extend(world.settled().await.map(|settled| settled.verdict));
            assert!(
                seen.iter().all(|verdict| *verdict == seen[0]),
                "{delay} {bens}: {seen:?}"
            );
            assert!(
                bens == "decline" || matches!(seen[0], Verdict::Approved { .. }),
                "{delay}: {seen:?}"
            );
        }
    });
}

#[test]
fn what_was_settled_first_holds() {
    in_virtual_time(async {
        let world = World::opened().await;
        let settled = |by: &str| Settled {
            verdict: Verdict::Declined {
                by: by.to_owned(),
                reason: None,
            },
            at: world.cloud().now(),
            told_at: None,
        };
        for by in [ANNA, BEN] {
            let holds = world
                .record
                .settle(world.recovery(), QUESTION, settled(by))
                .await
                .unwrap();
            assert_eq!(holds.verdict, settled(ANNA).verdict);
        }
    });
}

#[test]
fn killed_anywhere_it_is_repaired_by_the_next_answer_of_the_same_person() {
    in_virtual_time(async {
        let mut places: BTreeMap<&str, u64> = BTreeMap::new();
        for call in 1.. {
            let world = World::opened().await;
            world.asked(1, "s3cret-1").await;
            let said = world.said("approve");
            let first = world.step::<RecordApproval>();
            let was_killed = killed_after(&world, "record-approval", call, first.invoke(event(ANNA, &said))).await;
            let told = world.count("record-approval", Some("SendTaskSuccess"));
            let kept = !world
                .record
                .approvals(world.recovery(), QUESTION)
                .await
                .unwrap()
                .is_empty();
            let place = match (kept, world.settled().await.is_some(), told > 0) {
                (false, ..) => "before it was kept",
                (true, false, _) => "kept",
                (true, true, false) => "settled",
                (true, true, true) => "told",
            };
            *places.entry(place).or_default() += 1;
            if !was_killed {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.answered(ANNA, &said).await;
            let Verdict::Approved { by, .. } = world.settled().await.unwrap().verdict else {
                panic!("not approved");
            };
            assert_eq!(by, [ANNA]);
            assert!(
                world.count("record-approval", Some("SendTaskSuccess")) > 0,
                "call {call}"
            );
        }
        assert_eq!(places.len(), 4, "it was not killed everywhere: {places:?}");
    });
}
