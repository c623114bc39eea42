//! ACCESS (RFC 8881 §18.1, RFC 8276 §8.5).

use vfs::Vfs;
use wire::nfs4::access::{EXECUTE, LOOKUP, READ, XATTR_LIST, XATTR_READ, XATTR_WRITE};
use wire::nfs4::{AccessArgs, AccessResult};
use wire::xdr::Encoder;

use crate::common::access::{self, Answer};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Object;

/// ACCESS.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: AccessArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let of_xattrs = if compound.minor >= 2 { XATTR_READ | XATTR_WRITE | XATTR_LIST } else { 0 };
    let asked = arguments.access & (access::BASIC | of_xattrs);
    let Answer { supported, granted } = match compound.object()? {
        Object::Pseudo(_) => {
            Answer { supported: asked, granted: asked & (READ | LOOKUP | EXECUTE | XATTR_LIST) }
        }
        Object::Node(place) => access::of_place(place, asked).await?,
    };
    reply.put(&AccessResult { supported, access: granted })?;
    Ok(())
}
