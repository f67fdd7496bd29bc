//! Rehearsals: a disaster, the recovery that it starts, and what both the recovery and the customers saw. The deployed state
//! machines and the real step code run on a simulated AWS in virtual time.
//!
//! [`rehearse`] plays a [`Script`]; [`campaign`] plays many, each with faults that its seed draws. What is rehearsed is a
//! [`Disaster`]: the built-in ones are [`scenarios::ALL`], and any other can be played by the same code.

pub mod campaign;
pub mod deployment;
mod disaster;
pub mod fault;
pub mod faults;
mod found;
pub mod happened;
mod inject;
mod invariants;
mod moment;
pub mod people;
mod room;
pub mod scenarios;
mod script;
mod spread;
mod stage;
mod summary;
mod truth;
mod waits;
mod world;

pub use disaster::{Disaster, Scene, Start, deployments, vocabulary, world_of};
pub use fault::{Area, Fault, FaultKind, compatible};
pub use found::{Applied, CallCount, Earlier, ObjectiveSeconds, Rehearsal, TargetAndMaximum};
pub use moment::Moment;
pub use room::spawn_with_room;
pub use script::{OwnTimings, Replaced, Script};
pub use spread::Spread;
pub use stage::rehearse;
pub use truth::{Breach, Truth};
pub use waits::{Answered, Wait};
pub use world::World;
