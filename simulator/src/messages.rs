//! What customers do not wait for: messages in each Region's queue, which an event source has the first function write.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::lock::lock;

/// How long nobody sees a message after it was received and not handled. Source: SQS's default visibility timeout.
const HIDDEN_FOR: Duration = Duration::from_secs(30);
/// After this many receives without success, a message goes to the dead-letter queue. Source: Lambda Developer Guide, "Using
/// Lambda with Amazon SQS": a `maxReceiveCount` of at least 5.
const MOST_RECEIVES: u32 = 5;

/// The Regions' queues.
#[derive(Default)]
pub struct Queues(Mutex<BTreeMap<String, Queue>>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Message>,
    dead: Vec<Timestamp>,
}

struct Message {
    visible_at: Timestamp,
    receives: u32,
}

impl Queues {
    /// When messages of a Region went to its dead-letter queue, in their order.
    pub fn dead_letters(&self, region: &str) -> Vec<Timestamp> {
        lock(&self.0)
            .get(region)
            .map(|queue| queue.dead.clone())
            .unwrap_or_default()
    }

    /// How many messages wait in a Region.
    pub fn waiting(&self, region: &str) -> usize {
        lock(&self.0).get(region).map_or(0, |queue| queue.waiting.len())
    }

    /// A message comes in.
    pub fn come_in(&self, region: &str, now: Timestamp) {
        let mut queues = lock(&self.0);
        queues.entry(region.to_owned()).or_default().waiting.push(Message {
            visible_at: now,
            receives: 0,
        });
    }

    /// An event source receives what is visible; `is_handled` says whether its function has handled a message.
    pub fn receive(&self, region: &str, now: Timestamp, is_handled: impl Fn() -> bool) {
        let mut queues = lock(&self.0);
        let Some(queue) = queues.get_mut(region) else {
            return;
        };
        let Queue { waiting, dead } = queue;
        waiting.retain_mut(|message| {
            if message.visible_at > now {
                return true;
            }
            if message.receives == MOST_RECEIVES {
                dead.push(now);
                return false;
            }
            message.receives += 1;
            message.visible_at = now.checked_add(HIDDEN_FOR).unwrap_or(now);
            !is_handled()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_nobody_handles_goes_to_the_dead_letter_queue() {
        let queues = Queues::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        queues.come_in("r", at(0));
        for second in 0..150 {
            queues.receive("r", at(second), || false);
        }
        assert_eq!((queues.waiting("r"), queues.dead_letters("r")), (1, vec![]));
        queues.receive("r", at(150), || true);
        assert_eq!((queues.waiting("r"), queues.dead_letters("r")), (0, vec![at(150)]));
    }

    #[test]
    fn a_message_that_is_handled_is_gone() {
        let queues = Queues::default();
        queues.come_in("r", Timestamp::UNIX_EPOCH);
        queues.receive("r", Timestamp::UNIX_EPOCH, || true);
        assert_eq!((queues.waiting("r"), queues.dead_letters("r")), (0, vec![]));
    }
}
