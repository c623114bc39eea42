//! Files on a server, whichever version of NFS it is spoken to in.

use std::{fmt, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use wire::{
    nfs3,
    nfs4::{
        self, Attributes, CreateType, FileHandle, FileType, NfsTime, SetTime, StableHow, Stateid, Verifier,
        WriteResult, share_access,
    },
    xdr::Error as XdrError,
};

use crate::{
    Client, ClientOptions, Details, Error, Network, OpenFile, OpenHow, Result, Session, nfs3 as client3,
};

/// Bytes around the data of a call, of those that a session grants.
const CALL_OVERHEAD: u32 = 1024;

/// A version of NFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// NFSv3.
    V3,
    /// NFSv4.1.
    V4_1,
    /// NFSv4.2.
    V4_2,
}

impl Version {
    /// All of them, ascending.
    pub const ALL: [Self; 3] = [Self::V3, Self::V4_1, Self::V4_2];

    /// 3 or 4.
    pub fn major(self) -> u32 {
        if self == Self::V3 { nfs3::VERSION } else { nfs4::VERSION }
    }

    /// As minor version of NFSv4, if it is one.
    pub fn minor(self) -> Option<u32> {
        match self {
            Self::V3 => None,
            Self::V4_1 => Some(1),
            Self::V4_2 => Some(2),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor() {
            None => formatter.write_str("3"),
            Some(minor) => write!(formatter, "4.{minor}"),
        }
    }
}

/// The files of a server, in the terms of NFSv4: paths lead from one root, objects have its handles and attributes. A handle
/// itself: clones name the same connections.
#[derive(Clone)]
pub enum Files {
    /// NFSv4.1 and later.
    V4(Rc<Client>),
    /// NFSv3: files are not opened, so that the stateid of any is the anonymous one.
    V3(Rc<client3::Tree>),
}

impl Files {
    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`] and [`nfs3::Client::connect`](client3::Client::connect).
    pub async fn connect(
        network: impl Into<Network>,
        address: SocketAddr,
        version: Version,
        options: ClientOptions,
    ) -> Result<Self> {
        Ok(match version.minor() {
            Some(minor) => {
                let options = options.minor_version(minor);
                Self::V4(Rc::new(Client::connect(network, address, options).await?))
            }
            None => {
                let client = client3::Client::connect(network, address, options).await?;
                Self::V3(Rc::new(client3::Tree::new(client)))
            }
        })
    }

    /// Lets the server forget the client. Other handles of it must not be used any more.
    ///
    /// # Errors
    /// As [`Client::destroy`] and [`nfs3::Tree::end`](client3::Tree::end).
    pub async fn end(self) -> Result<()> {
        match self {
            Self::V4(client) => client.destroy().await,
            Self::V3(tree) => tree.end().await,
        }
    }

    /// The session whose server can copy and clone files by itself.
    pub fn copier(&self) -> Option<&Session> {
        match self {
            Self::V4(client) if client.session().options().minor_version >= 2 => Some(client.session()),
            _ => None,
        }
    }

    /// Most bytes of one READ; at least one, whatever the server says.
    pub fn read_max(&self) -> u32 {
        let max = match self {
            Self::V4(client) => {
                client.session().granted().fore_channel.response_size_max.saturating_sub(CALL_OVERHEAD)
            }
            Self::V3(tree) => tree.read_max(),
        };
        max.max(1)
    }

    /// Most bytes of one WRITE; at least one too.
    pub fn write_max(&self) -> u32 {
        let max = match self {
            Self::V4(client) => {
                client.session().granted().fore_channel.request_size_max.saturating_sub(CALL_OVERHEAD)
            }
            Self::V3(tree) => tree.write_max(),
        };
        max.max(1)
    }

    /// The handle of an object, by its path from the root.
    ///
    /// # Errors
    /// [`Error::Status`], [`Error::Procedure`] or [`Error::Mount`], and as [`Session::call`] or
    /// [`nfs3::Client::call`](client3::Client::call).
    pub async fn lookup(&self, path: impl AsRef<[u8]>) -> Result<FileHandle> {
        match self {
            Self::V4(client) => client.session().lookup(path).await,
            Self::V3(tree) => Ok(*tree.lookup(path).await?),
        }
    }

    /// The handle of an object in a directory.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn lookup_in(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<FileHandle> {
        match self {
            Self::V4(client) => client.session().lookup_in(directory, name).await,
            Self::V3(tree) => Ok(*tree.client().lookup(short(directory)?, name).await?),
        }
    }

    /// An object's details.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn details(&self, object: FileHandle) -> Result<Details> {
        match self {
            Self::V4(client) => client.session().details(object).await,
            Self::V3(tree) => Ok(Details::from(&tree.client().attributes(short(object)?).await?)),
        }
    }

    /// All entries of a directory with their details, in no certain order. An object that went away meanwhile is left out.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn list(&self, directory: FileHandle) -> Result<Vec<(Vec<u8>, Details)>> {
        match self {
            Self::V4(client) => client.session().list(directory).await,
            Self::V3(tree) => list(tree.client(), short(directory)?).await,
        }
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn read_link(&self, link: FileHandle) -> Result<Vec<u8>> {
        match self {
            Self::V4(client) => client.session().read_link(link).await,
            Self::V3(tree) => tree.client().read_link(short(link)?).await,
        }
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn open_to_read(&self, handle: FileHandle) -> Result<OpenFile> {
        match self {
            Self::V4(client) => client.session().open_handle(handle, share_access::READ).await,
            Self::V3(_) => Ok(unopened(handle)),
        }
    }

    /// Opens a file to be read and written. If it is not there it is made, with these permissions; if it is, that is an error
    /// when `is_new` says that it must not.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn create(
        &self,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
        mode: u32,
        is_new: bool,
    ) -> Result<OpenFile> {
        match self {
            Self::V4(client) => {
                let how = OpenHow { exclusive: is_new, ..OpenHow::create(mode) };
                client.session().open(directory, name, &how).await
            }
            Self::V3(tree) => {
                let attributes = nfs3::SetAttributes { mode: Some(mode), ..Default::default() };
                let how = match is_new {
                    false => nfs3::CreateHow::Unchecked(attributes),
                    true => nfs3::CreateHow::Guarded(attributes),
                };
                Ok(unopened(*tree.client().create(short(directory)?, name, how).await?))
            }
        }
    }

    /// Ends an open.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn close(&self, file: &OpenFile) -> Result<()> {
        match self {
            Self::V4(client) => client.session().close(file).await,
            Self::V3(_) => Ok(()),
        }
    }

    /// Reads up to `count` bytes; true when they reach the end of the file.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn read(&self, file: &OpenFile, offset: u64, count: u32) -> Result<(Bytes, bool)> {
        match self {
            Self::V4(client) => client.session().read(file, offset, count).await,
            Self::V3(tree) => tree.client().read(short(file.handle)?, offset, count).await,
        }
    }

    /// Writes bytes, which are sent from where they lie, to be brought to stable storage by [`Files::commit`].
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn write(&self, file: &OpenFile, offset: u64, bytes: Bytes) -> Result<WriteResult> {
        let stable = StableHow::Unstable;
        match self {
            Self::V4(client) => client.session().write_bulk(file, offset, bytes, stable).await,
            Self::V3(tree) => {
                let written = tree.client().write_bulk(short(file.handle)?, offset, bytes, stable).await?;
                let nfs3::WriteResult { count, committed, verifier, .. } = written;
                Ok(WriteResult { count, committed, verifier })
            }
        }
    }

    /// Brings all that was written to stable storage, and returns the server's write verifier.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn commit(&self, handle: FileHandle) -> Result<Verifier> {
        match self {
            Self::V4(client) => client.session().commit(handle).await,
            Self::V3(tree) => tree.client().commit(short(handle)?).await,
        }
    }

    /// Sets permissions, size and times. NFSv3 can express times from 1970 to 2106; of others it gets the nearest.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn set_attributes(&self, object: FileHandle, attributes: &Attributes<'_>) -> Result<()> {
        match self {
            Self::V4(client) => client.session().set_attributes(object, Stateid::ANONYMOUS, attributes).await,
            Self::V3(tree) => {
                let attributes = nfs3::SetAttributes {
                    mode: attributes.mode,
                    size: attributes.size,
                    time_access: time_to_set(attributes.time_access_set.as_ref()),
                    time_modify: time_to_set(attributes.time_modify_set.as_ref()),
                    ..Default::default()
                };
                tree.client().set_attributes(short(object)?, attributes).await.map(drop)
            }
        }
    }

    /// Makes a directory and returns its handle.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn create_directory(
        &self,
        parent: FileHandle,
        name: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<FileHandle> {
        match self {
            Self::V4(client) => client.session().create_directory(parent, name, mode).await,
            Self::V3(tree) => Ok(*tree.client().create_directory(short(parent)?, name, mode).await?),
        }
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn create_link(
        &self,
        directory: FileHandle,
        name: impl AsRef<[u8]>,
        text: &[u8],
    ) -> Result<()> {
        match self {
            Self::V4(client) => {
                let link = CreateType::SymbolicLink(text.into());
                client.session().create(directory, name, link, 0o777).await.map(drop)
            }
            Self::V3(tree) => tree.client().create_link(short(directory)?, name, text).await.map(drop),
        }
    }

    /// Removes the name of anything but a directory.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn remove(&self, directory: FileHandle, name: impl AsRef<[u8]>) -> Result<()> {
        match self {
            Self::V4(client) => client.session().remove(directory, name).await.map(drop),
            Self::V3(tree) => tree.client().remove(short(directory)?, name).await.map(drop),
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn remove_directory(&self, parent: FileHandle, name: impl AsRef<[u8]>) -> Result<()> {
        match self {
            Self::V4(client) => client.session().remove(parent, name).await.map(drop),
            Self::V3(tree) => tree.client().remove_directory(short(parent)?, name).await.map(drop),
        }
    }

    /// Gives an object another name in the same directory.
    ///
    /// # Errors
    /// As [`Files::lookup`].
    pub async fn rename(
        &self,
        directory: FileHandle,
        old_name: impl AsRef<[u8]>,
        new_name: impl AsRef<[u8]>,
    ) -> Result<()> {
        match self {
            Self::V4(client) => {
                client.session().rename(directory, old_name, directory, new_name).await.map(drop)
            }
            Self::V3(tree) => {
                let directory = short(directory)?;
                tree.client().rename(directory, old_name, directory, new_name).await.map(drop)
            }
        }
    }
}

impl From<&nfs3::FileAttributes> for Details {
    fn from(given: &nfs3::FileAttributes) -> Self {
        let time =
            |time: nfs3::NfsTime| NfsTime { seconds: time.seconds.into(), nanoseconds: time.nanoseconds };
        Self {
            file_type: FileType::from_u32(given.file_type.number()).expect("NFSv4 has all types of NFSv3"),
            size: given.size,
            space: given.used,
            file_id: given.file_id,
            mode: given.mode,
            links: given.links,
            owner: given.uid.to_string(),
            group: given.gid.to_string(),
            accessed: time(given.time_access),
            modified: time(given.time_modify),
            changed: time(given.time_metadata),
        }
    }
}

/// A handle that NFSv3 can carry: one from there can.
fn short(handle: FileHandle) -> Result<nfs3::FileHandle> {
    nfs3::FileHandle::new(handle.as_bytes()).ok_or(Error::Malformed(XdrError::Bound))
}

fn unopened(handle: FileHandle) -> OpenFile {
    OpenFile { handle, stateid: Stateid::ANONYMOUS }
}

fn time_to_set(time: Option<&SetTime>) -> nfs3::SetTime {
    match time {
        None => nfs3::SetTime::Keep,
        Some(SetTime::Server) => nfs3::SetTime::Server,
        Some(SetTime::Client(NfsTime { seconds, nanoseconds })) => {
            let seconds = (*seconds).clamp(0, u32::MAX.into()) as u32;
            nfs3::SetTime::Client(nfs3::NfsTime { seconds, nanoseconds: *nanoseconds })
        }
    }
}

/// What is in a directory. What an entry came without is asked for.
async fn list(client: &client3::Client, directory: nfs3::FileHandle) -> Result<Vec<(Vec<u8>, Details)>> {
    let mut entries = Vec::new();
    for entry in client.read_directory(directory).await? {
        if matches!(&entry.name[..], b"." | b"..") {
            continue;
        }
        let attributes = match entry.attributes {
            Some(attributes) => Some(attributes),
            None => described(client, directory, &entry).await?,
        };
        entries.extend(attributes.map(|given| (entry.name.to_vec(), Details::from(&given))));
    }
    Ok(entries)
}

/// The attributes of an entry that came without; `None` when it has gone.
async fn described(
    client: &client3::Client,
    directory: nfs3::FileHandle,
    entry: &client3::DirectoryEntry,
) -> Result<Option<nfs3::FileAttributes>> {
    let found = async {
        let handle = match entry.handle {
            Some(handle) => handle,
            None => client.lookup(directory, &entry.name).await?,
        };
        client.attributes(handle).await.map(Some)
    };
    match found.await {
        Err(error) if error.is_gone() => Ok(None),
        other => other,
    }
}
