//! S3 buckets, with versions.
//!
//! A bucket's lifecycle rules and its policy are given back as they were put. Nothing acts on them: no object expires, and
//! nobody is denied.

mod bucket;
mod listing;
mod refusal;
mod requests;
mod service;
mod state;

pub use self::bucket::Versioning;
pub(crate) use self::refusal::Refusal;
pub use self::state::S3;
