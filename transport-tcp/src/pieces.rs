//! The pieces of batches, in lists that are used again on their core.

use std::{
    cell::{Cell, RefCell},
    ops::{Deref, Range},
    rc::Rc,
};

use buf::{IoBuffer, Piece, Slice};

/// Lists that a core keeps: as many as its connections send at one time, and the kernel holds.
const KEPT_MAX: usize = 256;

thread_local! {
    static KEPT: RefCell<Vec<Rc<Vec<Piece>>>> = const { RefCell::new(Vec::new()) };
}

/// The pieces of a batch. Who sends a part of them and who waits until the kernel lets go of it have a clone each; what the last
/// of these leaves is used again.
#[derive(Clone)]
pub(crate) struct Pieces {
    list: Rc<Vec<Piece>>,
    counter: Option<Rc<Cell<usize>>>,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { list: KEPT.with_borrow_mut(Vec::pop).unwrap_or_default(), counter: None }
    }
}

impl Pieces {
    /// Adds one to a batch that is being put together.
    ///
    /// # Panics
    /// When there is a clone.
    pub(crate) fn push(&mut self, piece: Piece) {
        Rc::get_mut(&mut self.list).expect("nothing is sent of a batch before it is complete").push(piece);
    }

    /// Counts their bytes as long as there is a clone.
    pub(crate) fn count(&mut self, counter: &Rc<Cell<usize>>) {
        counter.update(|sum| sum + self.list.length());
        self.counter = Some(Rc::clone(counter));
    }

    /// A range of their bytes. It is dropped before the clone that it was made of.
    pub(crate) fn part(&self, range: Range<usize>) -> Slice<Rc<Vec<Piece>>> {
        Slice::new(Rc::clone(&self.list), range)
    }
}

impl Deref for Pieces {
    type Target = Vec<Piece>;

    fn deref(&self) -> &Vec<Piece> {
        &self.list
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let Some(list) = Rc::get_mut(&mut self.list) else { return };
        if let Some(counter) = &self.counter {
            counter.update(|sum| sum - list.length());
        }
        for piece in list.drain(..) {
            match piece {
                Piece::Bytes(bytes) => rpc::keep_head(bytes),
                Piece::Chain(_) | Piece::Shared(_) => {}
            }
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT_MAX {
                kept.push(Rc::clone(&self.list));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn the_last_who_has_them_gives_them_back() {
        let counter = Rc::default();
        let mut pieces = Pieces::default();
        pieces.push(Piece::Bytes(BytesMut::from(&b"text"[..])));
        let at = Rc::as_ptr(&pieces.list);
        pieces.count(&counter);
        let (other, part) = (pieces.clone(), pieces.part(1..3));
        drop(pieces);
        assert_eq!((counter.get(), part.length()), (4, 2));
        drop(part);
        drop(other);
        assert_eq!(counter.get(), 0);
        let again = Pieces::default();
        assert!(Rc::as_ptr(&again.list) == at && again.is_empty() && again.counter.is_none());
    }
}
