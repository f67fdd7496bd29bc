//! EventBridge: rules that pass events on, and schedules that call targets by the clock.

mod bus;
mod pattern_check;
mod patterns;
mod rules;
mod schedules;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod transformer;

pub use self::patterns::matches;
pub use self::rules::{Rule, Target, TargetInput};
pub use self::schedules::run_schedules;
pub use self::state::{Delivery, Events, Schedule};
pub use self::transformer::InputTransformer;
