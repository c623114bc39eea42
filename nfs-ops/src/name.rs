//! Component names as clients send them.

use wire::nfs4::Status;

/// Longest name in bytes any storage here takes.
pub const NAME_BYTES_MAX: usize = 255;

/// Checks a component name before any storage sees it (RFC 8881 §14.5).
///
/// Names need not be UTF-8: file systems hold names of other encodings, and a server that refused them would
/// make those files unreachable. RFC 8881 §14.4 leaves that to the server.
///
/// # Errors
/// `NFS4ERR_INVAL` for an empty name, `NFS4ERR_NAMETOOLONG`, `NFS4ERR_BADNAME` for '.' and '..',
/// `NFS4ERR_BADCHAR` for '/' and NUL.
pub fn check(name: &[u8]) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::Inval);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Status::Nametoolong);
    }
    if name == b"." || name == b".." {
        return Err(Status::Badname);
    }
    if name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(Status::Badchar);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_resolve_elsewhere_are_refused() {
        let long = [b'a'; NAME_BYTES_MAX + 1];
        for (name, expected) in [
            (&b"a"[..], Ok(())),
            (b"...", Ok(())),
            (&long[..NAME_BYTES_MAX], Ok(())),
            (b"", Err(Status::Inval)),
            (b"\xff", Ok(())),
            (b".", Err(Status::Badname)),
            (b"..", Err(Status::Badname)),
            (b"a/b", Err(Status::Badchar)),
            (b"a\0", Err(Status::Badchar)),
            (&long, Err(Status::Nametoolong)),
        ] {
            assert_eq!(check(name), expected, "{}", name.escape_ascii());
        }
    }
}
