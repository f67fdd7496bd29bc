//! Tests of rehearsals. One program, since linking each file by itself takes longer than running it.

mod defects;
mod faults;
mod planted;

// A rehearsal is many small allocations: this one takes a fifth less time than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
