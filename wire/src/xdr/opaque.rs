//! Borrowed variable-length bytes with a bound in their type.

use super::{Decode, Decoder, Encode, Encoder, Error, NoRoom};

/// XDR's `opaque name<MAX>` or `string name<MAX>`, borrowed from the received bytes. The bound holds for
/// what a peer sends; what we send is ours to keep in bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Opaque<'a, const MAX: usize>(pub &'a [u8]);

impl<'a, const MAX: usize> Opaque<'a, MAX> {
    /// The bytes, with the lifetime of what they were received in.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<const MAX: usize> std::ops::Deref for Opaque<'_, MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl<'a, const MAX: usize> From<&'a [u8]> for Opaque<'a, MAX> {
    fn from(bytes: &'a [u8]) -> Self {
        Opaque(bytes)
    }
}

impl<'a, const MAX: usize> From<&'a str> for Opaque<'a, MAX> {
    fn from(text: &'a str) -> Self {
        Opaque(text.as_bytes())
    }
}

impl<const MAX: usize> std::fmt::Debug for Opaque<'_, MAX> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "\"{}\"", self.0.escape_ascii())
    }
}

impl<const MAX: usize> Encode for Opaque<'_, MAX> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_opaque(self.0)
    }
}

impl<'a, const MAX: usize> Decode<'a> for Opaque<'a, MAX> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        decoder.opaque_max(MAX).map(Opaque)
    }
}
