//! Rehearsals: a disaster, the recovery that it starts, and what both the recovery and the customers saw. The deployed state
//! machines and the real step code run on a simulated AWS in virtual time.
//!
//! [`rehearse`] plays a [`Script`]; [`campaign`] plays many, each with faults that its seed draws.

pub mod campaign;
pub mod deployment;
mod faults;
mod found;
mod inject;
mod invariants;
mod people;
mod script;
mod spread;
mod stage;
mod summary;

pub use faults::{Fault, FaultKind, KINDS, compatible};
pub use found::{Applied, Breach, CallCount, Earlier, Moment, ObjectiveSeconds, Rehearsal, TargetAndMaximum, Truth};
pub use script::{Disaster, Replaced, Script};
pub use spread::Spread;
pub use stage::rehearse;
