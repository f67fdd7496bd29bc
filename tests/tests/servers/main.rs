//! The recovery of a database on real PostgreSQL servers, and the emptying of caches on real Redis servers, on a running clock: the rest of
//! AWS is simulated. A program of its own, since
//! what shares a clock with customers must not wait for a processor behind a thousand rehearsals.

mod application;
#[path = "../all/common/approval.rs"]
mod approval;
mod caches;
mod data_api;
mod front;
mod postgresql;
mod recoveries;
mod redis_servers;
mod statements;
mod world;
