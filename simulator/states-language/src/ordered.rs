//! Futures polled side by side, always in the order in which they were added, so that what is due
//! at the same virtual instant happens in the same order in every run.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::LocalBoxFuture;

/// A set of running futures, each with a number.
pub(crate) struct Ordered<'a, T> {
    running: Vec<Entry<'a, T>>,
    parent: Arc<Mutex<Option<Waker>>>,
}

struct Entry<'a, T> {
    number: usize,
    future: LocalBoxFuture<'a, T>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// Remembers that its future was woken, and wakes whoever polls the set.
struct Flag {
    woken: AtomicBool,
    parent: Arc<Mutex<Option<Waker>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        let parent = self.parent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<'a, T> Ordered<'a, T> {
    pub(crate) fn new() -> Self {
        Self {
            running: Vec::new(),
            parent: Arc::default(),
        }
    }

    /// Adds a future under a number, which must be larger than those before it.
    pub(crate) fn push(&mut self, number: usize, future: LocalBoxFuture<'a, T>) {
        let flag = Arc::new(Flag {
            woken: AtomicBool::new(true),
            parent: Arc::clone(&self.parent),
        });
        let waker = Waker::from(Arc::clone(&flag));
        self.running.push(Entry {
            number,
            future,
            flag,
            waker,
        });
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
        *set.parent.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        for i in 0..set.running.len() {
            let entry = &mut set.running[i];
            if !entry.flag.woken.swap(false, Ordering::AcqRel) {
                continue;
            }
            let mut child = Context::from_waker(&entry.waker);
            if let Poll::Ready(output) = entry.future.as_mut().poll(&mut child) {
                let number = set.running.remove(i).number;
                return Poll::Ready((number, output));
            }
        }
        Poll::Pending
    }
}
