//! Something that is told once, to whoever waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value that comes once. Clones are one and the same.
#[derive(Clone, Debug)]
pub(crate) struct Told<T>(Arc<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    value: Mutex<Option<T>>,
    given: Notify,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self(Arc::new(Slot {
            value: Mutex::new(None),
            given: Notify::new(),
        }))
    }
}

impl<T: Clone> Told<T> {
    /// Tells it; what is told later changes nothing.
    pub(crate) fn tell(&self, told: T) {
        let mut value = self.lock();
        if value.is_none() {
            *value = Some(told);
            self.0.given.notify_one();
        }
    }

    /// What was told, if it was.
    pub(crate) fn value(&self) -> Option<T> {
        self.lock().clone()
    }

    /// Waits until it is told.
    pub(crate) async fn wait(&self) -> T {
        loop {
            match self.value() {
                Some(value) => return value,
                None => self.0.given.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
