//! ACCESS (RFC 8881 §18.1), with the extended-attribute bits of RFC 8276 §8.5.

use vfs::{Access, FileKind, Vfs};
use wire::nfs4::access::{
    DELETE, EXECUTE, EXTEND, LOOKUP, MODIFY, READ, XATTR_LIST, XATTR_READ, XATTR_WRITE,
};
use wire::nfs4::{AccessArgs, AccessResult};
use wire::xdr::Encoder;

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::export::Permission;
use crate::failure::Failure;
use crate::object::Object;

const READS: u32 = READ | XATTR_READ | XATTR_LIST;
const WRITES: u32 = MODIFY | EXTEND | XATTR_WRITE;

/// Asks the storage, and so the kernel, what the caller may do; POSIX ACLs count.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: AccessArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let all = READ | LOOKUP | MODIFY | EXTEND | DELETE | EXECUTE;
    let known = if compound.minor >= 2 { all | XATTR_READ | XATTR_WRITE | XATTR_LIST } else { all };
    let (supported, granted) = match compound.object()? {
        Object::Pseudo(_) => (known & arguments.access, READ | LOOKUP | EXECUTE | XATTR_LIST),
        Object::Node(place) => {
            let directory = place.storage().attributes(&place.node).await?.kind == FileKind::Directory;
            let meaningful = known & if directory { !EXECUTE } else { !(LOOKUP | DELETE) };
            let wanted = wanted(arguments.access & meaningful, directory);
            let held = place.storage().access(&place.node, &place.identity, wanted).await?;
            let writable = place.permission == Permission::Write;
            (meaningful & arguments.access, bits(held, directory, writable))
        }
    };
    reply.put(&AccessResult { supported, access: supported & granted })?;
    Ok(())
}

/// The permissions that the bits asked for depend on.
fn wanted(bits: u32, directory: bool) -> Access {
    let deletes = if directory { DELETE } else { 0 };
    Access {
        read: bits & READS != 0,
        write: bits & (WRITES | deletes) != 0,
        execute: bits & if directory { LOOKUP | deletes } else { EXECUTE } != 0,
    }
}

/// The bits that permissions held amount to.
fn bits(held: Access, directory: bool, writable: bool) -> u32 {
    let write = held.write && writable;
    let mut bits = 0;
    for (held, gives) in [
        (held.read, READS),
        (write, WRITES),
        (directory && held.execute, LOOKUP),
        (directory && write && held.execute, DELETE),
        (!directory && held.execute, EXECUTE),
    ] {
        bits |= if held { gives } else { 0 };
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_permissions() {
        let all = Access { read: true, write: true, execute: true };
        assert_eq!(bits(all, true, true), READS | WRITES | LOOKUP | DELETE);
        assert_eq!(bits(all, false, true), READS | WRITES | EXECUTE);
        assert_eq!(bits(all, false, false), READS | EXECUTE);
        assert_eq!(bits(Access { write: true, ..Access::default() }, true, true), WRITES);
        assert_eq!(wanted(DELETE, true), Access { read: false, write: true, execute: true });
        assert_eq!(wanted(DELETE, false), Access::default());
    }
}
