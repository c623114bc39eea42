//! Calls of ours that wait for their replies.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use engine::sync::oneshot;

/// Calls on one connection that have no reply yet, by transaction id.
pub struct Pending<R> {
    replies: RefCell<HashMap<u32, oneshot::Sender<R>>>,
    last_xid: Cell<u32>,
    /// Set when no reply can arrive any more.
    ended: Cell<bool>,
}

impl<R> Default for Pending<R> {
    fn default() -> Self {
        Self { replies: RefCell::default(), last_xid: Cell::default(), ended: Cell::default() }
    }
}

impl<R> Pending<R> {
    /// A new transaction id and the place where its reply arrives; `None` when no reply can arrive.
    pub fn begin(self: &Rc<Self>) -> Option<Answer<R>> {
        let mut xid = self.last_xid.get().wrapping_add(1);
        while self.replies.borrow().contains_key(&xid) {
            xid = xid.wrapping_add(1);
        }
        self.last_xid.set(xid);
        self.begin_as(xid)
    }

    /// The place where the reply with this transaction id, which no call has that waits, arrives; `None` when no reply can
    /// arrive.
    pub fn begin_as(self: &Rc<Self>, xid: u32) -> Option<Answer<R>> {
        if self.ended.get() {
            return None;
        }
        let (sender, reply) = oneshot::channel();
        let other = self.replies.borrow_mut().insert(xid, sender);
        assert!(other.is_none(), "two calls under one transaction id");
        Some(Answer { pending: Rc::clone(self), xid, reply })
    }

    /// Delivers a reply; false when nobody waits for it.
    pub fn complete(&self, xid: u32, reply: R) -> bool {
        let sender = self.replies.borrow_mut().remove(&xid);
        sender.is_some_and(|sender| sender.send(reply).is_ok())
    }

    /// Tells who waits for this reply that it will not come; false when nobody waits for it.
    pub fn fail(&self, xid: u32) -> bool {
        // Taken out first: dropping a sender wakes its receiver.
        let sender = self.replies.borrow_mut().remove(&xid);
        sender.is_some()
    }

    /// Tells everyone who waits that no reply will come.
    pub fn end(&self) {
        self.ended.set(true);
        // Taken out first: dropping a sender wakes its receiver.
        drop(self.replies.take());
    }
}

/// The reply to come; `None` when the connection ends before. Dropping it forgets the call.
#[must_use = "a reply nobody waits for is dropped"]
pub struct Answer<R> {
    pending: Rc<Pending<R>>,
    /// The transaction id.
    pub xid: u32,
    reply: oneshot::Receiver<R>,
}

impl<R> Future for Answer<R> {
    type Output = Option<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        Poll::Ready(ready!(Pin::new(&mut self.reply).poll(context)).ok())
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        // Absent when the reply has arrived; no other call has this id while its own sender is in the map.
        self.pending.replies.borrow_mut().remove(&self.xid);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(answer: &mut Answer<u8>) -> Poll<Option<u8>> {
        Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn replies_find_their_calls_in_any_order() {
        let pending = Rc::new(Pending::<u8>::default());
        let mut first = pending.begin().expect("open");
        let mut second = pending.begin().expect("open");
        let forgotten = pending.begin().expect("open");
        let xid = forgotten.xid;
        drop(forgotten);
        assert!(!pending.complete(xid, 0), "nobody waits for it");
        assert!(pending.complete(second.xid, 2));
        assert!(poll(&mut first).is_pending());
        assert!(matches!(poll(&mut second), Poll::Ready(Some(2))));
        pending.end();
        assert!(matches!(poll(&mut first), Poll::Ready(None)));
        assert!(pending.begin().is_none());
    }

    #[test]
    fn an_id_that_was_chosen_is_not_given_to_another() {
        let pending = Rc::new(Pending::<u8>::default());
        let mut chosen = pending.begin_as(1).expect("open");
        let given = pending.begin().expect("open");
        assert_eq!(given.xid, 2);
        assert!(pending.complete(1, 1));
        assert!(matches!(poll(&mut chosen), Poll::Ready(Some(1))));
        drop(chosen);
        drop(pending.begin_as(1).expect("it is free again"));
    }
}
