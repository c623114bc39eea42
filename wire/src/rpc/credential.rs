//! Credentials and verifiers (RFC 5531 §8.2 and appendix A).

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, Opaque, UNIT, pad_len};

/// Longest body of a credential or verifier in bytes.
pub const AUTH_BODY_MAX: usize = 400;
/// Longest AUTH_SYS machine name in bytes.
pub const MACHINE_NAME_MAX: usize = 255;
/// Most supplementary groups in AUTH_SYS.
pub const GIDS_MAX: usize = 16;
/// Flavor of "nobody in particular".
pub const AUTH_NONE: u32 = 0;
/// Flavor of Unix-style identity without proof.
pub const AUTH_SYS: u32 = 1;
/// Flavor of RPCSEC_GSS (RFC 2203).
pub const RPCSEC_GSS: u32 = 6;
/// Flavor that asks for TLS (RFC 9289).
pub const AUTH_TLS: u32 = 7;

/// A flavor and its undecoded body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpaqueAuth<'a> {
    /// Flavor number.
    pub flavor: u32,
    /// Its body, at most 400 bytes.
    pub body: Opaque<'a, AUTH_BODY_MAX>,
}

impl OpaqueAuth<'_> {
    /// AUTH_NONE, whose body is empty.
    pub const NONE: OpaqueAuth<'static> = OpaqueAuth { flavor: AUTH_NONE, body: Opaque(&[]) };
}

impl Encode for OpaqueAuth<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_u32(self.flavor)?;
        self.body.encode(encoder)
    }
}

impl<'a> Decode<'a> for OpaqueAuth<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(OpaqueAuth { flavor: decoder.u32()?, body: decoder.get()? })
    }
}

/// Supplementary groups, kept in place.
#[derive(Clone, Copy, Default)]
pub struct Gids {
    count: u8,
    gids: [u32; GIDS_MAX],
}

impl Gids {
    /// These groups, or `None` when they are more than [`GIDS_MAX`].
    pub fn new(gids: &[u32]) -> Option<Self> {
        let mut kept = Gids { count: u8::try_from(gids.len()).ok()?, gids: [0; GIDS_MAX] };
        kept.gids.get_mut(..gids.len())?.copy_from_slice(gids);
        Some(kept)
    }

    /// The groups.
    pub fn as_slice(&self) -> &[u32] {
        &self.gids[..usize::from(self.count)]
    }
}

impl PartialEq for Gids {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Gids {}

impl std::fmt::Debug for Gids {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(formatter)
    }
}

/// AUTH_SYS (RFC 5531 appendix A): who the client says the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthSys<'a> {
    /// Arbitrary number of the client's.
    pub stamp: u32,
    /// Name of the client machine.
    pub machine_name: Opaque<'a, MACHINE_NAME_MAX>,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups.
    pub gids: Gids,
}

impl Encode for AuthSys<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_u32(self.stamp)?;
        self.machine_name.encode(encoder)?;
        encoder.put_u32(self.uid)?;
        encoder.put_u32(self.gid)?;
        encoder.put_count(self.gids.as_slice().len())?;
        self.gids.as_slice().iter().try_for_each(|gid| encoder.put_u32(*gid))
    }
}

impl<'a> Decode<'a> for AuthSys<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let (stamp, machine_name) = (decoder.u32()?, decoder.get()?);
        let (uid, gid) = (decoder.u32()?, decoder.u32()?);
        let count = decoder.count_max(GIDS_MAX)?;
        let mut gids = [0; GIDS_MAX];
        for gid in &mut gids[..count] {
            *gid = decoder.u32()?;
        }
        Ok(AuthSys { stamp, machine_name, uid, gid, gids: Gids { count: count as u8, gids } })
    }
}

/// A caller's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// AUTH_NONE.
    None,
    /// AUTH_SYS.
    Sys(AuthSys<'a>),
    /// Any other flavor, undecoded.
    Other(OpaqueAuth<'a>),
}

impl<'a> Credential<'a> {
    /// Bytes of its body, without pad.
    pub fn body_len(&self) -> usize {
        match self {
            Credential::None => 0,
            Credential::Other(auth) => auth.body.len(),
            Credential::Sys(sys) => {
                let name = sys.machine_name.len();
                5 * UNIT + name + pad_len(name) + UNIT * sys.gids.as_slice().len()
            }
        }
    }

    /// What a flavor and body mean.
    ///
    /// # Errors
    /// [`Error`] when the body of a known flavor is not what its flavor demands; the call is then denied
    /// with AUTH_BADCRED.
    pub fn interpret(auth: OpaqueAuth<'a>) -> Result<Self, Error> {
        match auth.flavor {
            // The body of AUTH_NONE is undefined (RFC 5531 §8.2) and not looked at.
            AUTH_NONE => Ok(Credential::None),
            AUTH_SYS => {
                let mut decoder = Decoder::new(auth.body.bytes());
                let sys = decoder.get()?;
                decoder.finish()?;
                Ok(Credential::Sys(sys))
            }
            _ => Ok(Credential::Other(auth)),
        }
    }
}

impl Encode for Credential<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        match self {
            Credential::None => OpaqueAuth::NONE.encode(encoder),
            Credential::Other(auth) => auth.encode(encoder),
            Credential::Sys(sys) => {
                encoder.put_u32(AUTH_SYS)?;
                let length_at = encoder.position();
                encoder.put_u32(0)?;
                let body_at = encoder.position();
                sys.encode(encoder)?;
                encoder.patch_u32(length_at, (encoder.position() - body_at) as u32);
                Ok(())
            }
        }
    }
}
