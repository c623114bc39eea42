//! Likely bytes, and what is done with the values in them.

use bytes::BytesMut;
use wire::xdr::{Cut, Decode, Decoder, Encode, Encoder};

/// A small deterministic generator (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    /// Bytes that are often valid XDR: mostly small words, which serve as counts, enums and bools.
    pub fn likely(&mut self, words: u64) -> Vec<u8> {
        let word = |random: &mut Random| match random.below(10) {
            0 => random.next() as u32,
            1 => random.below(100) as u32,
            2..=5 => random.below(2) as u32,
            _ => random.below(8) as u32,
        };
        (0..words).flat_map(|_| word(self).to_be_bytes()).collect()
    }

    pub fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// What a value encodes to, and where its payloads are in the stream.
pub fn encode(value: &impl Encode) -> (Vec<u8>, Vec<Cut>) {
    let mut encoder = Encoder::new(BytesMut::new(), usize::MAX);
    encoder.put(value).expect("no limit");
    let encoded = encoder.finish();
    (encoded.head.to_vec(), encoded.cuts())
}

pub fn decode<'a, T: Decode<'a>>(head: &'a [u8], cuts: &'a [Cut]) -> Result<T, wire::xdr::Error> {
    let mut decoder = Decoder::with_cuts(head, cuts);
    let value = decoder.get()?;
    decoder.finish()?;
    Ok(value)
}

/// Tries until enough values have been found among random bytes. A macro, since a type that borrows cannot be
/// named once for all lifetimes.
macro_rules! round_trip {
    ($($name:ty,)*) => {$({
        let mut random = $crate::values::Random(0x9e37_79b9_7f4a_7c15);
        let mut found = 0;
        for _ in 0..200_000 {
            if found == 20 {
                break;
            }
            let words = 1 + random.below(60);
            let bytes = random.likely(words);
            let Ok(value) = wire::xdr::Decoder::new(&bytes).get::<$name>() else { continue };
            found += 1;
            let (head, cuts) = $crate::values::encode(&value);
            let again: $name = $crate::values::decode(&head, &cuts).expect(stringify!($name));
            assert_eq!($crate::values::encode(&again), (head.clone(), cuts.clone()), stringify!($name));
            if cuts.is_empty() {
                // That a set had numbers too large to keep is known to its receiver only.
                let sent = format!("{value:?}").replace(", \"beyond\"", "").replace("\"beyond\"", "");
                assert_eq!(format!("{again:?}"), sent);
            }
            for end in 0..head.len() {
                let short = $crate::values::decode::<$name>(&head[..end], &cuts);
                assert!(short.is_err(), "{} decodes from {end} of {} bytes", stringify!($name), head.len());
            }
        }
        assert_eq!(found, 20, "too few values of {} found", stringify!($name));
    })*};
}

pub(crate) use round_trip;
