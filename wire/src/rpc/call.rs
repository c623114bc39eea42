//! The header of a call (RFC 5531 §9).

use super::{AUTH_ANNOT, Annotations, Credential, Items, OpaqueAuth, RPC_VERSION, Wrapper};
use crate::xdr::{Decoder, Encode, Encoder, Error, NoRoom};

/// Which way a message goes. Both come over one connection when it also carries a backchannel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A call.
    Call,
    /// A reply.
    Reply,
}

impl Direction {
    pub(super) const CALL: u32 = 0;
    pub(super) const REPLY: u32 = 1;

    /// The transaction id and direction of the message that begins with `prefix`.
    ///
    /// # Errors
    /// [`Error::Short`] below 8 bytes, [`Error::Value`] when it is neither call nor reply.
    pub fn peek(prefix: &[u8]) -> Result<(u32, Direction), Error> {
        let mut decoder = Decoder::new(prefix);
        let xid = decoder.u32()?;
        match decoder.u32()? {
            Self::CALL => Ok((xid, Direction::Call)),
            Self::REPLY => Ok((xid, Direction::Reply)),
            _ => Err(Error::Value),
        }
    }
}

/// Why a call's header cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// It is no call header; there is nothing to answer.
    Garbage(Error),
    /// It is of another RPC version: denied with RPC_MISMATCH.
    RpcMismatch {
        /// Transaction id for the reply.
        xid: u32,
    },
    /// Its credential or verifier is malformed: denied with AUTH_BADCRED.
    BadCredential {
        /// Transaction id for the reply.
        xid: u32,
    },
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        CallError::Garbage(error)
    }
}

/// A call's header; the arguments follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHeader<'a> {
    /// Transaction id.
    pub xid: u32,
    /// Program number.
    pub program: u32,
    /// Program version.
    pub version: u32,
    /// Procedure number.
    pub procedure: u32,
    /// Who calls.
    pub credential: Credential<'a>,
    /// Proof of it, undecoded.
    pub verifier: OpaqueAuth<'a>,
}

impl<'a> CallHeader<'a> {
    /// Reads the header and moves to the arguments. Of an annotated call, the credential is the wrapped one, so that
    /// nobody who reads headers need know of annotations.
    ///
    /// # Errors
    /// [`CallError`], which says how to answer.
    pub fn decode(decoder: &mut Decoder<'a>) -> Result<Self, CallError> {
        Self::decode_annotated(decoder).map(|(header, _)| header)
    }

    /// As [`CallHeader::decode`], with the items that the call is annotated with, if it is.
    ///
    /// # Errors
    /// As [`CallHeader::decode`].
    pub fn decode_annotated(decoder: &mut Decoder<'a>) -> Result<(Self, Option<Items<'a>>), CallError> {
        let xid = decoder.u32()?;
        if decoder.u32()? != Direction::CALL {
            return Err(CallError::Garbage(Error::Value));
        }
        if decoder.u32()? != RPC_VERSION {
            return Err(CallError::RpcMismatch { xid });
        }
        let (program, version, procedure) = (decoder.u32()?, decoder.u32()?, decoder.u32()?);
        let bad = |error| match error {
            Error::Short => CallError::Garbage(error),
            _ => CallError::BadCredential { xid },
        };
        let credential = decoder.get::<OpaqueAuth<'a>>().map_err(bad)?;
        let verifier = decoder.get::<OpaqueAuth<'a>>().map_err(bad)?;
        let denied = |_| CallError::BadCredential { xid };
        // Without a body the flavor wraps nothing: that is the probe, which is for the receiver to answer.
        let (credential, items) = if credential.flavor == AUTH_ANNOT && !credential.body.is_empty() {
            let wrapper = Wrapper::open(credential.body.bytes()).map_err(denied)?;
            (wrapper.inner, Some(wrapper.items))
        } else {
            (credential, None)
        };
        let credential = Credential::interpret(credential).map_err(denied)?;
        Ok((CallHeader { xid, program, version, procedure, credential, verifier }, items))
    }

    /// Whether the call asks if annotations are understood: it is answered with [`super::PROBE_ANSWER`] when its procedure
    /// is NULL, and denied as a bad credential when it is another.
    pub fn is_annotation_probe(&self) -> bool {
        matches!(self.credential, Credential::Other(auth) if auth.flavor == AUTH_ANNOT && auth.body.is_empty())
    }

    /// Writes the header with annotations around its credential, as [`Annotations::wrap`] does.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_annotated(
        &self,
        annotations: &Annotations<'_>,
        encoder: &mut Encoder,
    ) -> Result<(), NoRoom> {
        for word in [self.xid, Direction::CALL, RPC_VERSION, self.program, self.version, self.procedure] {
            encoder.put_u32(word)?;
        }
        annotations.wrap(&self.credential, encoder)?;
        self.verifier.encode(encoder)
    }
}

impl Encode for CallHeader<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        self.encode_annotated(&Annotations::default(), encoder)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::{AuthSys, Gids};
    use super::*;

    fn encode(value: &impl Encode) -> Vec<u8> {
        let mut encoder = Encoder::new(BytesMut::new(), 1024);
        encoder.put(value).unwrap();
        encoder.finish().head.to_vec()
    }

    fn sample() -> CallHeader<'static> {
        let sys = AuthSys {
            stamp: 0,
            machine_name: "node-17".into(),
            uid: 1000,
            gid: 1000,
            gids: Gids::new(&[27]).unwrap(),
        };
        CallHeader {
            xid: 0x1234,
            program: 100_003,
            version: 4,
            procedure: 1,
            credential: Credential::Sys(sys),
            verifier: OpaqueAuth::NONE,
        }
    }

    #[test]
    fn a_call_with_auth_sys_has_the_published_layout() {
        let bytes = encode(&sample());
        // Header length: 60 + padded machine name + 4 per group.
        assert_eq!(bytes.len(), 60 + 8 + 4);
        assert_eq!(&bytes[24..32], [0, 0, 0, 1, 0, 0, 0, 32]);
        assert_eq!(&bytes[36..48], b"\0\0\0\x07node-17\0");
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(CallHeader::decode(&mut decoder), Ok(sample()));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn each_fault_has_its_answer() {
        let good = encode(&sample());
        let with = |at: usize, word: u32| {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            CallHeader::decode(&mut Decoder::new(&bytes)).unwrap_err()
        };
        assert_eq!(with(4, 1), CallError::Garbage(Error::Value));
        assert_eq!(with(8, 3), CallError::RpcMismatch { xid: 0x1234 });
        assert_eq!(with(28, 401), CallError::BadCredential { xid: 0x1234 });
        // 17 groups, and a machine name that runs over the body.
        assert_eq!(with(56, 17), CallError::BadCredential { xid: 0x1234 });
        assert_eq!(with(36, 255), CallError::BadCredential { xid: 0x1234 });
        for end in 0..good.len() {
            let result = CallHeader::decode(&mut Decoder::new(&good[..end]));
            assert_eq!(result, Err(CallError::Garbage(Error::Short)));
        }
    }

    #[test]
    fn unknown_flavors_are_kept() {
        let auth = OpaqueAuth { flavor: 390_000, body: b"abcd"[..].into() };
        let call = CallHeader { credential: Credential::Other(auth), ..sample() };
        let bytes = encode(&call);
        assert_eq!(CallHeader::decode(&mut Decoder::new(&bytes)), Ok(call));
    }
}
