//! READDIR (RFC 8881 §18.23), entry by entry.

use super::{Attributes, Bitmap, Component, RawAttributes, Verifier};
use crate::listing::{self, Listing};
use crate::xdr::{Decoder, Encoder, Error, NoRoom, UNIT, pad_len, xdr_struct};

xdr_struct! {
/// Arguments of READDIR.
pub struct ReadDirArgs = "READDIR4args" {
    cookie: u64 = "cookie",
    verifier: Verifier = "cookieverf",
    /// Hint in bytes for cookies and names alone; 0 is no hint.
    directory_count: u32 = "dircount",
    /// Bytes of the whole `READDIR4resok`.
    count_max: u32 = "maxcount",
    attributes: Bitmap = "attr_request",
}
}

xdr_struct! {
/// One entry as a client reads it.
pub struct Entry<'a> = "entry4" {
    cookie: u64 = "cookie",
    name: Component<'a> = "name",
    attributes: RawAttributes<'a> = "attrs",
}
}

/// A step through a READDIR result.
pub type Listed<'a> = listing::Listed<Entry<'a>>;

/// Writes the body of a successful READDIR within the client's bounds.
#[derive(Debug)]
pub struct DirectoryWriter(Listing);

impl DirectoryWriter {
    /// Writes the cookie verifier. The bounds are those of `args`.
    ///
    /// # Errors
    /// [`NoRoom`] when not even an empty directory fits: NFS4ERR_TOOSMALL.
    pub fn begin(encoder: &mut Encoder, verifier: Verifier, args: &ReadDirArgs) -> Result<Self, NoRoom> {
        let start = encoder.position();
        encoder.put(&verifier)?;
        Listing::begin(encoder, start, args.count_max, args.directory_count).map(DirectoryWriter)
    }

    /// Writes one entry with those of `requested` that `attributes` has.
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit; nothing of it has been written and the list can still be ended.
    /// With no entry before it, that is NFS4ERR_TOOSMALL.
    pub fn entry(
        &mut self,
        encoder: &mut Encoder,
        cookie: u64,
        name: &[u8],
        attributes: &Attributes<'_>,
        requested: &Bitmap,
    ) -> Result<(), NoRoom> {
        let directory_len = 3 * UNIT + name.len() + pad_len(name.len());
        self.0.entry(encoder, directory_len, |encoder| {
            encoder.put_u64(cookie)?;
            encoder.put_opaque(name)?;
            attributes.encode(requested, encoder)
        })
    }

    /// Entries written.
    pub fn entries(&self) -> usize {
        self.0.entries()
    }

    /// Ends the list.
    ///
    /// # Errors
    /// [`NoRoom`] only when the encoder's limit has been lowered meanwhile.
    pub fn finish(self, encoder: &mut Encoder, eof: bool) -> Result<(), NoRoom> {
        self.0.finish(encoder, eof)
    }
}

/// Reads the body of a successful READDIR.
#[derive(Debug)]
pub struct DirectoryReader {
    /// The server's cookie verifier.
    pub verifier: Verifier,
}

impl DirectoryReader {
    /// Reads the cookie verifier.
    ///
    /// # Errors
    /// [`Error`] when it is cut short.
    pub fn begin(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(DirectoryReader { verifier: decoder.get()? })
    }

    /// Reads the next entry, or the end of the list.
    ///
    /// # Errors
    /// [`Error`] when the bytes are no entry.
    pub fn next<'a>(&self, decoder: &mut Decoder<'a>) -> Result<Listed<'a>, Error> {
        decoder.get()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn args(directory_count: u32, count_max: u32) -> ReadDirArgs {
        ReadDirArgs {
            cookie: 0,
            verifier: Verifier::default(),
            directory_count,
            count_max,
            attributes: Bitmap::EMPTY,
        }
    }

    /// Entries that fit: each takes 4 + 8 + 8 + 4 + 4 = 28 bytes with a short name and no attributes.
    fn list(limit: usize, args: &ReadDirArgs) -> Result<(usize, Vec<u8>), NoRoom> {
        let mut encoder = Encoder::new(BytesMut::new(), limit);
        let mut writer = DirectoryWriter::begin(&mut encoder, Verifier([7; 8]), args)?;
        for cookie in 3..10 {
            if writer.entry(&mut encoder, cookie, b"name", &Attributes::default(), &Bitmap::EMPTY).is_err() {
                break;
            }
        }
        let entries = writer.entries();
        writer.finish(&mut encoder, false)?;
        Ok((entries, encoder.finish().head.to_vec()))
    }

    #[test]
    fn every_bound_holds() {
        assert_eq!(list(1000, &args(0, 16 + 2 * 28)).unwrap().0, 2);
        assert_eq!(list(1000, &args(0, 16 + 2 * 28 - 1)).unwrap().0, 1);
        assert_eq!(list(16 + 3 * 28, &args(0, 1000)).unwrap().0, 3);
        assert_eq!(list(16 + 3 * 28 - 1, &args(0, 1000)).unwrap().0, 2);
        assert_eq!(list(1000, &args(40, 1000)).unwrap().0, 2);
        assert_eq!(list(1000, &args(1, 1000)).unwrap().0, 1);
        assert_eq!(list(1000, &args(0, 15)), Err(NoRoom));
    }

    #[test]
    fn what_is_listed_is_read() {
        let (entries, bytes) = list(1000, &args(0, 1000)).unwrap();
        let mut decoder = Decoder::new(&bytes);
        let reader = DirectoryReader::begin(&mut decoder).unwrap();
        assert_eq!(reader.verifier, Verifier([7; 8]));
        for index in 0..entries as u64 {
            let Ok(Listed::Entry(entry)) = reader.next(&mut decoder) else { panic!("entry expected") };
            assert_eq!((entry.cookie, entry.name.bytes()), (3 + index, &b"name"[..]));
        }
        assert_eq!(reader.next(&mut decoder), Ok(Listed::End(false)));
        assert_eq!(decoder.finish(), Ok(()));
    }
}
