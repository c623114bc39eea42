//! Replies as they leave: with their message, or written into memory of the client before it.

use buf::Chain;
use bytes::BytesMut;
use rpc::{Bulk, Insert, Inserts, Reply};
use verbs::PLACES_MAX;
use wire::rdma::{Chunk, Chunks, Content, Failure, Header, ReadList, VERSION};
use wire::xdr::{Encoder, pad_len};

use crate::batch::{Batch, Part, Parts, length, places};
use crate::call::Asked;
use crate::connection::Connection;
use crate::limits::MESSAGE_BYTES;
use crate::stats::add;

/// Why a reply cannot leave as it is.
enum Unsendable {
    /// What the client offers has no room for it.
    NoRoom,
    /// There is no memory to be had.
    Lost,
}

/// A header as bytes.
pub(crate) fn encoded(header: &Header) -> BytesMut {
    let mut encoder = Encoder::new(rpc::take_head(MESSAGE_BYTES), MESSAGE_BYTES);
    encoder.put(header).expect("a header with all its chunks is shorter than a message");
    encoder.finish().head
}

impl Connection {
    /// Answers a call.
    pub(crate) async fn reply(&self, asked: &Asked, reply: Reply) {
        match self.try_reply(asked, reply).await {
            Ok(()) => {}
            // A client that is owed a reply waits for it as long as the connection lasts.
            Err(Unsendable::Lost) => self.close(),
            Err(Unsendable::NoRoom) => self.error(asked.xid, VERSION, Failure::Chunk).await,
        }
    }

    /// Says that a message could not be used, or its reply not be sent.
    pub(crate) async fn error(&self, xid: u32, version: u32, failure: Failure) {
        add(&self.shared.stats.errors_sent, 1);
        let header = Header { xid, version, credits: self.terms.credits, content: Content::Error(failure) };
        let mut batch = Batch::default();
        let message = self.message(&[&encoded(&header)]).await;
        batch.send(&self.shared.adapter.memory, [message].into_iter().collect(), None);
        self.post(batch, None).await;
    }

    async fn try_reply(&self, asked: &Asked, reply: Reply) -> Result<(), Unsendable> {
        let Reply { mut head, mut inserts } = reply;
        let mut batch = Batch::default();
        let unused = |chunk: &Chunk| chunk.filled(0);
        let mut chunks = Chunks {
            reads: ReadList::default(),
            write: asked.chunks.write.as_ref().and_then(unused),
            reply: asked.chunks.reply.as_ref().and_then(unused),
        };
        if let Some(place) = asked.chunks.write.filter(|chunk| !chunk.segments().is_empty())
            && !inserts.is_empty()
        {
            let data = take_first(&mut head, &mut inserts);
            chunks.write = Some(self.write_data(&mut batch, data, &place).await?);
        }
        let header =
            |content| Header { xid: asked.xid, version: VERSION, credits: self.terms.credits, content };
        let stream = head.len() + inserts.iter().map(|insert| insert.data.len()).sum::<usize>();
        let first = encoded(&header(Content::Message(chunks)));
        let message = if first.len() + stream <= self.terms.send_bytes {
            self.inline_parts(&first, &head, inserts).await?
        } else {
            let place = asked.chunks.reply.as_ref().ok_or(Unsendable::NoRoom)?;
            chunks.reply = Some(self.write_stream(&mut batch, &head, inserts, place).await?);
            [self.message(&[&encoded(&header(Content::NoMessage(chunks)))]).await].into_iter().collect()
        };
        rpc::keep_head(first);
        rpc::keep_head(head);
        let key = if self.terms.remote_invalidation { asked.only_key() } else { None };
        add(&self.shared.stats.invalidated, usize::from(key.is_some()));
        batch.send(&self.shared.adapter.memory, message, key);
        self.post(batch, None).await;
        Ok(())
    }

    /// Has the data of a result written to its place, and tells how much of that was used.
    async fn write_data(&self, batch: &mut Batch, data: Bulk, place: &Chunk) -> Result<Chunk, Unsendable> {
        let bytes = data.len();
        let filled = place.filled(bytes as u64).ok_or(Unsendable::NoRoom)?;
        let chain = self.in_memory(data).await?;
        add(&self.shared.stats.payload_written_bytes, bytes);
        batch.write(&self.shared.adapter.memory, [Part::Payload(chain)].into_iter().collect(), place);
        Ok(filled)
    }

    /// Has all of a reply written to its place, and tells how much of that was used.
    async fn write_stream(
        &self,
        batch: &mut Batch,
        head: &[u8],
        inserts: Inserts,
        place: &Chunk,
    ) -> Result<Chunk, Unsendable> {
        let may_wait = inserts.is_empty() && batch.held.is_empty();
        let parts = self.parts(&[], head, inserts, may_wait).await?;
        let filled = place.filled(length(&parts) as u64).ok_or(Unsendable::NoRoom)?;
        add(&self.shared.stats.replies_written, 1);
        batch.write(&self.shared.adapter.memory, parts, place);
        Ok(filled)
    }

    /// A message of a header and all that follows it, in as few places as one Send can have.
    async fn inline_parts(&self, header: &[u8], head: &[u8], inserts: Inserts) -> Result<Parts, Unsendable> {
        let bulk = inserts.iter().map(|insert| insert.data.len()).sum::<usize>();
        add(&self.shared.stats.payload_inline_sent_bytes, bulk);
        // All of it is shorter than a message, so that nothing is waited for.
        let parts = self.parts(header, head, inserts, false).await?;
        if places(&parts) <= PLACES_MAX {
            return Ok(parts);
        }
        add(&self.shared.stats.payload_copied_bytes, bulk);
        let mut all = BytesMut::with_capacity(length(&parts));
        parts.iter().for_each(|part| part.append_to(&mut all));
        Ok([self.message(&[&all]).await].into_iter().collect())
    }

    /// A reply's bytes where adapters can reach them: `header`, then the head with its inserts.
    async fn parts(
        &self,
        header: &[u8],
        head: &[u8],
        inserts: Inserts,
        may_wait: bool,
    ) -> Result<Parts, Unsendable> {
        let (mut parts, mut from, mut before) = (Parts::new(), 0, header);
        for Insert { position, data } in inserts {
            parts.push(self.text(before, &head[from..position], may_wait).await?);
            parts.push(Part::Payload(self.in_memory(data).await?));
            (from, before) = (position, &[]);
        }
        if from < head.len() || !before.is_empty() {
            parts.push(self.text(before, &head[from..], may_wait).await?);
        }
        Ok(parts)
    }

    /// Text in a message's place, or in payload memory if it is longer.
    async fn text(&self, before: &[u8], text: &[u8], may_wait: bool) -> Result<Part, Unsendable> {
        let bytes = before.len() + text.len();
        if bytes <= MESSAGE_BYTES {
            return Ok(self.message(&[before, text]).await);
        }
        let mut chain = self.memory(bytes, may_wait).await?;
        chain.copy_from(0, before);
        chain.copy_from(before.len(), text);
        Ok(Part::Payload(chain))
    }

    /// A message's place with these bytes, which fit.
    pub(crate) async fn message(&self, texts: &[&[u8]]) -> Part {
        let mut slot = self.shared.adapter.slot().await;
        let mut at = 0;
        for text in texts {
            slot.as_mut_slice()[at..at + text.len()].copy_from_slice(text);
            at += text.len();
        }
        Part::Message(slot, at)
    }

    /// Bulk data where adapters can reach it: hardly any is anywhere else.
    async fn in_memory(&self, data: Bulk) -> Result<Chain, Unsendable> {
        match data {
            Bulk::Chain(chain) => Ok(chain),
            Bulk::Shared(bytes) => {
                let mut chain = self.memory(bytes.len(), false).await?;
                add(&self.shared.stats.payload_copied_bytes, bytes.len());
                chain.copy_from(0, &bytes);
                Ok(chain)
            }
            Bulk::Piped(_) => unreachable!("only a transport over a socket is given pipes"),
        }
    }

    /// Payload memory for what lies elsewhere. Who holds some already does not wait for more, as others may do the same.
    async fn memory(&self, bytes: usize, may_wait: bool) -> Result<Chain, Unsendable> {
        let pool = self.shared.shard.pool();
        match pool.take(bytes, 0) {
            Some(chain) => Ok(chain),
            None if may_wait => pool.take_wait(bytes, 0).await.map_err(|_| Unsendable::Lost),
            None => Err(Unsendable::Lost),
        }
    }
}

/// Takes the first bulk data out of a message, with its pad.
pub(crate) fn take_first(head: &mut BytesMut, inserts: &mut Inserts) -> Bulk {
    let Insert { position, data } = inserts.remove(0);
    let pad = pad_len(data.len());
    head.copy_within(position + pad.., position);
    head.truncate(head.len() - pad);
    inserts.iter_mut().for_each(|insert| insert.position -= pad);
    data
}
