//! Whether more of a connection is welcome.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// Whether a connection is to be read, as its transport and its service know it. Clones speak of the same connection.
#[derive(Clone)]
pub struct Reading(Rc<Inner>);

struct Inner {
    holds: Cell<usize>,
    resumed: Box<dyn Fn()>,
}

/// As long as it exists no further call is read from the connection.
#[must_use = "the connection is read again when this is dropped"]
pub struct ReadingHold(Reading);

impl Reading {
    /// Of a connection that is read, and whose transport wants `resumed` called when it may read again.
    pub fn new(resumed: impl Fn() + 'static) -> Self {
        Self(Rc::new(Inner { holds: Cell::new(0), resumed: Box::new(resumed) }))
    }

    /// Has no further call read.
    pub fn hold(&self) -> ReadingHold {
        self.0.holds.update(|holds| holds + 1);
        ReadingHold(self.clone())
    }

    /// Whether no further call is to be read.
    pub fn is_held(&self) -> bool {
        self.0.holds.get() > 0
    }
}

impl Drop for ReadingHold {
    fn drop(&mut self) {
        let inner = &self.0.0;
        inner.holds.update(|holds| holds - 1);
        if inner.holds.get() == 0 {
            (inner.resumed)();
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reading").field("holds", &self.0.holds).finish()
    }
}
