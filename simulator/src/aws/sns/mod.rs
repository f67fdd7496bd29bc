//! SNS topics.

mod service;

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use shared::arn;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::aws::wire::{Call, Reply, element, query_parameters};
use crate::environment::Environment;
use crate::lock::lock;

/// SNS topics and what was published on them.
#[derive(Default)]
pub struct Sns {
    topics: Mutex<BTreeMap<String, Vec<Message>>>,
    subscribers: Mutex<BTreeMap<String, Vec<UnboundedSender<Message>>>>,
}

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// When SNS took it.
    pub published_at: Timestamp,
}

impl Sns {
    /// Makes a topic.
    pub fn create_topic(&self, arn: &str) {
        lock(&self.topics).entry(arn.to_owned()).or_default();
    }

    /// What was published on a topic, oldest first.
    pub fn messages(&self, arn: &str) -> Vec<Message> {
        lock(&self.topics).get(arn).cloned().unwrap_or_default()
    }

    /// What is published on a topic from now on, each message as soon as SNS has taken it.
    pub fn subscribe(&self, arn: &str) -> UnboundedReceiver<Message> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.subscribers).entry(arn.to_owned()).or_default().push(sender);
        receiver
    }

    fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let parameters = query_parameters(&call.body);
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let known = ["Action", "Version", "TopicArn", "Subject", "Message"];
        let unknown = parameters.keys().find(|name| !known.contains(&name.as_str()));
        match (operation, unknown) {
            ("Publish", None) => {
                let subject = parameters.get("Subject").cloned();
                let text = parameter("Message");
                self.publish(environment.now(), &call.region, &parameter("TopicArn"), subject, text)
            }
            ("Publish", Some(name)) => not_simulated(name),
            (other, _) => not_simulated(other),
        }
    }

    fn publish(&self, at: Timestamp, region: &str, arn: &str, subject: Option<String>, text: String) -> Reply {
        let invalid = |what: &str| Reply::query_error(400, "InvalidParameter", &format!("Invalid parameter: {what}"));
        if subject.as_ref().is_some_and(|subject| !is_subject(subject)) {
            return invalid("Subject");
        }
        if text.is_empty() || text.len() > 262_144 {
            return invalid("Message");
        }
        // A topic is published on in its own Region.
        if arn::region(arn) != region {
            return invalid("TopicArn");
        }
        let mut topics = lock(&self.topics);
        let Some(messages) = topics.get_mut(arn) else {
            return Reply::query_error(404, "NotFound", "Topic does not exist");
        };
        let message = Message {
            subject: subject.unwrap_or_default(),
            text,
            published_at: at,
        };
        messages.push(message.clone());
        if let Some(subscribers) = lock(&self.subscribers).get_mut(arn) {
            // Whoever does not listen any more is forgotten.
            subscribers.retain(|subscriber| subscriber.send(message.clone()).is_ok());
        }
        Reply::query(
            "Publish",
            &element("MessageId", &format!("00000000-0000-0000-0000-{:012}", messages.len())),
        )
    }
}

/// SNS API Reference, Publish: "ASCII text that begins with a letter, number, or punctuation mark; must not include line
/// breaks or control characters; and must be less than 100 characters long".
fn is_subject(subject: &str) -> bool {
    subject.len() < 100
        && subject.starts_with(|c: char| c.is_ascii_graphic())
        && subject.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

fn not_simulated(what: &str) -> Reply {
    Reply::query_error(501, "NotSimulated", &format!("the simulated SNS does not know {what}"))
}
