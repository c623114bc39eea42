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

use crate::Received;

/// Calls on one connection that have no reply yet, by transaction id.
#[derive(Default)]
pub(crate) struct Pending {
    replies: RefCell<HashMap<u32, oneshot::Sender<Received>>>,
    last_xid: Cell<u32>,
    /// Set when no reply can arrive any more.
    ended: Cell<bool>,
}

impl Pending {
    /// A new transaction id and the place where its reply arrives; `None` when no reply can arrive.
    pub(crate) fn begin(self: &Rc<Self>) -> Option<Answer> {
        let mut xid = self.last_xid.get().wrapping_add(1);
        while self.replies.borrow().contains_key(&xid) {
            xid = xid.wrapping_add(1);
        }
        self.last_xid.set(xid);
        self.begin_as(xid)
    }

    /// The place where the reply with this transaction id, which no call has that waits, arrives; `None` when no reply can
    /// arrive.
    pub(crate) fn begin_as(self: &Rc<Self>, xid: u32) -> Option<Answer> {
        if self.ended.get() {
            return None;
        }
        let (sender, reply) = oneshot::channel();
        let other = self.replies.borrow_mut().insert(xid, sender);
        assert!(other.is_none(), "two calls under one transaction id");
        Some(Answer { pending: Rc::clone(self), xid, reply })
    }

    /// Delivers a reply; false when nobody waits for it.
    pub(crate) fn complete(&self, xid: u32, reply: Received) -> bool {
        let sender = self.replies.borrow_mut().remove(&xid);
        sender.is_some_and(|sender| sender.send(reply).is_ok())
    }

    /// Tells everyone who waits that no reply will come.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        // Taken out first: dropping a sender wakes its receiver.
        drop(self.replies.take());
    }
}

/// The reply to come; `None` when the connection ends before. Dropping it forgets the call.
#[must_use = "a reply nobody waits for is dropped"]
pub(crate) struct Answer {
    pending: Rc<Pending>,
    pub(crate) xid: u32,
    reply: oneshot::Receiver<Received>,
}

impl Future for Answer {
    type Output = Option<Received>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Received>> {
        Poll::Ready(ready!(Pin::new(&mut self.reply).poll(context)).ok())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Absent when the reply has arrived; no other call has this id while its own sender is in the map.
        self.pending.replies.borrow_mut().remove(&self.xid);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    fn poll(answer: &mut Answer) -> Poll<Option<Received>> {
        Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn replies_find_their_calls_in_any_order() {
        let pending = Rc::new(Pending::default());
        let mut first = pending.begin().expect("open");
        let mut second = pending.begin().expect("open");
        let forgotten = pending.begin().expect("open");
        let xid = forgotten.xid;
        drop(forgotten);
        assert!(!pending.complete(xid, Received::small(Bytes::new())), "nobody waits for it");
        assert!(pending.complete(second.xid, Received::small(Bytes::from_static(b"2"))));
        assert!(poll(&mut first).is_pending());
        assert!(matches!(poll(&mut second), Poll::Ready(Some(reply)) if reply.head == b"2"[..]));
        pending.end();
        assert!(matches!(poll(&mut first), Poll::Ready(None)));
        assert!(pending.begin().is_none());
    }

    #[test]
    fn an_id_that_was_chosen_is_not_given_to_another() {
        let pending = Rc::new(Pending::default());
        let mut chosen = pending.begin_as(1).expect("open");
        let given = pending.begin().expect("open");
        assert_eq!(given.xid, 2);
        assert!(pending.complete(1, Received::small(Bytes::from_static(b"1"))));
        assert!(matches!(poll(&mut chosen), Poll::Ready(Some(reply)) if reply.head == b"1"[..]));
        drop(chosen);
        drop(pending.begin_as(1).expect("it is free again"));
    }
}
