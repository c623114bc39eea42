//! GETXATTR, SETXATTR, LISTXATTRS, REMOVEXATTR (RFC 8276 §8.4).

use vfs::{Vfs, XattrSet};
use wire::nfs4::{
    Component, GetXattrArgs, ListXattrsArgs, ListXattrsResult, RemoveXattrArgs, SetXattrArgs, SetXattrOption,
    Status,
};
use wire::xdr::{Encoder, List, Opaque, UNIT, pad_len};

use super::namespace::change_info;
use crate::common::names::changeable;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Longest name, "user." prefix included, that Linux takes (XATTR_NAME_MAX), less the prefix.
const NAME_BYTES_MAX: usize = 255 - 5;

/// Largest value that Linux takes (XATTR_SIZE_MAX).
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of LISTXATTRS besides the names: cookie, count, end flag.
const LIST_FRAME_BYTES: usize = 8 + UNIT + UNIT;

/// GETXATTR.
pub async fn get<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: GetXattrArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    check_name(&arguments.name)?;
    let place = compound.place(Status::Noxattr)?;
    let value = place.storage().get_xattr(&place.node, &place.identity, &arguments.name).await?;
    reply.put_opaque(&value)?;
    Ok(())
}

/// SETXATTR.
pub async fn set<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: SetXattrArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    check_name(&arguments.name)?;
    if arguments.value.len() > VALUE_BYTES_MAX {
        return Err(Status::Xattr2big.into());
    }
    let how = match arguments.option {
        SetXattrOption::Either => XattrSet::Either,
        SetXattrOption::Create => XattrSet::Create,
        SetXattrOption::Replace => XattrSet::Replace,
    };
    let place = changeable(compound.place(Status::Rofs)?)?;
    let storage = place.storage();
    let change =
        storage.set_xattr(&place.node, &place.identity, &arguments.name, &arguments.value, how).await?;
    reply.put(&change_info(&change))?;
    Ok(())
}

/// LISTXATTRS: the cookie is the number of names already told; names come in a stable order.
pub async fn list<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ListXattrsArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let place = compound.place(Status::Notsupp)?;
    let names = place.storage().list_xattrs(&place.node, &place.identity).await?;
    let told = usize::try_from(arguments.cookie).ok().filter(|told| *told <= names.len());
    let rest = &names[told.ok_or(Status::BadCookie)?..];
    let room = (arguments.count_max as usize).min(reply.room());
    let fitting = fitting(rest, room.checked_sub(LIST_FRAME_BYTES).ok_or(Status::Toosmall)?);
    if fitting == 0 && !rest.is_empty() {
        return Err(Status::Toosmall.into());
    }
    let names: Vec<Component<'_>> = rest[..fitting].iter().map(|name| Opaque(name)).collect();
    let cookie = arguments.cookie + fitting as u64;
    reply.put(&ListXattrsResult { cookie, names: List(names), eof: fitting == rest.len() })?;
    Ok(())
}

/// REMOVEXATTR.
pub async fn remove<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: RemoveXattrArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    check_name(&arguments.name)?;
    let place = changeable(compound.place(Status::Rofs)?)?;
    let change = place.storage().remove_xattr(&place.node, &place.identity, &arguments.name).await?;
    reply.put(&change_info(&change))?;
    Ok(())
}

fn check_name(name: &[u8]) -> Result<(), Status> {
    match name {
        [] => Err(Status::Inval),
        name if name.len() > NAME_BYTES_MAX => Err(Status::Nametoolong),
        name if name.contains(&0) => Err(Status::Badchar),
        _ => Ok(()),
    }
}

/// How many of `names` take at most `room` bytes.
fn fitting(names: &[Vec<u8>], room: usize) -> usize {
    let mut used = 0;
    names
        .iter()
        .take_while(|name| {
            used += UNIT + name.len() + pad_len(name.len());
            used <= room
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_by_their_padded_length() {
        let names = [b"a".to_vec(), b"abcd".to_vec(), b"abcde".to_vec()];
        for (room, expected) in [(7, 0), (8, 1), (15, 1), (16, 2), (27, 2), (28, 3), (99, 3)] {
            assert_eq!(fitting(&names, room), expected, "{room} bytes");
        }
    }
}
