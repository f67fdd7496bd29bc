//! Threads with room for a rehearsal.

use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Unoptimised futures of a rehearsal do not fit into the 2 MiB that threads have by themselves.
const STACK_BYTES: usize = 8 << 20;

/// A thread of this scope in which rehearsals have room, whatever the program was built and started with. Panics where the
/// operating system gives no thread, as [`Scope::spawn`] does.
pub fn spawn_with_room<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let builder = Builder::new().stack_size(STACK_BYTES);
    builder
        .spawn_scoped(scope, work)
        .expect("the operating system gives no more threads")
}
