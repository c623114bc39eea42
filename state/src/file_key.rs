//! How a file is named here.

/// The most bytes of a [`FileKey`]: an export's id and the storage's name of the object.
pub const FILE_KEY_BYTES_MAX: usize = 48;

/// Names one file over all exports: the export's id and the storage's persistent name of the object. Opaque
/// here; equal keys are the same file (RFC 8881 §9.9 coalesces opens by it).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileKey {
    bytes: [u8; FILE_KEY_BYTES_MAX],
    length: u8,
}

impl FileKey {
    /// A key of these bytes, or `None` when they are more than [`FILE_KEY_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; FILE_KEY_BYTES_MAX];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: all, length: u8::try_from(bytes.len()).ok()? })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}
