//! What can be told of an object, and what of it a client may set.

use vfs::{Attributes, Capabilities, FileKind, Space, Time, Vfs};
use wire::nfs4::{
    self, Bitmap, ChangeAttributeType, FileHandle, FileType, Fsid, NfsTime, NumericOwner, Specdata, Status,
    attribute,
};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::handle::{HandleContent, PseudoId};
use crate::object::{Object, Place};
use crate::pseudo::PseudoTree;
use crate::server::Settings;

/// The file system id of the pseudo file system ("Penstock"); no storage uses it.
const PSEUDO_FSID: Fsid = Fsid { major: 0x5065_6e73_746f_636b, minor: 0 };

/// Attributes told to clients of NFSv4.1.
const SUPPORTED_MINOR_1: Bitmap = Bitmap::of(&[
    attribute::SUPPORTED_ATTRS,
    attribute::TYPE,
    attribute::FH_EXPIRE_TYPE,
    attribute::CHANGE,
    attribute::SIZE,
    attribute::LINK_SUPPORT,
    attribute::SYMLINK_SUPPORT,
    attribute::NAMED_ATTR,
    attribute::FSID,
    attribute::UNIQUE_HANDLES,
    attribute::LEASE_TIME,
    attribute::RDATTR_ERROR,
    attribute::ACLSUPPORT,
    attribute::CANSETTIME,
    attribute::CASE_INSENSITIVE,
    attribute::CASE_PRESERVING,
    attribute::CHOWN_RESTRICTED,
    attribute::FILEHANDLE,
    attribute::FILEID,
    attribute::FILES_AVAIL,
    attribute::FILES_FREE,
    attribute::FILES_TOTAL,
    attribute::HOMOGENEOUS,
    attribute::MAXFILESIZE,
    attribute::MAXLINK,
    attribute::MAXNAME,
    attribute::MAXREAD,
    attribute::MAXWRITE,
    attribute::MODE,
    attribute::NO_TRUNC,
    attribute::NUMLINKS,
    attribute::OWNER,
    attribute::OWNER_GROUP,
    attribute::RAWDEV,
    attribute::SPACE_AVAIL,
    attribute::SPACE_FREE,
    attribute::SPACE_TOTAL,
    attribute::SPACE_USED,
    attribute::TIME_ACCESS,
    attribute::TIME_ACCESS_SET,
    attribute::TIME_CREATE,
    attribute::TIME_DELTA,
    attribute::TIME_METADATA,
    attribute::TIME_MODIFY,
    attribute::TIME_MODIFY_SET,
    attribute::MOUNTED_ON_FILEID,
    attribute::SUPPATTR_EXCLCREAT,
]);

/// Attributes that NFSv4.2 adds.
const SUPPORTED_MINOR_2: Bitmap = Bitmap::of(&[
    attribute::CLONE_BLKSIZE,
    attribute::CHANGE_ATTR_TYPE,
    attribute::MODE_UMASK,
    attribute::XATTR_SUPPORT,
]);

/// Attributes a client may set here.
const SETTABLE: Bitmap = Bitmap::of(&[
    attribute::SIZE,
    attribute::MODE,
    attribute::OWNER,
    attribute::OWNER_GROUP,
    attribute::TIME_ACCESS_SET,
    attribute::TIME_MODIFY_SET,
    attribute::MODE_UMASK,
]);

/// Attributes that hold the verifier of an exclusive create, so that it survives with the file.
const HOLD_VERIFIER: Bitmap = Bitmap::of(&[attribute::TIME_ACCESS_SET, attribute::TIME_MODIFY_SET]);

/// Attributes that need the file system's space to be looked up.
const OF_SPACE: Bitmap = Bitmap::of(&[
    attribute::FILES_AVAIL,
    attribute::FILES_FREE,
    attribute::FILES_TOTAL,
    attribute::SPACE_AVAIL,
    attribute::SPACE_FREE,
    attribute::SPACE_TOTAL,
]);

/// Whether space has to be looked up to tell these attributes, which may take long.
pub fn wants_space(requested: &Bitmap) -> bool {
    !requested.intersection(&OF_SPACE).is_empty()
}

/// The attributes of a minor version.
pub fn supported(minor: u32) -> Bitmap {
    if minor >= 2 { SUPPORTED_MINOR_1.union(&SUPPORTED_MINOR_2) } else { SUPPORTED_MINOR_1 }
}

/// The attributes a client of a minor version may set.
pub fn settable(minor: u32) -> Bitmap {
    SETTABLE.intersection(&supported(minor))
}

/// The attributes a client may set while creating exclusively (RFC 8881 §5.8.1.14).
pub fn settable_in_exclusive_create(minor: u32) -> Bitmap {
    settable(minor).difference(&HOLD_VERIFIER)
}

/// All that is known of one object when its attributes are told.
pub struct Facts<'a> {
    settings: &'a Settings,
    minor: u32,
    object: Attributes,
    capabilities: Capabilities,
    space: Space,
    /// Only when it is to be told: sealing it costs as much as all the rest.
    handle: Option<FileHandle>,
    owner: NumericOwner,
    group: NumericOwner,
}

impl<'a> Facts<'a> {
    /// Looks up what is needed to tell the `requested` attributes of `object`.
    ///
    /// # Errors
    /// The storage's; `NFS4ERR_INVAL` for attributes that can only be set (RFC 8881 §18.7.3).
    pub async fn of<V: Vfs, E: Env + Backchannel>(
        compound: &'a Compound<V, E>,
        object: &Object<V>,
        requested: &Bitmap,
    ) -> Result<Facts<'a>, Failure> {
        if !requested.intersection(&nfs4::WRITE_ONLY).is_empty() {
            return Err(Status::Inval.into());
        }
        let handle = handle_if(requested, compound, || object.content());
        match object {
            Object::Pseudo(id) => {
                let attributes =
                    pseudo_attributes(&compound.request.exports.pseudo, *id).ok_or(Status::Stale)?;
                Ok(Self::new(compound, attributes, pseudo_capabilities(), Space::default(), handle))
            }
            Object::Node(place) => {
                let attributes = node_attributes(compound, place).await?;
                let space = if wants_space(requested) {
                    place.storage().space(&place.node, &place.identity).await?
                } else {
                    Space::default()
                };
                Ok(Self::new(compound, attributes, place.storage().capabilities(), space, handle))
            }
        }
    }

    /// The facts of a directory entry in the export of `place` for telling the `requested` attributes.
    pub fn of_entry<V: Vfs, E: Env + Backchannel>(
        compound: &'a Compound<V, E>,
        place: &Place<V>,
        attributes: Attributes,
        node: vfs::NodeHandle,
        space: Space,
        requested: &Bitmap,
    ) -> Facts<'a> {
        let handle = handle_if(requested, compound, || HandleContent::Node(place.export.settings.id, node));
        Self::new(compound, attributes, place.storage().capabilities(), space, handle)
    }

    fn new<V: Vfs, E: Env + Backchannel>(
        compound: &'a Compound<V, E>,
        object: Attributes,
        capabilities: Capabilities,
        space: Space,
        handle: Option<FileHandle>,
    ) -> Facts<'a> {
        Facts {
            settings: &compound.request.server.shared.settings,
            minor: compound.minor,
            owner: NumericOwner::new(object.uid),
            group: NumericOwner::new(object.gid),
            object,
            capabilities,
            space,
            handle,
        }
    }

    /// The attributes as they go on the wire; which of them go is the encoder's argument.
    pub fn tell(&self) -> nfs4::Attributes<'_> {
        let mut told = nfs4::Attributes::default();
        self.tell_object(&mut told);
        self.tell_file_system(&mut told);
        told
    }

    fn tell_object<'b>(&'b self, told: &mut nfs4::Attributes<'b>) {
        let object = &self.object;
        told.file_type = Some(file_type(object.kind));
        told.change = Some(object.change);
        told.size = Some(object.size_bytes);
        told.fsid = Some(Fsid { major: object.fsid.major, minor: object.fsid.minor });
        told.rdattr_error = Some(Status::Ok);
        told.filehandle = self.handle;
        told.fileid = Some(object.fileid);
        told.mode = Some(object.mode);
        told.numlinks = Some(object.links);
        told.owner = Some(self.owner.as_owner());
        told.owner_group = Some(self.group.as_owner());
        told.rawdev = Some(Specdata { major: object.device.0, minor: object.device.1 });
        told.space_used = Some(object.used_bytes);
        told.time_access = Some(time(object.accessed));
        told.time_create = object.created.map(time);
        told.time_metadata = Some(time(object.changed));
        told.time_modify = Some(time(object.modified));
        told.mounted_on_fileid = Some(object.mounted_on_fileid);
    }

    fn tell_file_system(&self, told: &mut nfs4::Attributes<'_>) {
        let Capabilities {
            file_bytes_max,
            name_bytes_max,
            links_max,
            xattr,
            clone_block_bytes,
            time_delta_ns,
            ..
        } = self.capabilities;
        let payload_max = u64::from(self.settings.payload_bytes_max);
        told.supported_attrs = Some(supported(self.minor));
        told.suppattr_exclcreat = Some(settable_in_exclusive_create(self.minor));
        // RFC 8881 §5.8.1.3 FH4_PERSISTENT.
        told.fh_expire_type = Some(0);
        told.link_support = Some(true);
        told.symlink_support = Some(true);
        told.named_attr = Some(false);
        told.unique_handles = Some(true);
        told.lease_time = Some(self.settings.lease_seconds);
        told.aclsupport = Some(0);
        told.cansettime = Some(true);
        told.case_insensitive = Some(false);
        told.case_preserving = Some(true);
        told.chown_restricted = Some(true);
        told.files_avail = Some(self.space.available_files);
        told.files_free = Some(self.space.free_files);
        told.files_total = Some(self.space.total_files);
        told.homogeneous = Some(true);
        told.maxfilesize = Some(file_bytes_max);
        told.maxlink = Some(links_max);
        told.maxname = Some(name_bytes_max);
        told.maxread = Some(payload_max);
        told.maxwrite = Some(payload_max);
        told.no_trunc = Some(true);
        told.space_avail = Some(self.space.available_bytes);
        told.space_free = Some(self.space.free_bytes);
        told.space_total = Some(self.space.total_bytes);
        told.time_delta = Some(NfsTime {
            seconds: (time_delta_ns / 1_000_000_000) as i64,
            nanoseconds: (time_delta_ns % 1_000_000_000) as u32,
        });
        told.clone_blksize = Some(clone_block_bytes);
        told.change_attr_type = Some(ChangeAttributeType::MonotonicIncrement);
        told.xattr_support = Some(xattr);
    }
}

/// The file handle of what `content` names, if it is requested.
fn handle_if<V: Vfs, E: Env + Backchannel>(
    requested: &Bitmap,
    compound: &Compound<V, E>,
    content: impl FnOnce() -> HandleContent,
) -> Option<FileHandle> {
    let key = &compound.request.server.shared.handle_key;
    requested.get(attribute::FILEHANDLE).then(|| key.seal(&content()))
}

/// The attributes of an export's object; at the export's root with the place it is mounted on.
async fn node_attributes<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
) -> Result<Attributes, Failure> {
    let storage = place.storage();
    let mut attributes = storage.attributes(&place.node).await?;
    if storage.handle(&place.node) == storage.handle(&storage.root())
        && let Some(fileid) = compound.request.exports.pseudo.mounted_on_fileid(place.export.settings.id)
    {
        attributes.mounted_on_fileid = fileid;
    }
    Ok(attributes)
}

/// The attributes of a pseudo directory: everybody may look, nobody may change.
pub fn pseudo_attributes(tree: &PseudoTree, id: PseudoId) -> Option<Attributes> {
    let directory = tree.directory(id)?;
    let epoch = Time { seconds: 0, nanoseconds: 0 };
    Some(Attributes {
        kind: FileKind::Directory,
        mode: 0o555,
        links: 2 + directory.entries.len() as u32,
        uid: 0,
        gid: 0,
        device: (0, 0),
        size_bytes: directory.entries.len() as u64,
        used_bytes: 0,
        fsid: vfs::Fsid { major: PSEUDO_FSID.major, minor: PSEUDO_FSID.minor },
        fileid: id.0,
        mounted_on_fileid: id.0,
        accessed: epoch,
        modified: epoch,
        changed: epoch,
        created: None,
        change: tree.change,
    })
}

fn pseudo_capabilities() -> Capabilities {
    Capabilities {
        fsid: vfs::Fsid { major: PSEUDO_FSID.major, minor: PSEUDO_FSID.minor },
        file_bytes_max: i64::MAX as u64,
        name_bytes_max: crate::name::NAME_BYTES_MAX as u32,
        links_max: u32::MAX,
        xattr: false,
        clone_block_bytes: 0,
        holes: false,
        time_delta_ns: 1,
    }
}

/// What a kind of object is called on the wire.
pub fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::Regular => FileType::Regular,
        FileKind::Directory => FileType::Directory,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::CharacterDevice => FileType::CharacterDevice,
        FileKind::Symlink => FileType::SymbolicLink,
        FileKind::Socket => FileType::Socket,
        FileKind::Fifo => FileType::Fifo,
    }
}

fn time(time: Time) -> NfsTime {
    NfsTime { seconds: time.seconds, nanoseconds: time.nanoseconds }
}
