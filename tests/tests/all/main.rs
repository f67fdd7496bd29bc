//! Tests of what crosses crates. One program, since linking each file by itself takes longer than running it.

mod approvals;
mod arbitrary_events;
mod arbitrary_inputs;
mod asking;
mod asl_validator;
mod built;
mod circles;
mod common;
mod deferred;
mod effects;
mod features;
mod fencing;
mod lambda_runtime;
mod locks;
mod lost_lock;
mod machines;
mod message_loss;
mod names;
mod permissions;
mod policies;
mod recovery_machine;
mod region_switch;
mod resuming;
mod start_by_hand;
mod start_recovery;
mod stopped;
mod switch_object;
mod template;
mod time_limits;
mod tokens;
mod watching_back;
mod who_writes;
mod words;
mod worst_case;

// Most tests play rehearsals, which are many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
