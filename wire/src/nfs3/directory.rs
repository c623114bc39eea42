//! READDIR and READDIRPLUS (RFC 1813 §3.3.16 and §3.3.17), entry by entry.

use super::{FileHandle, PostOpAttributes, PostOpHandle, Verifier};
pub use crate::listing::Listed;
use crate::listing::Listing;
use crate::nfs4::Component;
use crate::xdr::{Encode, Encoder, NoRoom, UNIT, pad_len, xdr_struct};

xdr_struct! {
/// Arguments of READDIR.
#[derive(Copy)]
pub struct ReadDirArgs = "READDIR3args" {
    directory: FileHandle = "dir",
    cookie: u64 = "cookie",
    verifier: Verifier = "cookieverf",
    /// Bytes of the whole `READDIR3resok`.
    count_max: u32 = "count",
}
}

xdr_struct! {
/// Arguments of READDIRPLUS.
#[derive(Copy)]
pub struct ReadDirPlusArgs = "READDIRPLUS3args" {
    directory: FileHandle = "dir",
    cookie: u64 = "cookie",
    verifier: Verifier = "cookieverf",
    /// Bytes of file ids, names and cookies alone; 0, with which no client could mean anything else, is no bound.
    directory_count: u32 = "dircount",
    /// Bytes of the whole `READDIRPLUS3resok`.
    count_max: u32 = "maxcount",
}
}

xdr_struct! {
/// What both results have before their entries. A client reads these then as [`Listed`], one at a time.
#[derive(Copy)]
pub struct DirectoryHead = "READDIR3resok" {
    attributes: PostOpAttributes = "dir_attributes",
    verifier: Verifier = "cookieverf",
}
}

xdr_struct! {
/// An entry of READDIR.
#[derive(Copy)]
pub struct Entry<'a> = "entry3" {
    file_id: u64 = "fileid",
    name: Component<'a> = "name",
    cookie: u64 = "cookie",
}
}

xdr_struct! {
/// An entry of READDIRPLUS.
#[derive(Copy)]
pub struct EntryPlus<'a> = "entryplus3" {
    file_id: u64 = "fileid",
    name: Component<'a> = "name",
    cookie: u64 = "cookie",
    attributes: PostOpAttributes = "name_attributes",
    handle: PostOpHandle = "name_handle",
}
}

/// Writes the body of a successful READDIR or READDIRPLUS within the client's bounds.
#[derive(Debug)]
#[must_use = "the list is ended by `finish`"]
pub struct DirectoryWriter(Listing);

impl DirectoryWriter {
    /// Writes what precedes the entries of READDIR.
    ///
    /// # Errors
    /// [`NoRoom`] when not even an empty directory fits: NFS3ERR_TOOSMALL.
    pub fn begin(encoder: &mut Encoder, head: &DirectoryHead, args: &ReadDirArgs) -> Result<Self, NoRoom> {
        Self::begin_within(encoder, head, args.count_max, 0)
    }

    /// Writes what precedes the entries of READDIRPLUS.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_plus(
        encoder: &mut Encoder,
        head: &DirectoryHead,
        args: &ReadDirPlusArgs,
    ) -> Result<Self, NoRoom> {
        Self::begin_within(encoder, head, args.count_max, args.directory_count)
    }

    fn begin_within(
        encoder: &mut Encoder,
        head: &DirectoryHead,
        count_max: u32,
        directory_count: u32,
    ) -> Result<Self, NoRoom> {
        let start = encoder.position();
        encoder.put(head)?;
        Listing::begin(encoder, start, count_max, directory_count).map(DirectoryWriter)
    }

    /// Writes one entry of READDIR.
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit; nothing of it has been written and the list can still be ended.
    /// With no entry before it, that is NFS3ERR_TOOSMALL.
    pub fn entry(&mut self, encoder: &mut Encoder, entry: &Entry<'_>) -> Result<(), NoRoom> {
        self.write(encoder, &entry.name, entry)
    }

    /// Writes one entry of READDIRPLUS.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub fn entry_plus(&mut self, encoder: &mut Encoder, entry: &EntryPlus<'_>) -> Result<(), NoRoom> {
        self.write(encoder, &entry.name, entry)
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

    fn write(&mut self, encoder: &mut Encoder, name: &[u8], entry: &impl Encode) -> Result<(), NoRoom> {
        // File id, cookie, and the name behind its length.
        let directory_len = 5 * UNIT + name.len() + pad_len(name.len());
        self.0.entry(encoder, directory_len, |encoder| encoder.put(entry))
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::{FileAttributes, FileType, NfsTime, Specdata};
    use super::*;
    use crate::xdr::Decoder;

    const VERIFIER: Verifier = Verifier([7; 8]);
    /// The word for the attributes that are not given, and the verifier; the end of the list and the flag.
    const EMPTY: usize = 4 + 8 + 8;
    /// Pointer, file id, name of 4 bytes, cookie.
    const ENTRY: usize = 4 + 8 + 8 + 8;
    /// With attributes and a handle of 64 bytes.
    const ENTRY_PLUS: usize = ENTRY + 88 + 72;

    fn entry(cookie: u64) -> Entry<'static> {
        Entry { file_id: cookie + 100, name: "name".into(), cookie }
    }

    fn entry_plus(cookie: u64) -> EntryPlus<'static> {
        let time = NfsTime { seconds: 1, nanoseconds: 2 };
        let attributes = FileAttributes {
            file_type: FileType::Regular,
            mode: 0o644,
            links: 1,
            uid: 2,
            gid: 3,
            size: 4,
            used: 4096,
            device: Specdata::default(),
            fsid: 5,
            file_id: cookie + 100,
            time_access: time,
            time_modify: time,
            time_metadata: time,
        };
        let Entry { file_id, name, cookie } = entry(cookie);
        let handle = FileHandle::new(&[9; 64]);
        EntryPlus { file_id, name, cookie, attributes: Some(attributes), handle }
    }

    /// As many entries as fit, and the whole body.
    fn list(
        encoder_limit: usize,
        begin: impl FnOnce(&mut Encoder, &DirectoryHead) -> Result<DirectoryWriter, NoRoom>,
        put: impl Fn(&mut DirectoryWriter, &mut Encoder, u64) -> Result<(), NoRoom>,
    ) -> Result<(usize, Vec<u8>), NoRoom> {
        let mut encoder = Encoder::new(BytesMut::from(&b"head"[..]), encoder_limit);
        let mut writer = begin(&mut encoder, &DirectoryHead { attributes: None, verifier: VERIFIER })?;
        for cookie in 3..10 {
            if put(&mut writer, &mut encoder, cookie).is_err() {
                break;
            }
        }
        let entries = writer.entries();
        writer.finish(&mut encoder, true)?;
        Ok((entries, encoder.finish().head[4..].to_vec()))
    }

    fn plain(limit: usize, count_max: usize) -> Result<(usize, Vec<u8>), NoRoom> {
        let directory = FileHandle::new(&[]).unwrap();
        let args = ReadDirArgs { directory, cookie: 0, verifier: VERIFIER, count_max: count_max as u32 };
        list(
            limit,
            |encoder, head| DirectoryWriter::begin(encoder, head, &args),
            |writer, encoder, cookie| writer.entry(encoder, &entry(cookie)),
        )
    }

    fn plus(directory_count: usize, count_max: usize) -> Result<(usize, Vec<u8>), NoRoom> {
        let args = ReadDirPlusArgs {
            directory: FileHandle::new(&[]).unwrap(),
            cookie: 0,
            verifier: VERIFIER,
            directory_count: directory_count as u32,
            count_max: count_max as u32,
        };
        list(
            5000,
            |encoder, head| DirectoryWriter::begin_plus(encoder, head, &args),
            |writer, encoder, cookie| writer.entry_plus(encoder, &entry_plus(cookie)),
        )
    }

    #[test]
    fn every_bound_holds() {
        assert_eq!(plain(1000, EMPTY + 2 * ENTRY).unwrap().0, 2);
        assert_eq!(plain(1000, EMPTY + 2 * ENTRY - 1).unwrap().0, 1);
        assert_eq!(plain(EMPTY + 3 * ENTRY, 1000).unwrap().0, 3);
        assert_eq!(plain(EMPTY + 3 * ENTRY - 1, 1000).unwrap().0, 2);
        assert_eq!(plain(1000, EMPTY).unwrap().0, 0);
        assert_eq!(plain(1000, EMPTY - 1), Err(NoRoom));
        assert_eq!(plain(EMPTY - 1, 1000), Err(NoRoom));
    }

    #[test]
    fn attributes_and_handles_do_not_count_as_directory_information() {
        assert_eq!(plus(0, EMPTY + 2 * ENTRY_PLUS).unwrap().0, 2);
        assert_eq!(plus(0, EMPTY + 2 * ENTRY_PLUS - 1).unwrap().0, 1);
        assert_eq!(plus(3 * 24, 5000).unwrap().0, 3);
        assert_eq!(plus(3 * 24 - 1, 5000).unwrap().0, 2);
        assert_eq!(plus(1, 5000).unwrap().0, 1);
        assert_eq!(plus(0, 5000).unwrap().0, 7);
    }

    #[test]
    fn what_is_listed_is_read() {
        let (entries, bytes) = plain(1000, EMPTY + 3 * ENTRY).unwrap();
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.get(), Ok(DirectoryHead { attributes: None, verifier: VERIFIER }));
        for index in 0..entries as u64 {
            assert_eq!(decoder.get(), Ok(Listed::Entry(entry(3 + index))));
        }
        assert_eq!(decoder.get(), Ok(Listed::<Entry<'_>>::End(true)));
        assert_eq!(decoder.finish(), Ok(()));

        let (entries, bytes) = plus(0, EMPTY + 3 * ENTRY_PLUS).unwrap();
        assert_eq!(bytes.len(), EMPTY + 3 * ENTRY_PLUS);
        let mut decoder = Decoder::new(&bytes);
        decoder.get::<DirectoryHead>().unwrap();
        for index in 0..entries as u64 {
            assert_eq!(decoder.get(), Ok(Listed::Entry(entry_plus(3 + index))));
        }
        assert_eq!(decoder.get(), Ok(Listed::<EntryPlus<'_>>::End(true)));
        assert_eq!(decoder.finish(), Ok(()));
    }
}
