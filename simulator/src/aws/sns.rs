//! SNS topics.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::wire::{Answer, Call, Reply, element, query_parameters};
use crate::cloud::lock;

/// SNS topics and what was published on them.
#[derive(Default)]
pub struct Sns {
    topics: Mutex<BTreeMap<String, Vec<Message>>>,
}

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
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

    pub(crate) fn answer(&self, call: &Call) -> Answer {
        let parameters = query_parameters(&call.body);
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let operation = parameter("Action");
        let reply = match operation.as_str() {
            "Publish" => self.publish(&parameter("TopicArn"), parameter("Subject"), parameter("Message")),
            other => Reply::query_error(400, "InvalidAction", &format!("the simulated SNS has no {other}")),
        };
        Answer { operation, reply }
    }

    fn publish(&self, arn: &str, subject: String, text: String) -> Reply {
        let invalid = |what: &str| Reply::query_error(400, "InvalidParameter", &format!("Invalid parameter: {what}"));
        if subject.chars().count() > 100 || !subject.is_ascii() || subject.contains('\n') {
            return invalid("Subject");
        }
        if text.is_empty() || text.len() > 262_144 {
            return invalid("Message");
        }
        let mut topics = lock(&self.topics);
        let Some(messages) = topics.get_mut(arn) else {
            return Reply::query_error(404, "NotFound", "Topic does not exist");
        };
        messages.push(Message { subject, text });
        Reply::query(
            "Publish",
            &element("MessageId", &format!("00000000-0000-0000-0000-{:012}", messages.len())),
        )
    }
}
