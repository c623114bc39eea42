//! The header of a reply (RFC 5531 §9).

use super::OpaqueAuth;
use super::call::Direction;
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, xdr_enum, xdr_union};

xdr_enum! {
/// Why authentication failed.
pub enum AuthStatus = "auth_stat" {
    Ok = 0 "AUTH_OK",
    BadCred = 1 "AUTH_BADCRED",
    RejectedCred = 2 "AUTH_REJECTEDCRED",
    BadVerf = 3 "AUTH_BADVERF",
    RejectedVerf = 4 "AUTH_REJECTEDVERF",
    TooWeak = 5 "AUTH_TOOWEAK",
    InvalidResp = 6 "AUTH_INVALIDRESP",
    Failed = 7 "AUTH_FAILED",
    KerbGeneric = 8 "AUTH_KERB_GENERIC",
    TimeExpire = 9 "AUTH_TIMEEXPIRE",
    TktFile = 10 "AUTH_TKT_FILE",
    Decode = 11 "AUTH_DECODE",
    NetAddr = 12 "AUTH_NET_ADDR",
    GssCredProblem = 13 "RPCSEC_GSS_CREDPROBLEM",
    GssCtxProblem = 14 "RPCSEC_GSS_CTXPROBLEM",
}
}

xdr_union! {
/// What became of a call that was accepted.
pub union Accepted = "accept_stat" {
    /// It ran; the results follow.
    case 0 "SUCCESS" => Success,
    case 1 "PROG_UNAVAIL" => ProgUnavail,
    /// The program is here in the versions from the first to the second.
    case 2 "PROG_MISMATCH" => ProgMismatch(VersionRange),
    case 3 "PROC_UNAVAIL" => ProcUnavail,
    /// The arguments could not be decoded.
    case 4 "GARBAGE_ARGS" => GarbageArgs,
    case 5 "SYSTEM_ERR" => SystemErr,
}
}

xdr_union! {
/// Why a call was denied.
pub union Denied = "reject_stat" {
    /// The RPC versions from the first to the second are spoken here.
    case 0 "RPC_MISMATCH" => RpcMismatch(VersionRange),
    case 1 "AUTH_ERROR" => Auth(AuthStatus),
}
}

/// Lowest and highest version supported.
type VersionRange = (u32, u32);

impl Encode for VersionRange {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_u32(self.0)?;
        encoder.put_u32(self.1)
    }
}

impl<'a> Decode<'a> for VersionRange {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok((decoder.u32()?, decoder.u32()?))
    }
}

/// What a reply says before its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyBody<'a> {
    /// The caller was accepted.
    Accepted {
        /// The server's proof, undecoded.
        verifier: OpaqueAuth<'a>,
        /// What became of the call.
        status: Accepted,
    },
    /// The caller was turned away.
    Denied(Denied),
}

/// A reply's header; with [`Accepted::Success`] the results follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHeader<'a> {
    /// Transaction id of the call.
    pub xid: u32,
    /// The answer.
    pub body: ReplyBody<'a>,
}

impl ReplyHeader<'static> {
    /// An accepted call's reply with an AUTH_NONE verifier.
    pub fn accepted(xid: u32, status: Accepted) -> Self {
        ReplyHeader { xid, body: ReplyBody::Accepted { verifier: OpaqueAuth::NONE, status } }
    }

    /// A denied call's reply.
    pub fn denied(xid: u32, reason: Denied) -> Self {
        ReplyHeader { xid, body: ReplyBody::Denied(reason) }
    }
}

const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;

impl Encode for ReplyHeader<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_u32(self.xid)?;
        encoder.put_u32(Direction::REPLY)?;
        match &self.body {
            ReplyBody::Accepted { verifier, status } => {
                encoder.put_u32(MSG_ACCEPTED)?;
                verifier.encode(encoder)?;
                status.encode(encoder)
            }
            ReplyBody::Denied(reason) => {
                encoder.put_u32(MSG_DENIED)?;
                reason.encode(encoder)
            }
        }
    }
}

impl<'a> Decode<'a> for ReplyHeader<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let xid = decoder.u32()?;
        if decoder.u32()? != Direction::REPLY {
            return Err(Error::Value);
        }
        let body = match decoder.u32()? {
            MSG_ACCEPTED => ReplyBody::Accepted { verifier: decoder.get()?, status: decoder.get()? },
            MSG_DENIED => ReplyBody::Denied(decoder.get()?),
            _ => return Err(Error::Value),
        };
        Ok(ReplyHeader { xid, body })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn every_reply_decodes_to_itself() {
        let replies = [
            ReplyHeader::accepted(1, Accepted::Success),
            ReplyHeader::accepted(2, Accepted::ProgUnavail),
            ReplyHeader::accepted(3, Accepted::ProgMismatch((4, 4))),
            ReplyHeader::accepted(4, Accepted::ProcUnavail),
            ReplyHeader::accepted(5, Accepted::GarbageArgs),
            ReplyHeader::accepted(6, Accepted::SystemErr),
            ReplyHeader::denied(7, Denied::RpcMismatch((2, 2))),
            ReplyHeader::denied(8, Denied::Auth(AuthStatus::TooWeak)),
        ];
        for reply in replies {
            let mut encoder = Encoder::new(BytesMut::new(), 64);
            encoder.put(&reply).unwrap();
            let bytes = encoder.finish().head;
            let mut decoder = Decoder::new(&bytes);
            assert_eq!(decoder.get(), Ok(reply));
            assert_eq!(decoder.finish(), Ok(()));
        }
    }

    #[test]
    fn success_is_24_bytes() {
        let mut encoder = Encoder::new(BytesMut::new(), 64);
        encoder.put(&ReplyHeader::accepted(0xa1b2_c3d4, Accepted::Success)).unwrap();
        let expected = [0xa1, 0xb2, 0xc3, 0xd4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(&encoder.finish().head[..], expected);
    }
}
