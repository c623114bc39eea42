//! What every message begins with (RFC 8166 §4).

use super::{Chunk, ReadList, VERSION};
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, xdr_enum};

xdr_enum! {
/// What a message is.
pub enum Procedure = "rdma_proc" {
    /// The payload stream follows the header.
    Message = 0 "RDMA_MSG",
    /// The payload stream lies in a chunk.
    NoMessage = 1 "RDMA_NOMSG",
    /// Reserved.
    Padded = 2 "RDMA_MSGP",
    /// Reserved.
    Done = 3 "RDMA_DONE",
    /// The message with the same transaction id could not be used.
    Error = 4 "RDMA_ERROR",
}
}

xdr_enum! {
/// Why a message could not be used.
pub enum ErrorCode = "rpc_rdma_errcode" {
    /// Its version is none of those that are told.
    Version = 1 "ERR_VERS",
    /// Its header cannot be read or followed, or the reply has no room.
    Chunk = 2 "ERR_CHUNK",
}
}

/// The same with what is told besides (`rpc_rdma_error`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The lowest and the highest version that can be used.
    Version {
        /// `rdma_vers_low`
        low: u32,
        /// `rdma_vers_high`
        high: u32,
    },
    /// [`ErrorCode::Chunk`].
    Chunk,
}

impl Encode for Failure {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        match self {
            Failure::Version { low, high } => {
                encoder.put(&ErrorCode::Version)?;
                encoder.put_u32(*low)?;
                encoder.put_u32(*high)
            }
            Failure::Chunk => encoder.put(&ErrorCode::Chunk),
        }
    }
}

impl<'a> Decode<'a> for Failure {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(match decoder.get()? {
            ErrorCode::Version => Failure::Version { low: decoder.u32()?, high: decoder.u32()? },
            ErrorCode::Chunk => Failure::Chunk,
        })
    }
}

/// Where parts of a call or its reply lie (`rpc_rdma_header`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunks {
    /// What the responder reads.
    pub reads: ReadList,
    /// Where it writes the bulk data of the first result that has some. More than one such place is more than servers of NFSv4
    /// must take (RFC 8267 §5.4.1), and than Linux sends.
    pub write: Option<Chunk>,
    /// Where it writes the reply if that is too long to be sent.
    pub reply: Option<Chunk>,
}

impl Encode for Chunks {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put(&self.reads)?;
        if let Some(write) = &self.write {
            encoder.put_bool(true)?;
            encoder.put(write)?;
        }
        encoder.put_bool(false)?;
        encoder.put(&self.reply)
    }
}

impl<'a> Decode<'a> for Chunks {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let reads = decoder.get()?;
        let write: Option<Chunk> = decoder.get()?;
        if write.is_some() && decoder.bool()? {
            return Err(Error::Bound);
        }
        Ok(Chunks { reads, write, reply: decoder.get()? })
    }
}

/// What stands behind the fixed words of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// [`Procedure::Message`].
    Message(Chunks),
    /// [`Procedure::NoMessage`].
    NoMessage(Chunks),
    /// [`Procedure::Error`].
    Error(Failure),
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The transaction id, which is that of the RPC message.
    pub xid: u32,
    /// Of the protocol. In an error it is that of the message that could not be used.
    pub version: u32,
    /// Of a requester: how many calls it wishes to have outstanding; of a responder: how many it may, never 0.
    pub credits: u32,
    /// The rest.
    pub content: Content,
}

impl Encode for Header {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        [self.xid, self.version, self.credits].into_iter().try_for_each(|word| encoder.put_u32(word))?;
        match &self.content {
            Content::Message(chunks) => {
                encoder.put(&Procedure::Message)?;
                encoder.put(chunks)
            }
            Content::NoMessage(chunks) => {
                encoder.put(&Procedure::NoMessage)?;
                encoder.put(chunks)
            }
            Content::Error(failure) => {
                encoder.put(&Procedure::Error)?;
                encoder.put(failure)
            }
        }
    }
}

/// A message that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its header.
    pub header: Header,
    /// What follows it.
    pub stream: &'a [u8],
}

/// Why a message cannot be used, and what becomes of it (RFC 8166 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unacceptable {
    /// It is passed over: too short to be answered, or of a kind that nobody answers.
    Ignored,
    /// A responder answers it with an error.
    Answered {
        /// Its transaction id.
        xid: u32,
        /// Its version.
        version: u32,
        /// What is answered.
        failure: Failure,
    },
}

impl<'a> Received<'a> {
    /// The message that came in one Send.
    ///
    /// # Errors
    /// What becomes of it when it is none.
    pub fn parse(message: &'a [u8]) -> Result<Self, Unacceptable> {
        let mut decoder = Decoder::new(message);
        let (Ok(xid), Ok(version), Ok(credits), Ok(procedure)) =
            (decoder.u32(), decoder.u32(), decoder.u32(), decoder.u32())
        else {
            return Err(Unacceptable::Ignored);
        };
        let procedure = Procedure::from_u32(procedure);
        let answered = |failure| Unacceptable::Answered { xid, version, failure };
        // The words up to here are the same in all versions. An error or an end is never answered.
        let is_silent = matches!(procedure, Some(Procedure::Error | Procedure::Done));
        if version != VERSION {
            let failure = Failure::Version { low: VERSION, high: VERSION };
            return Err(if is_silent { Unacceptable::Ignored } else { answered(failure) });
        }
        let content = match procedure {
            Some(Procedure::Message) => decoder.get().map(Content::Message),
            Some(Procedure::NoMessage) => decoder.get().map(Content::NoMessage),
            Some(Procedure::Error) => decoder.get().map(Content::Error),
            Some(Procedure::Done | Procedure::Padded) | None => Err(Error::Value),
        };
        match content {
            Ok(content) => {
                let header = Header { xid, version, credits, content };
                Ok(Self { header, stream: &message[decoder.head_index()..] })
            }
            Err(_) if is_silent || message.len() < SHORTEST_BYTES => Err(Unacceptable::Ignored),
            Err(_) => Err(answered(Failure::Chunk)),
        }
    }
}

/// A header without chunks; what is shorter has no list that could be wrong.
const SHORTEST_BYTES: usize = 28;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::rdma::{SEGMENTS_MAX, Segment};

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn encoded(header: &Header) -> Vec<u8> {
        let mut encoder = Encoder::new(BytesMut::new(), 4096);
        encoder.put(header).expect("a header is short");
        encoder.finish().head.to_vec()
    }

    fn header(content: Content) -> Header {
        Header { xid: 9, version: VERSION, credits: 32, content }
    }

    #[test]
    fn a_header_is_as_rfc_8166_says() {
        let segment = Segment { handle: 5, length: 4096, offset: (1 << 32) + 2 };
        let chunk = Chunk::of(&[segment]).expect("one");
        let reads = ReadList { stream: None, data: Some((96, chunk)) };
        let sent =
            header(Content::Message(Chunks { reads, write: Some(Chunk::default()), reply: Some(chunk) }));
        let mut message = encoded(&sent);
        let (read, reply) = ([1, 96, 5, 4096, 1, 2, 0], [1, 1, 5, 4096, 1, 2]);
        let expected = [&[9, 1, 32, 0][..], &read, &[1, 0, 0], &reply].concat();
        assert_eq!(message, words(&expected));
        message.extend(b"call");
        assert_eq!(Received::parse(&message), Ok(Received { header: sent, stream: b"call" }));
        for failure in [Failure::Chunk, Failure::Version { low: 1, high: 2 }] {
            let sent = header(Content::Error(failure));
            assert_eq!(Received::parse(&encoded(&sent)), Ok(Received { header: sent, stream: b"" }));
        }
    }

    #[test]
    fn what_cannot_be_used_is_answered_or_passed_over() {
        let answered = |version, failure| Err(Unacceptable::Answered { xid: 9, version, failure });
        let versions = Failure::Version { low: 1, high: 1 };
        let many =
            [&[9, 1, 32, 0, 0, 1, SEGMENTS_MAX as u32 + 1][..], &[0; 4 * (SEGMENTS_MAX + 1) + 2]].concat();
        for (message, expected) in [
            (&[][..], Err(Unacceptable::Ignored)),
            (&[9, 1, 32], Err(Unacceptable::Ignored)),
            (&[9, 1, 32, 0, 0, 0], Err(Unacceptable::Ignored)),
            (&[9, 2, 32, 0, 0, 0, 0], answered(2, versions)),
            (&[9, 2, 32, 4, 2, 0, 0], Err(Unacceptable::Ignored)),
            (&[9, 1, 32, 3, 0, 0, 0], Err(Unacceptable::Ignored)),
            (&[9, 1, 32, 2, 0, 0, 0], answered(1, Failure::Chunk)),
            (&[9, 1, 32, 77, 0, 0, 0], answered(1, Failure::Chunk)),
            (&[9, 1, 32, 4, 3, 0, 0], Err(Unacceptable::Ignored)),
            // A list that is not ended, one that is no list, two places for results, more pieces than can be.
            (&[9, 1, 32, 0, 1, 96, 5, 4096, 0, 0], answered(1, Failure::Chunk)),
            (&[9, 1, 32, 0, 2, 0, 0], answered(1, Failure::Chunk)),
            (&[9, 1, 32, 0, 0, 1, 0, 1, 0, 0, 0], answered(1, Failure::Chunk)),
            (&many, answered(1, Failure::Chunk)),
        ] {
            assert_eq!(Received::parse(&words(message)), expected, "{message:?}");
        }
    }
}
