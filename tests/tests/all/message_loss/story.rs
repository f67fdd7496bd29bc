//! What only a recovery from the loss of messages has to say in its report.

use report::{Account, Story, Text, Todo};
use shared::record::Closing;
use shared::step::Step;

use super::hold_queue::HoldQueue;
use super::look_at_queue::LookAtQueue;
use super::move_messages::MoveMessages;
use super::release_queue::ReleaseQueue;

/// The story.
pub struct OfMessages;

impl Story for OfMessages {
    fn step(&self, _: &Account, name: &str) -> Option<String> {
        let said = match name {
            LookAtQueue::NAME => "counts what is lost",
            HoldQueue::NAME => "holds the queue",
            MoveMessages::NAME => "moves the messages back",
            ReleaseQueue::NAME => "lets the queue deliver",
            _ => return None,
        };
        Some(said.to_owned())
    }

    fn todos(&self, _: &Account, _: &Closing) -> Vec<Todo> {
        vec![Todo::now("Tell those who wait for their orders")]
    }

    fn words(&self, _: &Account) -> Vec<(Text, Text)> {
        vec![("Queue".into(), "where orders wait".into())]
    }
}
