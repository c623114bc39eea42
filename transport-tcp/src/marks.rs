//! Marks inside a message, so that each piece of its bulk data is a fragment of its own.
//!
//! A receiver that knows the hint finds place and length of the data in two words, however the credential is wrapped;
//! one that does not puts the fragments together as it must (RFC 5531 §11).

use bytes::{BufMut, BytesMut};
use rpc::Insert;
use wire::record::{MARK_LEN, Mark};

use crate::Message;

/// The message with all of its marks, the first included, in its head: everything up to the data, the data, what
/// follows it, and so on for several. Only for messages with bulk data: a message without has one fragment.
pub(crate) fn with_marks(message: Message) -> Message {
    let Message { mut head, inserts } = message;
    let mut marked = BytesMut::with_capacity(head.len() + (2 * inserts.len() + 1) * MARK_LEN);
    let mut position = 0;
    let mut marked_inserts = Vec::with_capacity(inserts.len());
    let mut inserts = inserts.into_iter().filter(|insert| !insert.data.is_empty()).peekable();
    while let Some(insert) = inserts.next() {
        let before = head.split_to(insert.position - position);
        position = insert.position;
        // Two pieces of data may touch; a fragment that carries nothing would be none.
        if !before.is_empty() {
            marked.put_slice(&mark(false, before.len()));
            marked.put_slice(&before);
        }
        let last = head.is_empty() && inserts.peek().is_none();
        marked.put_slice(&mark(last, insert.data.len()));
        marked_inserts.push(Insert { position: marked.len(), data: insert.data });
    }
    if !head.is_empty() {
        marked.put_slice(&mark(true, head.len()));
        marked.put_slice(&head);
    }
    Message { head: marked, inserts: marked_inserts.into_iter().collect() }
}

fn mark(last: bool, length: usize) -> [u8; MARK_LEN] {
    let length = u32::try_from(length).expect("a message is bounded far below 2 GiB");
    Mark { last, length }.to_bytes()
}

#[cfg(test)]
mod tests {
    use buf::{IoBuffer, Pool};

    use super::*;
    use crate::outbox::Outbox;

    /// The bytes of a marked message as they stand on the wire.
    fn flat(message: &Message) -> Vec<u8> {
        let (mut bytes, mut from) = (Vec::new(), 0);
        for insert in &message.inserts {
            bytes.extend_from_slice(&message.head[from..insert.position]);
            bytes.extend(vec![b'd'; insert.data.len()]);
            from = insert.position;
        }
        bytes.extend_from_slice(&message.head[from..]);
        bytes
    }

    #[test]
    fn every_piece_of_data_is_a_fragment() {
        let pool = Pool::new(4 << 20).expect("memory");
        let message = |head: &[u8], inserts: &[(usize, usize)]| {
            let data = |length| pool.take(length, 0).expect("free").into();
            let inserts =
                inserts.iter().map(|(position, length)| Insert { position: *position, data: data(*length) });
            flat(&with_marks(Message { head: BytesMut::from(head), inserts: inserts.collect() }))
        };
        assert_eq!(message(b"abcd", &[(2, 3)]), b"\0\0\0\x02ab\0\0\0\x03ddd\x80\0\0\x02cd");
        assert_eq!(message(b"ab", &[(2, 3)]), b"\0\0\0\x02ab\x80\0\0\x03ddd", "data is last");
        assert_eq!(message(b"ab", &[(0, 1), (0, 2)]), b"\0\0\0\x01d\0\0\0\x02dd\x80\0\0\x02ab");
        assert_eq!(message(b"a", &[(1, 1), (1, 2)]), b"\0\0\0\x01a\0\0\0\x01d\x80\0\0\x02dd");
        assert_eq!(message(b"a", &[(0, 0)]), b"\x80\0\0\x01a", "no data, no cut");
    }
    #[test]
    fn the_option_cuts_messages_with_data_only() {
        let pool = Pool::new(4 << 20).expect("memory");
        let outbox = Outbox::default();
        outbox.fragment_bulk.set(true);
        let mut data = pool.take(3, 0).expect("free");
        data.copy_from(0, b"ddd");
        outbox.push(Message::new(BytesMut::from(&b"plain"[..])));
        let inserts = [Insert { position: 2, data: data.into() }].into_iter().collect();
        outbox.push(Message { head: BytesMut::from(&b"abcd"[..]), inserts });
        let batch = outbox.take_batch();
        let mut bytes = Vec::new();
        batch.pieces.pieces(&mut |piece| bytes.extend_from_slice(piece));
        assert_eq!(bytes, b"\x80\0\0\x05plain\0\0\0\x02ab\0\0\0\x03ddd\x80\0\0\x02cd");
        assert_eq!((batch.length, outbox.bytes()), (bytes.len(), 0));
    }
}
