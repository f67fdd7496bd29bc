//! Tests of reports. One program, since linking each file by itself takes longer than running it.

#![allow(clippy::disallowed_methods, reason = "tests wait, in virtual time")]

mod browser;
#[path = "../../../tests/tests/all/common/mod.rs"]
mod common;
mod facts;
mod made;
mod path;
mod recorded;
mod said;
mod structure;
