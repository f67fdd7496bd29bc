//! What crosses crates: what machines, functions, the template and the plan promise each other. The checks are here, pure;
//! the tests that run them on the repository's own files are in `tests/tests/`.

pub mod contract;
pub mod iam;
pub mod limits;
pub mod permissions;
pub mod policy;
pub mod render;
pub mod stack;
pub mod step_input;
pub mod template;
