//! File handles as clients see them: 64 bytes, always, bound to their export and authenticated.
//!
//! One length for all makes the place of WRITE payload in a call a constant. The authentication code keeps
//! clients from making handles of objects they were never shown, on exports they may not use.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use vfs::{NODE_HANDLE_BYTES_MAX, NodeHandle};
use wire::nfs4::FileHandle;

/// Bytes of every file handle this server gives out.
pub const FILE_HANDLE_BYTES: usize = BODY_BYTES + CODE_BYTES;

const VERSION: u8 = 1;
const KIND_PSEUDO: u8 = 0;
const KIND_NODE: u8 = 1;
const HEADER_BYTES: usize = 8;
const BODY_BYTES: usize = HEADER_BYTES + NODE_HANDLE_BYTES_MAX;
const CODE_BYTES: usize = 16;

const _: () = assert!(FILE_HANDLE_BYTES == 64, "handles are at most 64 bytes, for NFSv3's sake");

/// Names an export; stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExportId(pub u32);

/// Names a directory of the pseudo file system; stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PseudoId(pub u64);

/// What a file handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleContent {
    /// A directory of the pseudo file system.
    Pseudo(PseudoId),
    /// An object of an export.
    Node(ExportId, NodeHandle),
}

/// The secret that authenticates file handles; kept in the state directory, so that handles survive restarts.
#[derive(Clone)]
pub struct HandleKey([u8; 16]);

impl HandleKey {
    /// A key of 16 secret bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The file handle for `content`.
    pub fn seal(&self, content: &HandleContent) -> FileHandle {
        let mut bytes = [0; FILE_HANDLE_BYTES];
        bytes[0] = VERSION;
        match content {
            HandleContent::Pseudo(id) => {
                bytes[1] = KIND_PSEUDO;
                bytes[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&id.0.to_be_bytes());
            }
            HandleContent::Node(export, node) => {
                let node = node.as_bytes();
                bytes[1] = KIND_NODE;
                bytes[2] = node.len() as u8;
                bytes[4..8].copy_from_slice(&export.0.to_be_bytes());
                bytes[HEADER_BYTES..HEADER_BYTES + node.len()].copy_from_slice(node);
            }
        }
        let code = self.code(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&code);
        FileHandle::new(&bytes).expect("64 bytes fit a file handle")
    }

    /// What `handle` says, or nothing when this server did not make it.
    pub fn open(&self, handle: &FileHandle) -> Option<HandleContent> {
        let bytes: &[u8; FILE_HANDLE_BYTES] = handle.as_bytes().try_into().ok()?;
        let (body, code) = bytes.split_at(BODY_BYTES);
        if self.code(body) != code || body[0] != VERSION {
            return None;
        }
        match body[1] {
            KIND_PSEUDO => {
                let id = body[HEADER_BYTES..HEADER_BYTES + 8].try_into().ok()?;
                Some(HandleContent::Pseudo(PseudoId(u64::from_be_bytes(id))))
            }
            KIND_NODE => {
                let length = usize::from(body[2]);
                let export = u32::from_be_bytes(body[4..8].try_into().ok()?);
                let node = NodeHandle::new(body.get(HEADER_BYTES..HEADER_BYTES + length)?)?;
                Some(HandleContent::Node(ExportId(export), node))
            }
            _ => None,
        }
    }

    fn code(&self, body: &[u8]) -> [u8; CODE_BYTES] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(body);
        hasher.finish128().as_bytes()
    }
}

impl std::fmt::Debug for HandleKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("HandleKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(bytes: &[u8]) -> HandleContent {
        HandleContent::Node(ExportId(7), NodeHandle::new(bytes).unwrap())
    }

    #[test]
    fn a_handle_says_what_was_sealed() {
        let key = HandleKey::new([3; 16]);
        for content in [node(&[1; NODE_HANDLE_BYTES_MAX]), node(&[9; 12]), HandleContent::Pseudo(PseudoId(5))]
        {
            let handle = key.seal(&content);
            assert_eq!(handle.as_bytes().len(), FILE_HANDLE_BYTES);
            assert_eq!(key.open(&handle), Some(content));
        }
    }

    #[test]
    fn a_changed_byte_or_another_key_opens_nothing() {
        let key = HandleKey::new([3; 16]);
        let sealed = key.seal(&node(&[1; 12]));
        for position in 0..FILE_HANDLE_BYTES {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[position] ^= 0x40;
            assert_eq!(key.open(&FileHandle::new(&bytes).unwrap()), None, "byte {position}");
        }
        assert_eq!(HandleKey::new([4; 16]).open(&sealed), None);
        assert_eq!(key.open(&FileHandle::new(&sealed.as_bytes()[..63]).unwrap()), None);
    }
}
