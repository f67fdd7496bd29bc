//! The people of a rehearsal: they read what is announced, and answer what they are asked.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use shared::arn;
use shared::plan::Plan;
use shared::reopen::{Order, reopen};
use simulator::simulation::Simulation;

use crate::moment::Moment;

/// How many people answer: as many as are ever asked.
const PEOPLE: usize = 2;

/// How long somebody waits before they answer a second time.
const ANSWERS_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How often somebody sends an answer that is not taken, and how long after each time.
const TRIES: usize = 10;
const TRIES_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// What `record-approval` answers whoever has answered before.
const ALREADY_ANSWERED: &str = "already-answered";

/// What the simulated people do when they are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum People {
    /// They approve.
    #[default]
    Approve,
    /// From this question on, counted from 1, the first one who answers declines.
    Decline {
        /// That question.
        from: usize,
    },
    /// They sleep.
    Asleep {
        /// Through so many questions; through all of them, where it is none.
        through: Option<usize>,
    },
    /// One answers twice, the second time in another role; the others sleep.
    OneTwice,
}

/// What people were asked, and how often they did something else than to approve.
#[derive(Debug, Default)]
pub struct Heard {
    /// How many questions were asked.
    questions: Cell<usize>,
    /// How often they slept, declined, or answered again.
    otherwise: Cell<u64>,
}

impl Heard {
    /// How often people did something else than to approve.
    pub fn otherwise(&self) -> u64 {
        self.otherwise.get()
    }

    fn did_otherwise(&self) {
        self.otherwise.set(self.otherwise.get() + 1);
    }
}

/// Hears of each answer.
pub(crate) type Watch = Rc<dyn Fn(Moment)>;

/// What listens to a topic.
pub(crate) struct Listener {
    /// The function that takes answers.
    pub(crate) function: &'static str,
    pub(crate) people: People,
    /// Counts the questions of all Regions together.
    pub(crate) heard: Rc<Heard>,
    pub(crate) watch: Watch,
}

/// Lets people listen to the topic of `region` and answer what is asked there, each after a time of their own.
pub(crate) fn listen(simulation: &Simulation, plan: &Plan, region: &str, listener: Listener) {
    let Listener {
        function,
        people,
        heard,
        watch,
    } = listener;
    let Some(site) = plan.site(region) else { return };
    let mut messages = simulation.cloud().sns.subscribe(&plan.topic_arn(site));
    let (simulation, region, arns, plan) = (simulation.clone(), region.to_owned(), arns(plan), plan.clone());
    tokio::task::spawn_local(async move {
        while let Some(message) = messages.recv().await {
            if let Some(shut) = shut_region(&message.text) {
                let opening = match people {
                    People::Asleep { through: None } => &[],
                    People::Approve | People::Decline { .. } | People::Asleep { .. } => &arns[..],
                    People::OneTwice => &arns[..1],
                };
                if opening.is_empty() {
                    heard.did_otherwise();
                }
                for arn in opening {
                    tokio::task::spawn_local(open(simulation.clone(), plan.clone(), shut.clone(), arn.clone()));
                }
                continue;
            }
            let Some(question) = question(&message.text) else {
                continue;
            };
            heard.questions.set(heard.questions.get() + 1);
            let declines = matches!(people, People::Decline { from } if heard.questions.get() >= from);
            let answering = match people {
                People::Asleep { through } if through.is_none_or(|last| heard.questions.get() <= last) => &[],
                People::Approve | People::Decline { .. } | People::Asleep { .. } => &arns[..],
                People::OneTwice => &arns[..1],
            };
            if answering.is_empty() {
                heard.did_otherwise();
            }
            for arn in answering {
                let (simulation, region, heard) = (simulation.clone(), region.clone(), Rc::clone(&heard));
                let watch = Rc::clone(&watch);
                let (arn, body) = (arn.clone(), answer(question.clone(), declines));
                tokio::task::spawn_local(async move {
                    let cloud = simulation.cloud();
                    let takes: Duration = cloud.draw("people", &cloud.timings.person_answers);
                    tokio::time::sleep(takes).await;
                    say(&simulation, &region, function, &arn, &body, &watch).await;
                    if declines {
                        heard.did_otherwise();
                    }
                    if people == People::OneTwice {
                        tokio::time::sleep(ANSWERS_AGAIN_AFTER).await;
                        let other = arn.replace("/on-call/", "/administrator/");
                        say(&simulation, &region, function, &other, &body, &watch).await;
                        heard.did_otherwise();
                    }
                });
            }
        }
    });
}

/// Sends an answer, and again for a while where it is not taken. Whoever comes too late is told so, which changes nothing.
async fn say(simulation: &Simulation, region: &str, function: &str, arn: &str, body: &str, watch: &Watch) {
    for attempt in 0..TRIES {
        let answered = simulation.post_to_function(region, function, arn, body).await;
        if let Ok((status, answer)) = answered
            && status < 500
        {
            let refused_as = refused_as(status, &answer, attempt > 0);
            watch(Moment::Answered {
                at: simulation.cloud().now(),
                by: arn::display_name(arn).to_owned(),
                approves: text_of(body, "answer").as_deref() == Some("approve"),
                refused_as,
            });
            return;
        }
        tokio::time::sleep(TRIES_AGAIN_AFTER).await;
    }
}

/// Why an answer does not count; nothing if it does. One that was sent again may have been taken the first time.
fn refused_as(status: u16, answer: &str, again: bool) -> Option<String> {
    let result = text_of(answer, "result");
    match status {
        200..300 => None,
        _ if again && result.as_deref() == Some(ALREADY_ANSWERED) => None,
        status => Some(result.unwrap_or_else(|| status.to_string())),
    }
}

fn text_of(json: &str, field: &str) -> Option<String> {
    let json: Value = serde_json::from_str(json).ok()?;
    json.get(field)?.as_str().map(str::to_owned)
}

/// Runs the command of a page, after a time of their own. Where it opens nothing, the next page asks for it again.
async fn open(simulation: Simulation, plan: Plan, region: String, arn: String) {
    let cloud = simulation.cloud();
    let takes: Duration = cloud.draw("people", &cloud.timings.person_answers);
    tokio::time::sleep(takes).await;
    let order = Order {
        region: &region,
        by: &arn,
        approves: true,
    };
    let aws = simulation.aws_in("drctl", &region);
    let _ = reopen(&aws, &plan, order, async |time| tokio::time::sleep(time).await).await;
}

/// The Region that a page says is shut: the one that its command opens.
fn shut_region(text: &str) -> Option<String> {
    let mut commands = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("drctl reopen "));
    commands.next().map(str::to_owned)
}

/// ARNs of the people who are told, under which AWS would know them.
fn arns(plan: &Plan) -> Vec<String> {
    plan.contacts
        .values()
        .take(PEOPLE)
        .map(|contact| format!("arn:aws:sts::{}:assumed-role/on-call/{}", plan.account, contact.email))
        .collect()
}

/// The question in an announcement: the body by which it says that it is approved.
fn question(text: &str) -> Option<Value> {
    let bodies = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    let mut approving = bodies.filter(|body| body.get("answer").and_then(Value::as_str) == Some("approve"));
    approving.next()
}

fn answer(mut question: Value, declines: bool) -> String {
    if declines {
        question["answer"] = Value::from("decline");
    }
    question["reason"] = Value::from("it is a rehearsal");
    question.to_string()
}
