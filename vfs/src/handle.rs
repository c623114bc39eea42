//! Persistent names of objects, as the storage knows them.

/// The most bytes a storage may need to name one object. With the server's own header and
/// authentication code around it a file handle stays at 64 bytes.
pub const NODE_HANDLE_BYTES_MAX: usize = 40;

/// A persistent name of one object within one exported file system: it survives restarts and is never
/// given to another object. What the bytes mean is the storage's own business.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeHandle {
    bytes: [u8; NODE_HANDLE_BYTES_MAX],
    length: u8,
}

impl NodeHandle {
    /// A handle of `bytes`, or nothing when they are too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > NODE_HANDLE_BYTES_MAX {
            return None;
        }
        let mut all = [0; NODE_HANDLE_BYTES_MAX];
        all[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: all, length: bytes.len() as u8 })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.as_bytes() {
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}
