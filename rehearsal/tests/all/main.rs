//! Tests of rehearsals. One program, since linking each file by itself takes longer than running it.

mod defects;
mod faults;
mod planted;
