//! Other identities for ring operations.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Ids to be unregistered at the end of the loop's turn.
pub(crate) type Retired = Rc<RefCell<Vec<u16>>>;

/// Credentials registered with a shard's ring: an operation that carries them runs with them. A handle, good on
/// its shard only; the last one (operations in flight hold one each) unregisters them.
#[derive(Clone)]
pub struct Personality(Rc<Registration>);

struct Registration {
    id: u16,
    retired: Retired,
}

impl Personality {
    pub(crate) fn new(id: u16, retired: Retired) -> Self {
        Self(Rc::new(Registration { id, retired }))
    }

    pub(crate) fn id(&self) -> u16 {
        self.0.id
    }
}

impl fmt::Debug for Personality {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Personality").field(&self.0.id).finish()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.retired.borrow_mut().push(self.id);
    }
}
