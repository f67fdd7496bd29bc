//! The AWS calls that were made: how often, and what they touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::resources::Resources;

/// A kind of AWS call, for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsCall {
    /// Who called.
    pub function: String,
    /// The Region that was called.
    pub region: String,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
}

/// What a kind of AWS call touched: what its caller has to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// Who called.
    pub function: String,
    /// The Region where the caller runs.
    pub from_region: String,
    /// The Region that was called.
    pub region: String,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// Whether it can change something.
    pub can_change: bool,
    /// What it touched.
    pub resources: Resources,
}

/// When a watcher sees a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has reached AWS, and nothing has become of it.
    Before,
    /// AWS has done it, and its answer is on the way.
    After,
}

/// What sees each call that can change something, within the poll of the future that makes it: for tests that compare what
/// was there with what is.
pub type Watcher = Box<dyn Fn(&AwsCall, Moment) + Send + Sync>;

/// The calls that were made.
#[derive(Default)]
pub(crate) struct Calls {
    pub by_kind: BTreeMap<AwsCall, u64>,
    pub by_function: BTreeMap<String, u64>,
    pub touched: BTreeSet<Touched>,
}

impl Calls {
    pub fn count_by(&mut self, function: &str) {
        match self.by_function.get_mut(function) {
            Some(made) => *made += 1,
            None => drop(self.by_function.insert(function.to_owned(), 1)),
        }
    }

    pub fn count(&mut self, call: AwsCall) {
        self.count_by(&call.function);
        *self.by_kind.entry(call).or_default() += 1;
    }
}
