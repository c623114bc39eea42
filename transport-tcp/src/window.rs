//! Bytes that were received and not yet consumed.

use std::cell::RefCell;

use buf::Chain;
use bytes::BytesMut;
use engine::Loan;

use crate::limits::{WINDOW_KEPT, WINDOW_SPARE_MAX, WINDOWS_SPARE};

thread_local! {
    /// Memory that windows had no room in, or no use for.
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The bytes in stream order: first those in memory of the connection's own, then those in one of the core's buffers.
/// Whole records are taken out of the core's buffer; only what is cut by its end goes through the own memory, and what is
/// left when the connection waits for something, so that it keeps no buffer from others.
#[derive(Default)]
pub(crate) struct Window {
    own: Vec<u8>,
    own_start: usize,
    loan: Option<Loan>,
    loan_start: usize,
}

impl Window {
    /// Bytes here.
    pub(crate) fn len(&self) -> usize {
        self.own().len() + self.loan().len()
    }

    /// Whether everything that arrived is consumed.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first bytes in one piece: at least `wanted`, or all there are.
    pub(crate) fn prefix(&mut self, wanted: usize) -> &[u8] {
        if self.own().is_empty() {
            return self.loan();
        }
        let missing = wanted.saturating_sub(self.own().len());
        self.move_to_own(missing);
        self.own()
    }

    /// Adds bytes that came next.
    pub(crate) fn push(&mut self, loan: Loan) {
        self.settle();
        (self.loan, self.loan_start) = (Some(loan).filter(|loan| !loan.is_empty()), 0);
    }

    /// Gives the core's buffer back.
    pub(crate) fn settle(&mut self) {
        self.move_to_own(usize::MAX);
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "only what arrived can be consumed");
        let own = count.min(self.own().len());
        self.own_start += own;
        self.loan_start += count - own;
        if self.own_start == self.own.len() {
            self.own.clear();
            self.own_start = 0;
            if self.own.capacity() > WINDOW_KEPT {
                leave(std::mem::take(&mut self.own));
            }
        }
        if self.loan().is_empty() {
            self.loan = None;
        }
    }

    /// Takes up to `count` of the first bytes.
    pub(crate) fn take(&mut self, count: usize, sink: &mut BytesMut) -> usize {
        self.move_out(count, |_, bytes| sink.extend_from_slice(bytes))
    }

    /// Moves the first bytes to the beginning of a payload, as many as it takes, and returns how many those are.
    pub(crate) fn move_to(&mut self, payload: &mut Chain) -> usize {
        self.move_out(payload.len(), |at, bytes| payload.copy_from(at, bytes))
    }

    /// Lends the own memory, which is empty, to receive what comes next.
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        debug_assert!(self.is_empty(), "what comes next stands behind what is here");
        std::mem::take(&mut self.own)
    }

    /// Takes the memory back with what came.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.is_empty(), "nothing came another way");
        (self.own, self.own_start) = (bytes, 0);
    }

    fn move_out(&mut self, count: usize, mut sink: impl FnMut(usize, &[u8])) -> usize {
        let (own, loan) = (self.own(), self.loan());
        let from_own = count.min(own.len());
        let from_loan = (count - from_own).min(loan.len());
        if from_own > 0 {
            sink(0, &own[..from_own]);
        }
        if from_loan > 0 {
            sink(from_own, &loan[..from_loan]);
        }
        self.consume(from_own + from_loan);
        from_own + from_loan
    }

    fn move_to_own(&mut self, count: usize) {
        let Some(loan) = &self.loan else { return };
        if count == 0 {
            return;
        }
        if self.own_start > 0 {
            self.own.drain(..self.own_start);
            self.own_start = 0;
        }
        let end = loan.len().min(self.loan_start.saturating_add(count));
        let bytes = &loan[self.loan_start..end];
        if self.own.len() + bytes.len() > self.own.capacity() {
            let mut larger = SPARES.with_borrow_mut(Vec::pop).unwrap_or_default();
            larger.extend_from_slice(&self.own);
            leave(std::mem::replace(&mut self.own, larger));
        }
        self.own.extend_from_slice(bytes);
        self.loan_start = end;
        if end == loan.len() {
            self.loan = None;
        }
    }

    fn own(&self) -> &[u8] {
        &self.own[self.own_start..]
    }

    fn loan(&self) -> &[u8] {
        self.loan.as_ref().map_or(&[], |loan| &loan[self.loan_start..])
    }
}

/// Leaves a window's memory to others.
fn leave(mut own: Vec<u8>) {
    own.clear();
    SPARES.with_borrow_mut(|spares| {
        if spares.len() < WINDOWS_SPARE && (1..=WINDOW_SPARE_MAX).contains(&own.capacity()) {
            spares.push(own);
        }
    });
}
