//! All that a user wants to know of an object.

use wire::{
    nfs4::{FileHandle, FileType, NfsTime, RawAttributes, ReadLinkResult, Verifier, attribute},
    xdr::Error as XdrError,
};

use crate::{Compound, Error, Result, Session, directory::Page};

/// Bytes of one READDIR reply with these attributes.
const PAGE_BYTES: u32 = 128 * 1024;

/// An object as a listing shows it. What the server does not tell is 0 or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// What it is.
    pub file_type: FileType,
    /// Bytes.
    pub size: u64,
    /// Bytes of storage.
    pub space: u64,
    /// Its number in its file system.
    pub file_id: u64,
    /// Permissions.
    pub mode: u32,
    /// Names it has.
    pub links: u32,
    /// `user@domain`, or a number.
    pub owner: String,
    /// `group@domain`, or a number.
    pub group: String,
    /// Last read.
    pub accessed: NfsTime,
    /// Last change of the data.
    pub modified: NfsTime,
    /// Last change of anything.
    pub changed: NfsTime,
}

impl Details {
    /// The attributes to ask for.
    pub const NUMBERS: &'static [u32] = &[
        attribute::TYPE,
        attribute::SIZE,
        attribute::FILEID,
        attribute::RDATTR_ERROR,
        attribute::MODE,
        attribute::NUMLINKS,
        attribute::OWNER,
        attribute::OWNER_GROUP,
        attribute::SPACE_USED,
        attribute::TIME_ACCESS,
        attribute::TIME_METADATA,
        attribute::TIME_MODIFY,
    ];

    /// Out of what a server sent.
    ///
    /// # Errors
    /// [`Error::Malformed`]; an object of no known type is that too.
    pub fn from_raw(raw: &RawAttributes<'_>) -> Result<Self> {
        let given = raw.decode_values().map_err(|_| Error::Malformed(XdrError::Value))?;
        let text = |bytes: Option<&[u8]>| {
            bytes.map_or_else(String::new, |text| String::from_utf8_lossy(text).into())
        };
        Ok(Self {
            file_type: given.file_type.ok_or(Error::Malformed(XdrError::Short))?,
            size: given.size.unwrap_or(0),
            space: given.space_used.unwrap_or(0),
            file_id: given.fileid.unwrap_or(0),
            mode: given.mode.unwrap_or(0),
            links: given.numlinks.unwrap_or(0),
            owner: text(given.owner.as_ref().map(|owner| owner.bytes())),
            group: text(given.owner_group.as_ref().map(|group| group.bytes())),
            accessed: given.time_access.unwrap_or_default(),
            modified: given.time_modify.unwrap_or_default(),
            changed: given.time_metadata.unwrap_or_default(),
        })
    }
}

impl Session {
    /// An object's details.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn details(&self, handle: FileHandle) -> Result<Details> {
        let reply = self.call(Compound::new().put_handle(handle).get_attributes(Details::NUMBERS)).await?;
        reply.skip(1)?;
        Details::from_raw(&reply.next::<RawAttributes<'_>>()?)
    }

    /// All entries of a directory with their details, in the server's order, but those at the end that did not come with
    /// their details at once. An object that went away meanwhile is left out; one that the server cannot describe is an
    /// error.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn list(&self, directory: FileHandle) -> Result<Vec<(Vec<u8>, Details)>> {
        let (mut entries, mut undescribed) = (Vec::new(), Vec::new());
        let (mut verifier, mut cookie) = (Verifier::default(), 0);
        loop {
            let compound = Compound::new().put_handle(directory);
            let reply =
                self.call(compound.read_directory(cookie, verifier, PAGE_BYTES, Details::NUMBERS)).await?;
            reply.skip(1)?;
            let page: Page<'_> = reply.next()?;
            verifier = page.verifier;
            for entry in &page.entries {
                cookie = entry.cookie;
                let details = Details::from_raw(&entry.attributes).ok();
                undescribed.extend(details.is_none().then(|| entry.name.bytes().to_vec()));
                entries.extend(details.map(|details| (entry.name.bytes().to_vec(), details)));
            }
            if page.end || page.entries.is_empty() {
                break;
            }
        }
        for name in undescribed {
            entries.extend(self.described(directory, &name).await?.map(|details| (name, details)));
        }
        Ok(entries)
    }

    /// The details of an entry that came without; `None` when it has gone.
    async fn described(&self, directory: FileHandle, name: &[u8]) -> Result<Option<Details>> {
        let found = match self.lookup_in(directory, name).await {
            Ok(handle) => self.details(handle).await.map(Some),
            Err(error) => Err(error),
        };
        match found {
            Err(error) if error.is_gone() => Ok(None),
            other => other,
        }
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As [`Session::lookup`].
    pub async fn read_link(&self, link: FileHandle) -> Result<Vec<u8>> {
        let reply = self.call(Compound::new().put_handle(link).read_link()).await?;
        reply.skip(1)?;
        Ok(reply.next::<ReadLinkResult<'_>>()?.link.bytes().to_vec())
    }
}
