//! From the attributes a client wants set to what the storage is asked to set.

use vfs::{SetAttributes, SetTime, Time};
use wire::nfs4::{self, Bitmap, NumericOwner, RawAttributes, Status, attribute};

use crate::attributes;
use crate::common::data::check_range;
use crate::env::Env;
use crate::failure::Failure;
use crate::server::Settings;

/// The permission bits with setuid, setgid and sticky.
pub const MODE_BITS: u32 = 0o7777;

/// What is to be set, and how to tell the client that it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For the storage.
    pub attributes: SetAttributes,
    /// The same as the client named it.
    pub mask: Bitmap,
}

impl Wanted {
    /// Reads what the client sent. Owners are numbers, or `name@domain` by the server's name service.
    ///
    /// # Errors
    /// `NFS4ERR_ATTRNOTSUPP`, `NFS4ERR_INVAL` for what cannot be set or has no such value, `NFS4ERR_BADOWNER`, `NFS4ERR_BADXDR`.
    pub async fn read<E: Env>(
        env: &E,
        settings: &Settings,
        minor: u32,
        raw: &RawAttributes<'_>,
    ) -> Result<Wanted, Failure> {
        if !raw.mask.is_subset(&attributes::supported(minor)) {
            return Err(Status::Attrnotsupp.into());
        }
        if !raw.mask.is_subset(&attributes::settable(minor)) {
            return Err(Status::Inval.into());
        }
        let sent = raw.decode_values().map_err(Status::from)?;
        let (mode, umask) = mode(&sent)?;
        check_range(sent.size.unwrap_or(0), 0)?;
        let attributes = SetAttributes {
            mode,
            umask,
            uid: owner(env, settings, sent.owner.map(|owner| owner.bytes()), false).await?,
            gid: owner(env, settings, sent.owner_group.map(|owner| owner.bytes()), true).await?,
            size_bytes: sent.size,
            accessed: set_time(sent.time_access_set.as_ref())?,
            modified: set_time(sent.time_modify_set.as_ref())?,
        };
        Ok(Wanted { attributes, mask: raw.mask })
    }

    /// Without what cannot be set together with a verifier.
    ///
    /// # Errors
    /// `NFS4ERR_INVAL` when it holds such (RFC 8881 §18.16.3).
    pub fn within_exclusive_create(self, minor: u32) -> Result<Wanted, Status> {
        let allowed = self.mask.is_subset(&attributes::settable_in_exclusive_create(minor));
        if allowed { Ok(self) } else { Err(Status::Inval) }
    }
}

fn mode(sent: &nfs4::Attributes<'_>) -> Result<(Option<u32>, Option<u32>), Status> {
    let valid = |mode: u32| if mode & !MODE_BITS == 0 { Ok(mode) } else { Err(Status::Inval) };
    match (sent.mode, &sent.mode_umask) {
        // RFC 8275 §4: the two exclude each other.
        (Some(_), Some(_)) => Err(Status::Inval),
        (Some(mode), None) => Ok((Some(valid(mode)?), None)),
        (None, Some(both)) => Ok((Some(valid(both.mode)?), Some(valid(both.umask)? & 0o777))),
        (None, None) => Ok((None, None)),
    }
}

fn set_time(sent: Option<&nfs4::SetTime>) -> Result<Option<SetTime>, Status> {
    match sent {
        None => Ok(None),
        Some(nfs4::SetTime::Server) => Ok(Some(SetTime::Now)),
        Some(nfs4::SetTime::Client(time)) => client_time(time.seconds, time.nanoseconds).map(Some),
    }
}

/// A time that a client wants set.
///
/// # Errors
/// `NFS4ERR_INVAL` for more nanoseconds than a second has.
pub fn client_time(seconds: i64, nanoseconds: u32) -> Result<SetTime, Status> {
    if nanoseconds >= 1_000_000_000 {
        return Err(Status::Inval);
    }
    Ok(SetTime::To(Time { seconds, nanoseconds }))
}

/// RFC 8881 §5.9: a string of digits is an id; anything else is a name in our domain.
async fn owner<E: Env>(
    env: &E,
    settings: &Settings,
    sent: Option<&[u8]>,
    group: bool,
) -> Result<Option<u32>, Status> {
    let Some(sent) = sent else { return Ok(None) };
    if let Some(id) = NumericOwner::parse(sent) {
        return Ok(Some(id));
    }
    let text = std::str::from_utf8(sent).map_err(|_| Status::Inval)?;
    let (name, domain) = text.split_once('@').ok_or(Status::Badowner)?;
    let ours = settings.domain.as_ref().is_none_or(|ours| ours.eq_ignore_ascii_case(domain));
    let id = if ours { env.id_of(name, group).await } else { None };
    id.map(Some).ok_or(Status::Badowner)
}

/// The attributes that SETATTR needs an open for writing for, or permission to write.
pub fn changes_size(mask: &Bitmap) -> bool {
    mask.get(attribute::SIZE)
}
