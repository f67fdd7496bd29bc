//! Rehearsals: a simulated AWS in virtual time, the workload on it, and state machines that run against it.
//!
//! It knows AWS and the platform that the plan describes, and runs whatever steps and machines it is handed; it names
//! none of them. The interpreter of the States Language is a crate of its own, `states-language`.

pub mod aws;
mod calls;
pub mod chance;
pub mod clock;
pub mod cloud;
pub mod cost;
pub mod database;
pub mod environment;
pub mod faults;
mod lock;
pub mod messages;
pub mod simulation;
pub mod timings;
pub mod workload;
