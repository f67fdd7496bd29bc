//! The people of a rehearsal: they read what is announced, and answer what they are asked.

use std::time::Duration;

use serde_json::Value;
use shared::plan::Plan;
use simulator::simulation::Simulation;

/// How many people answer: as many as are ever asked.
const PEOPLE: usize = 2;

/// What the simulated people do when they are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum People {
    /// They approve.
    #[default]
    Approve,
    /// The first one who answers declines.
    Decline,
    /// They sleep.
    Asleep,
}

impl People {
    /// Everything that they may do.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Decline, Self::Asleep];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Decline => "decline",
            Self::Asleep => "asleep",
        }
    }
}

/// Lets people listen to the topic of `region` and answer what is asked there, each after a time of their own.
pub(crate) fn listen(simulation: &Simulation, plan: &Plan, region: &str, function: &'static str, people: People) {
    let Some(site) = plan.site(region) else { return };
    let mut messages = simulation.cloud().sns.subscribe(&plan.topic_arn(site));
    let (simulation, region, arns) = (simulation.clone(), region.to_owned(), arns(plan));
    tokio::task::spawn_local(async move {
        while let Some(message) = messages.recv().await {
            let Some(question) = question(&message.text) else {
                continue;
            };
            if people == People::Asleep {
                continue;
            }
            for arn in &arns {
                let (simulation, region) = (simulation.clone(), region.clone());
                let (arn, question) = (arn.clone(), question.clone());
                tokio::task::spawn_local(async move {
                    let cloud = simulation.cloud();
                    let takes: Duration = cloud.draw("people", &cloud.timings.person_answers);
                    tokio::time::sleep(takes).await;
                    let body = answer(question, people);
                    // Whoever comes too late is told so, which changes nothing.
                    let _ = simulation.post_to_function(&region, function, &arn, &body).await;
                });
            }
        }
    });
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

fn answer(mut question: Value, people: People) -> String {
    if people == People::Decline {
        question["answer"] = Value::from("decline");
    }
    question["reason"] = Value::from("it is a rehearsal");
    question.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_that_approves_is_found_in_what_is_announced() {
        let text =
            "Somebody must approve.\n  {\"recovery\":\"r\",\"question\":\"q\",\"answer\":\"approve\"}\nor decline:\n";
        let found = question(text).unwrap();
        assert_eq!(
            (found["recovery"].as_str(), found["question"].as_str()),
            (Some("r"), Some("q"))
        );
        assert_eq!(question("The recovery has begun."), None);
        let declined: Value = serde_json::from_str(&answer(found, People::Decline)).unwrap();
        assert_eq!(declined["answer"], "decline");
    }
}
