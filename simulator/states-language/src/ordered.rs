//! Futures polled side by side, always in the order in which they were added, so that what is due
//! at the same virtual instant happens in the same order in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::LocalBoxFuture;

/// A set of running futures, each with a number.
pub(crate) struct Ordered<'a, T> {
    running: BTreeMap<usize, Entry<'a, T>>,
    woken: Arc<Mutex<Woken>>,
}

struct Entry<'a, T> {
    future: LocalBoxFuture<'a, T>,
    waker: Waker,
}

/// Which futures were woken, and who polls the set.
#[derive(Default)]
struct Woken {
    numbers: BTreeSet<usize>,
    parent: Option<Waker>,
}

/// Remembers that its future was woken, and wakes whoever polls the set.
struct Flag {
    number: usize,
    woken: Arc<Mutex<Woken>>,
}

fn lock(woken: &Mutex<Woken>) -> std::sync::MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        let parent = {
            let mut woken = lock(&self.woken);
            woken.numbers.insert(self.number);
            woken.parent.clone()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<'a, T> Ordered<'a, T> {
    pub(crate) fn new() -> Self {
        Self {
            running: BTreeMap::new(),
            woken: Arc::default(),
        }
    }

    /// Adds a future under a number, which must be larger than those before it.
    pub(crate) fn push(&mut self, number: usize, future: LocalBoxFuture<'a, T>) {
        lock(&self.woken).numbers.insert(number);
        let waker = Waker::from(Arc::new(Flag {
            number,
            woken: Arc::clone(&self.woken),
        }));
        self.running.insert(number, Entry { future, waker });
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for the next future that is done; never returns when there is none.
    pub(crate) fn next(&mut self) -> Next<'_, 'a, T> {
        Next(self)
    }
}

pub(crate) struct Next<'s, 'a, T>(&'s mut Ordered<'a, T>);

impl<T> Future for Next<'_, '_, T> {
    type Output = (usize, T);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let set = &mut *self.0;
        lock(&set.woken).parent = Some(context.waker().clone());
        let mut from = 0;
        loop {
            // What is woken meanwhile and stands before the one that is polled has its turn in the next poll.
            let number = {
                let mut woken = lock(&set.woken);
                let next = woken.numbers.range(from..).next().copied();
                let Some(number) = next else {
                    return Poll::Pending;
                };
                woken.numbers.remove(&number);
                number
            };
            from = number + 1;
            let Some(entry) = set.running.get_mut(&number) else {
                continue;
            };
            let mut child = Context::from_waker(&entry.waker);
            if let Poll::Ready(output) = entry.future.as_mut().poll(&mut child) {
                set.running.remove(&number);
                return Poll::Ready((number, output));
            }
        }
    }
}
