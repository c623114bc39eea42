//! ACCESS (RFC 8881 §18.1, RFC 1813 §3.3.4), with the extended-attribute bits of RFC 8276 §8.5.

use vfs::{Access, FileKind, Vfs};
use wire::nfs4::access::{
    DELETE, EXECUTE, EXTEND, LOOKUP, MODIFY, READ, XATTR_LIST, XATTR_READ, XATTR_WRITE,
};

use crate::export::Permission;
use crate::failure::Failure;
use crate::object::Place;

/// The bits that both protocols have.
pub const BASIC: u32 = READ | LOOKUP | MODIFY | EXTEND | DELETE | EXECUTE;

const READS: u32 = READ | XATTR_READ | XATTR_LIST;
const WRITES: u32 = MODIFY | EXTEND | XATTR_WRITE;

/// What the caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The bits asked for that mean something for this kind of object.
    pub supported: u32,
    /// Those of them that are granted.
    pub granted: u32,
}

/// Asks the storage, and so the kernel, which of the bits `asked` the caller has; POSIX ACLs count.
///
/// # Errors
/// The storage's.
pub async fn of_place<V: Vfs>(place: &Place<V>, asked: u32) -> Result<Answer, Failure> {
    let directory = place.storage().attributes(&place.node).await?.kind == FileKind::Directory;
    let supported = asked & if directory { !EXECUTE } else { !(LOOKUP | DELETE) };
    let held = place.storage().access(&place.node, &place.identity, wanted(supported, directory)).await?;
    let writable = place.permission == Permission::Write;
    Ok(Answer { supported, granted: supported & bits(held, directory, writable) })
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
