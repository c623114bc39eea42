//! MOUNT (RFC 1813 §5).

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use wire::{
    mount3::{self, MountOutcome, PROGRAM, Path, Procedure, VERSION},
    nfs3::FileHandle,
    xdr::{Decode, Decoder, Encode, Encoder},
};

use super::Client;
use crate::{Error, Result, channel::CALL_MAX, reply::results};

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its path.
    pub directory: String,
    /// Who may mount it; everybody, when there are none.
    pub groups: Vec<String>,
}

impl Client {
    /// MNT: the handle of a path on the server.
    ///
    /// # Errors
    /// [`Error::Mount`], and as [`Client::call`].
    pub async fn mount(&self, path: impl AsRef<[u8]>) -> Result<FileHandle> {
        let reply = self.call_mount(Procedure::Mnt, Path::from(path.as_ref())).await?;
        let outcome: MountOutcome = results(&reply)?.get()?;
        let error = |status| Error::Mount { path: text(path.as_ref()), status, exports: Vec::new() };
        Ok(outcome.map_err(error)?.handle)
    }

    /// UMNT: the server may forget that the path was mounted.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn unmount(&self, path: impl AsRef<[u8]>) -> Result<()> {
        self.call_mount(Procedure::Umnt, Path::from(path.as_ref())).await.map(drop)
    }

    /// EXPORT: what can be mounted.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn exports(&self) -> Result<Vec<Export>> {
        let reply = self.call_mount(Procedure::Export, ()).await?;
        all(results(&reply)?, |export: mount3::Export<'_>| Export {
            directory: text(export.directory.bytes()),
            groups: export.groups.iter().map(|group| text(group.bytes())).collect(),
        })
    }

    /// DUMP: which hosts have mounted what, as far as the server remembers it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn mounts(&self) -> Result<Vec<(String, String)>> {
        let reply = self.call_mount(Procedure::Dump, ()).await?;
        all(results(&reply)?, |mount: mount3::Mount<'_>| {
            (text(mount.host.bytes()), text(mount.directory.bytes()))
        })
    }

    async fn call_mount(&self, procedure: Procedure, arguments: impl Encode) -> Result<Bytes> {
        let mut encoder = Encoder::new(BytesMut::new(), CALL_MAX);
        encoder.put(&arguments).expect("arguments within their bound");
        let received = self.mount.call((PROGRAM, VERSION, procedure.number()), &encoder, None).await;
        let answered = received.and_then(|received| results(&received).map(drop).map(|()| received));
        let is_of_nfs = Rc::ptr_eq(&self.mount, &self.nfs);
        answered.map_err(|error| {
            if is_of_nfs && !matches!(error, Error::Refused(_)) {
                return error;
            }
            let port = self.mount.origin().address.port();
            Error::MountPort { port, error: Box::new(error) }
        })
    }
}

/// A list's items.
fn all<'a, T: Decode<'a>, O>(mut reader: Decoder<'a>, own: impl Fn(T) -> O) -> Result<Vec<O>> {
    let mut items = Vec::new();
    while let Some(item) = reader.get()? {
        items.push(own(item));
    }
    Ok(items)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
