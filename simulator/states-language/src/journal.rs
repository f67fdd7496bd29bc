//! The history while it is being written.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::errors::TaskFailure;
use crate::history::{EventDetails, EventKind, HISTORY_LIMIT, HistoryEvent};
use crate::host::Host;

/// Which state of which branch an event is about.
#[derive(Clone)]
pub(crate) struct Place {
    pub state: Arc<str>,
    pub path: Arc<str>,
}

impl Place {
    pub(crate) fn nowhere() -> Self {
        Self {
            state: Arc::from(""),
            path: Arc::from(""),
        }
    }
}

/// The history while it is being written.
pub(crate) struct Journal {
    execution_arn: Arc<str>,
    host: Rc<dyn Host>,
    /// How many there are.
    written: Cell<u64>,
    /// None of those that are only observed.
    kept: Option<RefCell<Vec<HistoryEvent>>>,
    /// After the last event nothing more is written, whatever is still being dropped.
    closed: Cell<bool>,
}

impl Journal {
    /// `events` are those that were written before a redrive.
    pub(crate) fn new(execution_arn: Arc<str>, host: Rc<dyn Host>, events: Vec<HistoryEvent>) -> Self {
        Self {
            execution_arn,
            host,
            written: Cell::new(events.len() as u64),
            kept: Some(RefCell::new(events)),
            closed: Cell::new(false),
        }
    }

    /// One whose events are observed and counted, and not kept.
    pub(crate) fn observed(execution_arn: Arc<str>, host: Rc<dyn Host>) -> Self {
        Self {
            execution_arn,
            host,
            written: Cell::new(0),
            kept: None,
            closed: Cell::new(false),
        }
    }

    /// The number of the last event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.written.get()
    }

    /// Writes an event and moves `previous` on to it, if other events follow from its type.
    ///
    /// # Errors
    /// `States.Runtime`, which nothing catches, when only the ending event still fits.
    pub(crate) fn push(
        &self,
        previous: &Cell<u64>,
        place: &Place,
        kind: EventKind,
        details: EventDetails,
    ) -> Result<(), TaskFailure> {
        if self.written.get() + 1 >= HISTORY_LIMIT {
            return Err(TaskFailure::runtime(format!(
                "The execution reached the maximum number of history events ({HISTORY_LIMIT})."
            )));
        }
        self.write(previous, place, kind, details);
        Ok(())
    }

    /// Writes the event that ends the execution.
    pub(crate) fn close(&self, previous: &Cell<u64>, kind: EventKind, details: EventDetails) {
        self.write(previous, &Place::nowhere(), kind, details);
        self.closed.set(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(crate) fn take(&self) -> Vec<HistoryEvent> {
        self.kept.as_ref().map(RefCell::take).unwrap_or_default()
    }

    fn write(&self, previous: &Cell<u64>, place: &Place, kind: EventKind, details: EventDetails) {
        if self.closed.get() {
            return;
        }
        let id = self.written.get() + 1;
        self.written.set(id);
        let led_to_it = previous.get();
        if kind.is_followed() {
            previous.set(id);
        }
        let event = HistoryEvent {
            execution_arn: Arc::clone(&self.execution_arn),
            id,
            previous: led_to_it,
            timestamp: self.host.now(),
            kind,
            state: Arc::clone(&place.state),
            path: Arc::clone(&place.path),
            details,
        };
        // With no borrow held: an observer may look around.
        self.host.observe(&event);
        if let Some(kept) = &self.kept {
            kept.borrow_mut().push(event);
        }
    }
}
