//! Names of directory entries.

use std::ffi::CString;

use vfs::{Error, Result};

/// A name as the kernel takes it, if it is a single component.
pub fn check(name: &[u8]) -> Result<CString> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Error::BadName);
    }
    // The only thing that can be wrong with it still is a NUL.
    CString::new(name).map_err(|_| Error::BadName)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_pass() {
        for name in [&b""[..], b".", b"..", b"/", b"a/b", b"../x", b"a\0b"] {
            assert_eq!(check(name), Err(Error::BadName));
        }
        for name in [&b"a"[..], b"...", b".a", b"\xff\xfe"] {
            assert!(check(name).is_ok());
        }
    }
}
