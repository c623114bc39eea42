//! The operations a compound is built of, by the names they have in prose.

use rpc::Bulk;
use wire::{
    nfs4::{
        AccessArgs, Arguments, Attributes, Bitmap, CloseArgs, CommitArgs, CreateArgs, CreateType, FileHandle,
        GetAttrArgs, LinkArgs, LookupArgs, OpenArgs, Operation, PutFhArgs, ReadArgs, ReadDirArgs, RemoveArgs,
        RenameArgs, SetAttrArgs, StableHow, Stateid, Verifier, WriteHead,
    },
    xdr::Encoder,
};

use crate::{Compound, OwnedAttributes};

impl Compound {
    /// PUTROOTFH.
    #[must_use]
    pub fn put_root(self) -> Self {
        self.operation(Arguments::Putrootfh)
    }

    /// PUTFH.
    #[must_use]
    pub fn put_handle(self, object: FileHandle) -> Self {
        self.operation(PutFhArgs { object })
    }

    /// GETFH.
    #[must_use]
    pub fn get_handle(self) -> Self {
        self.operation(Arguments::Getfh)
    }

    /// SAVEFH.
    #[must_use]
    pub fn save_handle(self) -> Self {
        self.operation(Arguments::Savefh)
    }

    /// RESTOREFH.
    #[must_use]
    pub fn restore_handle(self) -> Self {
        self.operation(Arguments::Restorefh)
    }

    /// LOOKUP.
    #[must_use]
    pub fn lookup(self, name: impl AsRef<[u8]>) -> Self {
        self.operation(LookupArgs { name: name.as_ref().into() })
    }

    /// LOOKUP of each component of a path; empty components are left out.
    #[must_use]
    pub fn lookup_path(self, path: impl AsRef<[u8]>) -> Self {
        let names = path.as_ref().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(self, Compound::lookup)
    }

    /// LOOKUPP.
    #[must_use]
    pub fn lookup_parent(self) -> Self {
        self.operation(Arguments::Lookupp)
    }

    /// GETATTR of these attribute numbers.
    #[must_use]
    pub fn get_attributes(self, numbers: &[u32]) -> Self {
        self.operation(GetAttrArgs { requested: Bitmap::of(numbers) })
    }

    /// SETATTR.
    #[must_use]
    pub fn set_attributes(self, stateid: Stateid, attributes: &Attributes<'_>) -> Self {
        let owned = OwnedAttributes::new(attributes);
        self.operation(SetAttrArgs { stateid, attributes: owned.as_raw() })
    }

    /// ACCESS.
    #[must_use]
    pub fn access(self, access: u32) -> Self {
        self.operation(AccessArgs { access })
    }

    /// OPEN.
    #[must_use]
    pub fn open(self, arguments: OpenArgs<'_>) -> Self {
        self.operation(arguments)
    }

    /// CLOSE.
    #[must_use]
    pub fn close(self, stateid: Stateid) -> Self {
        self.operation(CloseArgs { seqid: 0, stateid })
    }

    /// READ. The offset stands 12 bytes before the end.
    #[must_use]
    pub fn read(self, stateid: Stateid, offset: u64, count: u32) -> Self {
        self.operation(ReadArgs { stateid, offset, count })
    }

    /// WRITE of bytes that are copied into the message.
    #[must_use]
    pub fn write(self, stateid: Stateid, offset: u64, stable: StableHow, bytes: &[u8]) -> Self {
        self.encoded(|encoder| {
            begin_write(encoder);
            let head = WriteHead { stateid, offset, stable };
            head.encode_inline(encoder, bytes).expect("a compound within its bound");
        })
    }

    /// WRITE of bulk data, which is sent from where it lies. With a chain, which has one owner, the compound cannot be sent
    /// again when its connection breaks.
    #[must_use]
    pub fn write_bulk(self, stateid: Stateid, offset: u64, stable: StableHow, data: impl Into<Bulk>) -> Self {
        let data = data.into();
        let compound = self.encoded(|encoder| {
            begin_write(encoder);
            let head = WriteHead { stateid, offset, stable };
            head.encode_head(encoder, data.len()).expect("a compound within its bound");
        });
        compound.payload(data)
    }

    /// WRITE up to its bytes, which follow by other means: see [`Call::payload`](crate::pipeline::Call::payload).
    /// The offset stands 16 bytes before the end.
    #[must_use]
    pub fn write_announced(self, stateid: Stateid, offset: u64, stable: StableHow, length: u32) -> Self {
        self.encoded(|encoder| {
            begin_write(encoder);
            encoder.put(&stateid).expect("a compound within its bound");
            encoder.put_u64(offset).expect("a compound within its bound");
            encoder.put(&stable).expect("a compound within its bound");
            encoder.put_u32(length).expect("a compound within its bound");
        })
    }

    /// COMMIT of a range; a count of 0 reaches to the end of the file.
    #[must_use]
    pub fn commit(self, offset: u64, count: u32) -> Self {
        self.operation(CommitArgs { offset, count })
    }

    /// CREATE.
    #[must_use]
    pub fn create(
        self,
        object_type: CreateType<'_>,
        name: impl AsRef<[u8]>,
        attributes: &Attributes<'_>,
    ) -> Self {
        let owned = OwnedAttributes::new(attributes);
        self.operation(CreateArgs { object_type, name: name.as_ref().into(), attributes: owned.as_raw() })
    }

    /// REMOVE.
    #[must_use]
    pub fn remove(self, name: impl AsRef<[u8]>) -> Self {
        self.operation(RemoveArgs { target: name.as_ref().into() })
    }

    /// RENAME from the saved directory to the current one.
    #[must_use]
    pub fn rename(self, old_name: impl AsRef<[u8]>, new_name: impl AsRef<[u8]>) -> Self {
        self.operation(RenameArgs { old_name: old_name.as_ref().into(), new_name: new_name.as_ref().into() })
    }

    /// LINK of the saved object into the current directory.
    #[must_use]
    pub fn link(self, new_name: impl AsRef<[u8]>) -> Self {
        self.operation(LinkArgs { new_name: new_name.as_ref().into() })
    }

    /// READLINK.
    #[must_use]
    pub fn read_link(self) -> Self {
        self.operation(Arguments::Readlink)
    }

    /// READDIR with a reply of up to `count_max` bytes.
    #[must_use]
    pub fn read_directory(self, cookie: u64, verifier: Verifier, count_max: u32, numbers: &[u32]) -> Self {
        self.operation(ReadDirArgs {
            cookie,
            verifier,
            directory_count: 0,
            count_max,
            attributes: Bitmap::of(numbers),
        })
    }
}

fn begin_write(encoder: &mut Encoder) {
    encoder.put(&Operation::Write).expect("a compound within its bound");
}
