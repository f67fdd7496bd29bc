//! The recovery of a database on real PostgreSQL servers and a running clock: the rest of AWS is simulated. A program of its own, since
//! what shares a clock with customers must not wait for a processor behind a thousand rehearsals.

mod application;
#[path = "../all/common/approval.rs"]
mod approval;
mod data_api;
mod front;
mod postgresql;
mod recoveries;
mod statements;
mod world;
