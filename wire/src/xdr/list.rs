//! Variable-length arrays with a bound in their type.

use super::{Decode, Decoder, Encode, Encoder, Error, NoRoom, UNIT};

/// XDR's `type name<MAX>`. Only rare operations carry one; it grows with what is decoded, so a peer's count
/// sizes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(items: Vec<T>) -> Self {
        List(items)
    }
}

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_count(self.0.len())?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<'a, T: Decode<'a>, const MAX: usize> Decode<'a> for List<T, MAX> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let count = decoder.count_max(MAX)?;
        // Every element takes at least one unit, so a count beyond the bytes at hand cannot be true.
        if count > decoder.remaining() / UNIT {
            return Err(Error::Short);
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode(decoder)?);
        }
        Ok(List(items))
    }
}
