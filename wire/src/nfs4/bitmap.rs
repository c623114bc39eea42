//! `bitmap4`: a set of small numbers.

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom};

/// Words kept. The highest number in use is attribute 92 in drafts and 192 in the range for local use, so
/// eight words keep all of them and the value stays cheap to copy.
const WORDS: usize = 8;
/// Words accepted. Nothing published needs more than three; a peer that sends more than this is broken.
const WORDS_RECEIVED_MAX: usize = 64;

/// A set of numbers: attributes, operations, hints or notification types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Bitmap {
    words: [u32; WORDS],
    /// A number beyond the kept words was in the received set.
    beyond: bool,
}

impl Bitmap {
    /// The empty set.
    pub const EMPTY: Bitmap = Bitmap { words: [0; WORDS], beyond: false };
    /// Numbers below this one can be kept.
    pub const NUMBERS: u32 = 32 * WORDS as u32;

    /// The set of `numbers`.
    ///
    /// # Panics
    /// When a number is not below [`Bitmap::NUMBERS`]; sets made here are of constants.
    pub const fn of(numbers: &[u32]) -> Self {
        let mut set = Self::EMPTY;
        let mut index = 0;
        while index < numbers.len() {
            set = set.with(numbers[index]);
            index += 1;
        }
        set
    }

    /// This set and `number`.
    ///
    /// # Panics
    /// When `number` is not below [`Bitmap::NUMBERS`].
    #[must_use]
    pub const fn with(mut self, number: u32) -> Self {
        self.words[(number / 32) as usize] |= 1 << (number % 32);
        self
    }

    /// Adds `number`.
    ///
    /// # Panics
    /// When `number` is not below [`Bitmap::NUMBERS`].
    pub fn set(&mut self, number: u32) {
        *self = self.with(number);
    }

    /// Takes `number` out.
    pub fn clear(&mut self, number: u32) {
        if number < Self::NUMBERS {
            self.words[(number / 32) as usize] &= !(1 << (number % 32));
        }
    }

    /// Whether `number` is in the set.
    pub const fn get(&self, number: u32) -> bool {
        number < Self::NUMBERS && self.words[(number / 32) as usize] & (1 << (number % 32)) != 0
    }

    /// Whether the set holds nothing, not even a number too large to be kept.
    pub fn is_empty(&self) -> bool {
        !self.beyond && self.words == [0; WORDS]
    }

    /// Whether a number was received that is too large to be kept, and hence unknown.
    pub const fn has_beyond(&self) -> bool {
        self.beyond
    }

    /// The numbers in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Bitmap) -> Self {
        let mut words = self.words;
        words.iter_mut().zip(other.words).for_each(|(word, other)| *word &= other);
        Bitmap { words, beyond: self.beyond && other.beyond }
    }

    /// The numbers in either set.
    #[must_use]
    pub fn union(&self, other: &Bitmap) -> Self {
        let mut words = self.words;
        words.iter_mut().zip(other.words).for_each(|(word, other)| *word |= other);
        Bitmap { words, beyond: self.beyond || other.beyond }
    }

    /// The numbers in this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Bitmap) -> Self {
        let mut words = self.words;
        words.iter_mut().zip(other.words).for_each(|(word, other)| *word &= !other);
        Bitmap { words, beyond: self.beyond && !other.beyond }
    }

    /// Whether every number of this set is in `other`.
    pub fn is_subset(&self, other: &Bitmap) -> bool {
        self.difference(other).is_empty()
    }

    /// The numbers in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        let mut words = self.words.into_iter();
        let (mut word, mut after) = (0, 0);
        std::iter::from_fn(move || {
            while word == 0 {
                word = words.next()?;
                after += u32::BITS;
            }
            let bit = word.trailing_zeros();
            word &= word - 1;
            Some(after - u32::BITS + bit)
        })
    }

    /// The first word, for sets of flags that are defined as a word.
    pub const fn first_word(&self) -> u32 {
        self.words[0]
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::EMPTY, Bitmap::with)
    }
}

impl std::fmt::Debug for Bitmap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut set = formatter.debug_set();
        set.entries(self.iter());
        if self.beyond {
            set.entry(&"beyond");
        }
        set.finish()
    }
}

/// Trailing zero words are left out.
impl Encode for Bitmap {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        let used = WORDS - self.words.iter().rev().take_while(|word| **word == 0).count();
        encoder.put_count(used)?;
        self.words[..used].iter().try_for_each(|word| encoder.put_u32(*word))
    }
}

impl<'a> Decode<'a> for Bitmap {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let count = decoder.count_max(WORDS_RECEIVED_MAX)?;
        let mut set = Self::EMPTY;
        for index in 0..count {
            let word = decoder.u32()?;
            match set.words.get_mut(index) {
                Some(kept) => *kept = word,
                None => set.beyond |= word != 0,
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_do_what_sets_do() {
        let set = Bitmap::of(&[0, 31, 32, 82, 255]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 31, 32, 82, 255]);
        assert!(set.get(82) && !set.get(83) && !set.get(256) && !set.get(u32::MAX));
        let other = Bitmap::of(&[31, 33]);
        assert_eq!(set.intersection(&other), Bitmap::of(&[31]));
        assert_eq!(set.difference(&other), Bitmap::of(&[0, 32, 82, 255]));
        assert!(Bitmap::of(&[31]).is_subset(&set) && !other.is_subset(&set));
        assert_eq!(Bitmap::EMPTY.iter().count(), 0);
    }

    #[test]
    fn numbers_too_large_to_keep_are_remembered_as_such() {
        let mut bytes = vec![0, 0, 0, 9];
        bytes.extend([0; 32]);
        bytes.extend([0, 0, 0, 1]);
        let set = Decoder::new(&bytes).get::<Bitmap>().unwrap();
        assert!(set.has_beyond() && !set.is_empty() && set.iter().count() == 0);
        bytes[3] = 65;
        assert_eq!(Decoder::new(&bytes).get::<Bitmap>(), Err(Error::Bound));
    }
}
