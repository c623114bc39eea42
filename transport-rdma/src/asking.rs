//! Calls of ours: back over connections that were accepted (RFC 8167), and forth over those that we have opened. Only the
//! latter name memory of ours, which stays lent to the peer until it has answered or the connection has ended.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use buf::Chain;
use bytes::{Bytes, BytesMut};
use engine::sync::Notify;
use rpc::Bulk;
use smallvec::SmallVec;
use transport::{CallError, Message, Pending, REPLY, prefix, within};
use wire::rdma::{Chunk, Chunks, Content, Header, VERSION};

use crate::batch::Batch;
use crate::connection::Connection;
use crate::reply::{encoded, take_first};
use crate::stats::add;

/// Bytes of a reply's header that names the largest chunk.
const REPLY_HEADER_MAX: usize = 512;

/// What a call offers for its reply, beyond one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the bulk data that the first result with some can have.
    pub data: usize,
    /// Bytes of all the rest; what fits one message needs no room.
    pub text: usize,
}

/// A reply.
#[derive(Debug)]
pub struct Answered {
    /// All of it but the bulk data that came apart, and its pad.
    pub text: Bytes,
    /// The bulk data that came to the place that was offered for it, if any did.
    pub data: Option<Chain>,
}

/// Memory that a peer may use until it has answered.
#[derive(Debug, Default)]
struct Lent {
    data: Option<(Chunk, Chain)>,
    reply: Option<(Chunk, Chain)>,
    /// What the peer reads.
    _read: SmallVec<[Chain; 2]>,
    _turn: Option<Turn>,
}

/// A reply's header says that something was written where nothing was offered, or otherwise than offered.
struct Mismatch;

/// The calls of ours on one connection.
pub(crate) struct Asking {
    pending: Rc<Pending<Result<Answered, CallError>>>,
    /// Of each call whose answer has not come, whether or not somebody still waits for it.
    lent: RefCell<HashMap<u32, Lent>>,
    turns: Rc<Turns>,
}

/// How many calls are outstanding.
struct Turns {
    /// As many may be, as the peer told last.
    granted: Cell<u32>,
    outstanding: Cell<u32>,
    /// Told when one more may go.
    changed: Notify,
}

/// One call among those that are outstanding, until its answer has come.
pub struct Turn(Rc<Turns>);

impl std::fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Turn")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.outstanding.update(|outstanding| outstanding - 1);
        self.0.changed.notify_all();
    }
}

impl Default for Asking {
    fn default() -> Self {
        // One until the peer has told (RFC 8166 §3.3.1).
        let turns = Turns { granted: Cell::new(1), outstanding: Cell::default(), changed: Notify::new() };
        Self { pending: Rc::default(), lent: RefCell::default(), turns: Rc::new(turns) }
    }
}

impl Asking {
    /// No answer comes any more.
    pub fn end(&self) {
        self.pending.end();
        self.turns.changed.notify_all();
    }

    /// Whether the answer to this call has not come.
    pub fn waits_for(&self, xid: u32) -> bool {
        self.lent.borrow().contains_key(&xid)
    }

    /// No peer uses what was lent any more.
    pub fn forget(&self) {
        let lent = self.lent.take();
        drop(lent);
    }
}

impl Connection {
    /// Sends a call that fits one message, as its answer does, and waits for that. The message's first word, its transaction id,
    /// is set here.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    ///
    /// # Panics
    /// As [`ask`](Self::ask).
    pub async fn call(&self, message: Message, timeout: Duration) -> Result<Bytes, CallError> {
        let asked = self.ask(None, message, Room::default());
        let answered = within(&self.shared.shard, timeout, asked).await;
        answered.unwrap_or(Err(CallError::TimedOut)).map(|answered| answered.text)
    }

    /// Sends a call, and waits for its reply, as long as the connection lasts. The message's first word is set to the transaction
    /// id, which is chosen if none is given.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the connection ends before the reply; [`CallError::Refused`]; [`CallError::Unsendable`] when what
    /// has to lie in memory for the peer is more than there is, or is not its to use.
    ///
    /// # Panics
    /// When the message is shorter than a transaction id, or another call waits that has the one that is given: the caller's
    /// mistake.
    pub async fn ask(&self, xid: Option<u32>, message: Message, room: Room) -> Result<Answered, CallError> {
        let turn = self.turn().await;
        self.ask_in(turn, xid, message, room).await
    }

    /// As [`ask`](Self::ask), when its turn has come.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    ///
    /// # Panics
    /// As [`ask`](Self::ask).
    pub async fn ask_in(
        &self,
        turn: Turn,
        xid: Option<u32>,
        message: Message,
        room: Room,
    ) -> Result<Answered, CallError> {
        let pending = &self.asking.pending;
        let answer = xid.map_or_else(|| pending.begin(), |xid| pending.begin_as(xid));
        let answer = answer.ok_or(CallError::Lost)?;
        let (batch, mut lent) =
            self.batch_of(answer.xid, message, room).await.ok_or(CallError::Unsendable)?;
        // The answer to an earlier call of that name may still come.
        if self.asking.waits_for(answer.xid) {
            return Err(CallError::Lost);
        }
        {
            let mut lending = Lending { asking: &self.asking, xid: answer.xid, is_theirs: false };
            lent._turn = Some(turn);
            self.asking.lent.borrow_mut().insert(answer.xid, lent);
            lending.is_theirs = self.post(batch, None).await;
        }
        answer.await.unwrap_or(Err(CallError::Lost))
    }

    /// Waits until one more call may be outstanding. Who makes many waits for one turn after the other.
    pub async fn turn(&self) -> Turn {
        let turns = &self.asking.turns;
        while !self.is_closed() && turns.outstanding.get() >= turns.granted.get().min(self.terms.asks_max) {
            turns.changed.notified().await;
        }
        turns.outstanding.update(|outstanding| outstanding + 1);
        Turn(Rc::clone(turns))
    }

    /// The message that makes a call, and the memory that it names; `None` when it cannot be made.
    async fn batch_of(&self, xid: u32, message: Message, room: Room) -> Option<(Batch, Lent)> {
        let mut message = message;
        message.head[..4].copy_from_slice(&xid.to_be_bytes());
        let (mut chunks, mut lent) = (Chunks::default(), Lent::default());
        let header =
            |content| encoded(&Header { xid, version: VERSION, credits: self.terms.asks_max, content });
        let fits = |chunks: &Chunks, message: &Message| {
            header(Content::Message(*chunks)).len() + message.length() <= self.terms.send_bytes
        };
        let mut parts: SmallVec<[Bytes; 1]> = SmallVec::new();
        if self.terms.offers {
            // One call at a time waits for memory, while those that have theirs end.
            let _turn = self.shared.lending.acquire().await;
            if room.data > 0 {
                chunks.write = Some(self.lend(room.data, &mut lent.data).await?);
            }
            if room.text + REPLY_HEADER_MAX > self.terms.receive_bytes {
                chunks.reply = Some(self.lend(room.text, &mut lent.reply).await?);
            }
            if !fits(&chunks, &message)
                && let Some(position) = message.inserts.first().map(|insert| insert.position)
            {
                let chain = self.for_peer(take_first(&mut message.head, &mut message.inserts)).await?;
                chunks.reads.data = Some((u32::try_from(position).ok()?, self.chunk(&chain)?));
                lent._read.push(chain);
            }
            if !fits(&chunks, &message) {
                let stream = self.for_peer(Bulk::Shared(joined(&message))).await?;
                chunks.reads.stream = Some(self.chunk(&stream)?);
                lent._read.push(stream);
                parts.push(header(Content::NoMessage(chunks)).freeze());
            }
        }
        if parts.is_empty() {
            if !fits(&chunks, &message) {
                return None;
            }
            parts.push(header(Content::Message(chunks)).freeze());
            parts.push(joined(&message));
        }
        let texts: SmallVec<[&[u8]; 2]> = parts.iter().map(|part| &part[..]).collect();
        let mut batch = Batch::default();
        batch.send(&self.shared.adapter.memory, [self.message(&texts).await].into_iter().collect(), None);
        Some((batch, lent))
    }

    /// Lends memory for the peer to write, as soon as there is some. What callers hold themselves has to leave room for it.
    async fn lend(&self, bytes: usize, to: &mut Option<(Chunk, Chain)>) -> Option<Chunk> {
        let chain = self.shared.shard.pool().take_wait(bytes, 0).await.ok()?;
        let chunk = self.chunk(&chain)?;
        *to = Some((chunk, chain));
        Some(chunk)
    }

    /// Bulk data in memory that the peer can read.
    async fn for_peer(&self, data: Bulk) -> Option<Chain> {
        match data {
            Bulk::Chain(chain) => Some(chain),
            Bulk::Shared(bytes) => {
                let mut chain = self.shared.shard.pool().take_wait(bytes.len(), 0).await.ok()?;
                chain.copy_from(0, &bytes);
                Some(chain)
            }
            Bulk::Piped(_) => unreachable!("only a transport over a socket is given pipes"),
        }
    }

    /// As the peer is told of memory of ours; `None` when it is not for peers, or lies in too many pieces.
    fn chunk(&self, chain: &Chain) -> Option<Chunk> {
        self.shared.adapter.chunk(self.terms.device, chain)
    }

    /// Whether it is the answer to a call of ours, written into memory that was offered for it.
    pub(crate) fn is_written_answer(&self, xid: u32, chunks: &Chunks) -> bool {
        let is_offered = |lent: &Lent| lent.reply.is_some();
        chunks.reads.stream.is_none() && self.asking.lent.borrow().get(&xid).is_some_and(is_offered)
    }

    /// An answer has come, with its message or, without `text`, where the call had offered a place.
    pub(crate) fn receive_answer(&self, header: &Header, chunks: &Chunks, text: Option<&[u8]>) {
        add(&self.shared.stats.replies, 1);
        self.asking.turns.granted.set(header.credits.max(1));
        self.asking.turns.changed.notify_all();
        let lent = self.asking.lent.borrow_mut().remove(&header.xid);
        let Some(lent) = lent else {
            tracing::debug!(peer = %self.peer.address, xid = header.xid, "reply to no call");
            return self.note_unexpected();
        };
        match lent.answered(chunks, text) {
            Ok(answered) if prefix(&answered.text) == Some((header.xid, REPLY)) => {
                // Whoever called may have gone.
                self.asking.pending.complete(header.xid, Ok(answered));
            }
            Ok(_) | Err(Mismatch) => self.fault(&"a reply that is not as its call has offered"),
        }
    }

    /// The peer could not use a call of ours, or had no place for the reply.
    pub(crate) fn lose_answer(&self, xid: u32) {
        let lent = self.asking.lent.borrow_mut().remove(&xid);
        match lent {
            Some(lent) => drop(lent),
            None => self.note_unexpected(),
        }
        self.asking.pending.complete(xid, Err(CallError::Refused));
    }
}

impl Lent {
    fn answered(self, chunks: &Chunks, text: Option<&[u8]>) -> Result<Answered, Mismatch> {
        let data = written(self.data, chunks.write)?;
        let text = match text {
            Some(text) => Bytes::copy_from_slice(text),
            None => written(self.reply, chunks.reply)?.map_or_else(Bytes::new, |chain| chain.to_vec().into()),
        };
        Ok(Answered { text, data })
    }
}

/// What the peer has written, as it says itself, into memory that was lent for it.
fn written(lent: Option<(Chunk, Chain)>, told: Option<Chunk>) -> Result<Option<Chain>, Mismatch> {
    let bytes = told.map_or(0, |told| told.length());
    if bytes == 0 {
        return Ok(None);
    }
    let (offered, mut chain) = lent.ok_or(Mismatch)?;
    if offered.filled(bytes) != told {
        return Err(Mismatch);
    }
    // It fits what was offered.
    chain.truncate(bytes as usize);
    Ok(Some(chain))
}

/// A message as it stands in its stream.
fn joined(message: &Message) -> Bytes {
    let Message { head, inserts } = message;
    let (mut joined, mut from) = (BytesMut::with_capacity(message.length()), 0);
    for insert in inserts {
        joined.extend_from_slice(&head[from..insert.position]);
        match &insert.data {
            Bulk::Chain(chain) => chain.as_slices().for_each(|slice| joined.extend_from_slice(slice)),
            Bulk::Shared(bytes) => joined.extend_from_slice(bytes),
            Bulk::Piped(_) => unreachable!("only a transport over a socket is given pipes"),
        }
        from = insert.position;
    }
    joined.extend_from_slice(&head[from..]);
    joined.freeze()
}

/// Memory on its way to the peer, which comes back when the call does not leave.
struct Lending<'a> {
    asking: &'a Asking,
    xid: u32,
    is_theirs: bool,
}

impl Drop for Lending<'_> {
    fn drop(&mut self) {
        if !self.is_theirs {
            let lent = self.asking.lent.borrow_mut().remove(&self.xid);
            drop(lent);
        }
    }
}
