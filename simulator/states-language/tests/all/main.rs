//! Tests of the interpreter. One program, since linking each file by itself takes longer than running it.

mod common;
mod data;
mod distributed;
mod failures;
mod history;
mod load;
mod redrive;
mod states;
