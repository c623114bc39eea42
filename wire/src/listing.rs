//! What the results of READDIR are in every version: a chain of entries and whether the directory ends with it.

use crate::xdr::{ChainWriter, Decode, Decoder, Encoder, Error, NoRoom, UNIT};

/// A step through a directory as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<E> {
    /// An entry.
    Entry(E),
    /// The end of this reply, and whether the directory ends with it.
    End(bool),
}

impl<'a, E: Decode<'a>> Decode<'a> for Listed<E> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        match decoder.get()? {
            Some(entry) => Ok(Listed::Entry(entry)),
            None => decoder.bool().map(Listed::End),
        }
    }
}

/// Writes entries within a client's bounds.
#[derive(Debug)]
#[must_use = "the list is ended by `finish`"]
pub(crate) struct Listing {
    chain: ChainWriter,
    /// Bytes of directory information alone that may still come; `None` without hint.
    directory_room: Option<usize>,
    entries: usize,
}

impl Listing {
    /// Begins the list of a result that began at `start` and may have `count_max` bytes. `directory_count` is the
    /// client's hint in bytes for what is of the directory itself; 0 is no hint.
    ///
    /// # Errors
    /// [`NoRoom`] when not even an empty directory fits: TOOSMALL.
    pub(crate) fn begin(
        encoder: &Encoder,
        start: usize,
        count_max: u32,
        directory_count: u32,
    ) -> Result<Self, NoRoom> {
        let chain = ChainWriter::begin(encoder, start, count_max as usize, UNIT)?;
        let directory_room = (directory_count > 0).then_some(directory_count as usize);
        Ok(Listing { chain, directory_room, entries: 0 })
    }

    /// Writes the entry that `write` writes, with `directory_len` bytes of directory information.
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit; nothing of it has been written and the list can still be ended.
    /// With no entry before it, that is TOOSMALL.
    pub(crate) fn entry(
        &mut self,
        encoder: &mut Encoder,
        directory_len: usize,
        write: impl FnOnce(&mut Encoder) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        // The hint never keeps the first entry out: a reply must make progress.
        if self.entries > 0 && self.directory_room.is_some_and(|room| directory_len > room) {
            return Err(NoRoom);
        }
        self.chain.item(encoder, write)?;
        self.entries += 1;
        self.directory_room = self.directory_room.map(|room| room.saturating_sub(directory_len));
        Ok(())
    }

    /// Entries written.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Ends the list.
    ///
    /// # Errors
    /// [`NoRoom`] only when the encoder's limit has been lowered meanwhile.
    pub(crate) fn finish(self, encoder: &mut Encoder, eof: bool) -> Result<(), NoRoom> {
        self.chain.finish(encoder)?;
        encoder.put_bool(eof)
    }
}
