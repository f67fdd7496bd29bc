//! Quotas on requests: how many a service answers in a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

use crate::lock::lock;

/// A quota of so many requests in any stretch of time so long, in each Region.
pub struct Quota {
    requests: usize,
    per: SignedDuration,
    /// When the requests that count came, by Region.
    came: Mutex<BTreeMap<String, VecDeque<Timestamp>>>,
}

impl Quota {
    /// `requests` in any `per`.
    pub const fn new(requests: usize, per: SignedDuration) -> Self {
        Self {
            requests,
            per,
            came: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whether one more request is within the quota now; if so, it counts.
    pub fn takes(&self, region: &str, now: Timestamp) -> bool {
        let mut came = lock(&self.came);
        let came = came.entry(region.to_owned()).or_default();
        while came.front().is_some_and(|at| now.duration_since(*at) >= self.per) {
            came.pop_front();
        }
        let takes = came.len() < self.requests;
        if takes {
            came.push_back(now);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_holds_for_any_stretch_of_time_in_each_region() {
        let quota = Quota::new(15, SignedDuration::from_secs(1));
        let takes = |region, millisecond| quota.takes(region, Timestamp::from_millisecond(millisecond).unwrap());
        assert_eq!((0..20).filter(|call| takes("us-west-2", call * 10)).count(), 15);
        assert!(takes("us-east-1", 200), "another Region has its own");
        assert!(!takes("us-west-2", 999));
        assert!(takes("us-west-2", 1000), "the first one is a second ago");
    }
}
