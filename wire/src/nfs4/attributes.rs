//! Attributes (RFC 8881 §5 and §11.15, RFC 7862 §12, RFC 8275, RFC 8276 §8.2, RFC 9754).

use super::attribute_types::{
    ChangeAttributeType, ChangePolicy, FsLocations, FsStatus, LAYOUT_TYPES_MAX, ModeMasked, ModeUmask,
    OpenArguments, Owner, SetTime,
};
use super::{Bitmap, FileHandle, FileType, Fsid, NfsTime, Specdata, Status};
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, List, NoRoom, Opaque, xdr_constants, xdr_struct};

/// Longest `attrlist4` decoded, in bytes. The longest attribute a client sends is an ACL, which Linux keeps
/// below 64 KiB; the bytes are borrowed.
pub const ATTRIBUTE_LIST_MAX: usize = 256 * 1024;

xdr_constants! {
/// Attribute numbers.
pub mod attribute: u32 {
    SUPPORTED_ATTRS = 0 "FATTR4_SUPPORTED_ATTRS",
    TYPE = 1 "FATTR4_TYPE",
    FH_EXPIRE_TYPE = 2 "FATTR4_FH_EXPIRE_TYPE",
    CHANGE = 3 "FATTR4_CHANGE",
    SIZE = 4 "FATTR4_SIZE",
    LINK_SUPPORT = 5 "FATTR4_LINK_SUPPORT",
    SYMLINK_SUPPORT = 6 "FATTR4_SYMLINK_SUPPORT",
    NAMED_ATTR = 7 "FATTR4_NAMED_ATTR",
    FSID = 8 "FATTR4_FSID",
    UNIQUE_HANDLES = 9 "FATTR4_UNIQUE_HANDLES",
    LEASE_TIME = 10 "FATTR4_LEASE_TIME",
    RDATTR_ERROR = 11 "FATTR4_RDATTR_ERROR",
    ACL = 12 "FATTR4_ACL",
    ACLSUPPORT = 13 "FATTR4_ACLSUPPORT",
    ARCHIVE = 14 "FATTR4_ARCHIVE",
    CANSETTIME = 15 "FATTR4_CANSETTIME",
    CASE_INSENSITIVE = 16 "FATTR4_CASE_INSENSITIVE",
    CASE_PRESERVING = 17 "FATTR4_CASE_PRESERVING",
    CHOWN_RESTRICTED = 18 "FATTR4_CHOWN_RESTRICTED",
    FILEHANDLE = 19 "FATTR4_FILEHANDLE",
    FILEID = 20 "FATTR4_FILEID",
    FILES_AVAIL = 21 "FATTR4_FILES_AVAIL",
    FILES_FREE = 22 "FATTR4_FILES_FREE",
    FILES_TOTAL = 23 "FATTR4_FILES_TOTAL",
    FS_LOCATIONS = 24 "FATTR4_FS_LOCATIONS",
    HIDDEN = 25 "FATTR4_HIDDEN",
    HOMOGENEOUS = 26 "FATTR4_HOMOGENEOUS",
    MAXFILESIZE = 27 "FATTR4_MAXFILESIZE",
    MAXLINK = 28 "FATTR4_MAXLINK",
    MAXNAME = 29 "FATTR4_MAXNAME",
    MAXREAD = 30 "FATTR4_MAXREAD",
    MAXWRITE = 31 "FATTR4_MAXWRITE",
    MIMETYPE = 32 "FATTR4_MIMETYPE",
    MODE = 33 "FATTR4_MODE",
    NO_TRUNC = 34 "FATTR4_NO_TRUNC",
    NUMLINKS = 35 "FATTR4_NUMLINKS",
    OWNER = 36 "FATTR4_OWNER",
    OWNER_GROUP = 37 "FATTR4_OWNER_GROUP",
    QUOTA_AVAIL_HARD = 38 "FATTR4_QUOTA_AVAIL_HARD",
    QUOTA_AVAIL_SOFT = 39 "FATTR4_QUOTA_AVAIL_SOFT",
    QUOTA_USED = 40 "FATTR4_QUOTA_USED",
    RAWDEV = 41 "FATTR4_RAWDEV",
    SPACE_AVAIL = 42 "FATTR4_SPACE_AVAIL",
    SPACE_FREE = 43 "FATTR4_SPACE_FREE",
    SPACE_TOTAL = 44 "FATTR4_SPACE_TOTAL",
    SPACE_USED = 45 "FATTR4_SPACE_USED",
    SYSTEM = 46 "FATTR4_SYSTEM",
    TIME_ACCESS = 47 "FATTR4_TIME_ACCESS",
    TIME_ACCESS_SET = 48 "FATTR4_TIME_ACCESS_SET",
    TIME_BACKUP = 49 "FATTR4_TIME_BACKUP",
    TIME_CREATE = 50 "FATTR4_TIME_CREATE",
    TIME_DELTA = 51 "FATTR4_TIME_DELTA",
    TIME_METADATA = 52 "FATTR4_TIME_METADATA",
    TIME_MODIFY = 53 "FATTR4_TIME_MODIFY",
    TIME_MODIFY_SET = 54 "FATTR4_TIME_MODIFY_SET",
    MOUNTED_ON_FILEID = 55 "FATTR4_MOUNTED_ON_FILEID",
    DIR_NOTIF_DELAY = 56 "FATTR4_DIR_NOTIF_DELAY",
    DIRENT_NOTIF_DELAY = 57 "FATTR4_DIRENT_NOTIF_DELAY",
    DACL = 58 "FATTR4_DACL",
    SACL = 59 "FATTR4_SACL",
    CHANGE_POLICY = 60 "FATTR4_CHANGE_POLICY",
    FS_STATUS = 61 "FATTR4_FS_STATUS",
    FS_LAYOUT_TYPES = 62 "FATTR4_FS_LAYOUT_TYPES",
    LAYOUT_HINT = 63 "FATTR4_LAYOUT_HINT",
    LAYOUT_TYPES = 64 "FATTR4_LAYOUT_TYPES",
    LAYOUT_BLKSIZE = 65 "FATTR4_LAYOUT_BLKSIZE",
    LAYOUT_ALIGNMENT = 66 "FATTR4_LAYOUT_ALIGNMENT",
    FS_LOCATIONS_INFO = 67 "FATTR4_FS_LOCATIONS_INFO",
    MDSTHRESHOLD = 68 "FATTR4_MDSTHRESHOLD",
    RETENTION_GET = 69 "FATTR4_RETENTION_GET",
    RETENTION_SET = 70 "FATTR4_RETENTION_SET",
    RETENTEVT_GET = 71 "FATTR4_RETENTEVT_GET",
    RETENTEVT_SET = 72 "FATTR4_RETENTEVT_SET",
    RETENTION_HOLD = 73 "FATTR4_RETENTION_HOLD",
    MODE_SET_MASKED = 74 "FATTR4_MODE_SET_MASKED",
    SUPPATTR_EXCLCREAT = 75 "FATTR4_SUPPATTR_EXCLCREAT",
    FS_CHARSET_CAP = 76 "FATTR4_FS_CHARSET_CAP",
    CLONE_BLKSIZE = 77 "FATTR4_CLONE_BLKSIZE",
    SPACE_FREED = 78 "FATTR4_SPACE_FREED",
    CHANGE_ATTR_TYPE = 79 "FATTR4_CHANGE_ATTR_TYPE",
    SEC_LABEL = 80 "FATTR4_SEC_LABEL",
    MODE_UMASK = 81 "FATTR4_MODE_UMASK",
    XATTR_SUPPORT = 82 "FATTR4_XATTR_SUPPORT",
    OFFLINE = 83 "FATTR4_OFFLINE",
    TIME_DELEG_ACCESS = 84 "FATTR4_TIME_DELEG_ACCESS",
    TIME_DELEG_MODIFY = 85 "FATTR4_TIME_DELEG_MODIFY",
    OPEN_ARGUMENTS = 86 "FATTR4_OPEN_ARGUMENTS",
}
}

/// Attributes that can be set. A SETATTR of any other known one is answered INVAL.
pub const SETTABLE: Bitmap = Bitmap::of(&[
    attribute::SIZE,
    attribute::ACL,
    attribute::ARCHIVE,
    attribute::HIDDEN,
    attribute::MIMETYPE,
    attribute::MODE,
    attribute::OWNER,
    attribute::OWNER_GROUP,
    attribute::SYSTEM,
    attribute::TIME_ACCESS_SET,
    attribute::TIME_BACKUP,
    attribute::TIME_CREATE,
    attribute::TIME_MODIFY_SET,
    attribute::DIR_NOTIF_DELAY,
    attribute::DIRENT_NOTIF_DELAY,
    attribute::DACL,
    attribute::SACL,
    attribute::LAYOUT_HINT,
    attribute::RETENTION_SET,
    attribute::RETENTEVT_SET,
    attribute::RETENTION_HOLD,
    attribute::MODE_SET_MASKED,
    attribute::SEC_LABEL,
    attribute::MODE_UMASK,
    attribute::TIME_DELEG_ACCESS,
    attribute::TIME_DELEG_MODIFY,
]);

/// Attributes that can only be set. A GETATTR of one is answered INVAL.
pub const WRITE_ONLY: Bitmap = Bitmap::of(&[
    attribute::TIME_ACCESS_SET,
    attribute::TIME_MODIFY_SET,
    attribute::LAYOUT_HINT,
    attribute::RETENTION_SET,
    attribute::RETENTEVT_SET,
    attribute::MODE_SET_MASKED,
    attribute::MODE_UMASK,
]);

xdr_struct! {
/// Attributes as they came, not decoded yet: which ones, and their values in ascending order of number.
#[derive(Copy, Default)]
pub struct RawAttributes<'a> = "fattr4" {
    mask: Bitmap = "attrmask",
    values: Opaque<'a, ATTRIBUTE_LIST_MAX> = "attr_vals",
}
}

/// Why attributes cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeError {
    /// An attribute that is not known here: NFS4ERR_ATTRNOTSUPP. Its number, or `None` when it is beyond
    /// what [`Bitmap`] keeps.
    Unsupported(Option<u32>),
    /// The values are not what the mask says: NFS4ERR_BADXDR.
    Malformed(Error),
}

impl From<Error> for AttributeError {
    fn from(error: Error) -> Self {
        AttributeError::Malformed(error)
    }
}

impl From<AttributeError> for Status {
    fn from(error: AttributeError) -> Self {
        match error {
            AttributeError::Unsupported(_) => Status::Attrnotsupp,
            AttributeError::Malformed(_) => Status::Badxdr,
        }
    }
}

impl<'a> RawAttributes<'a> {
    /// Decodes the values.
    ///
    /// # Errors
    /// [`AttributeError`]. An unknown attribute comes before malformed values, for behind it nothing can be
    /// decoded.
    pub fn decode_values(&self) -> Result<Attributes<'a>, AttributeError> {
        let unknown = self.mask.difference(&Attributes::KNOWN);
        if !unknown.is_empty() {
            return Err(AttributeError::Unsupported(unknown.iter().next()));
        }
        let mut decoder = Decoder::new(self.values.bytes());
        let mut attributes = Attributes::default();
        for number in self.mask.iter() {
            attributes.decode_one(number, &mut decoder)?;
        }
        decoder.finish()?;
        Ok(attributes)
    }
}

macro_rules! attributes {
    ($life:lifetime; $($number:literal $wire:literal $field:ident: $type:ty,)*) => {
        /// Values of attributes, each there or not. It holds every attribute that a server without ACLs,
        /// labels, quotas and retention can give.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Attributes<$life> {
            $(#[doc = concat!("`", $wire, "`, attribute ", $number)] pub $field: Option<$type>,)*
        }

        impl<$life> Attributes<$life> {
            /// The attributes that have a field here.
            pub const KNOWN: Bitmap = Bitmap::of(&[$($number),*]);

            /// The attributes that have a value.
            pub fn present(&self) -> Bitmap {
                let mut present = Bitmap::EMPTY;
                $(if self.$field.is_some() { present.set($number); })*
                present
            }

            fn encode_one(&self, number: u32, encoder: &mut Encoder) -> Result<(), NoRoom> {
                match number {
                    $($number => self.$field.as_ref().map_or(Ok(()), |value| encoder.put(value)),)*
                    _ => Ok(()),
                }
            }

            fn decode_one(&mut self, number: u32, decoder: &mut Decoder<$life>) -> Result<(), Error> {
                match number {
                    $($number => self.$field = Some(decoder.get()?),)*
                    _ => return Err(Error::Value),
                }
                Ok(())
            }
        }

        /// Number, published name and type here of every attribute in [`Attributes`].
        pub const ATTRIBUTE_FIELDS: &[(u32, &str, &str)] = &[$(($number, $wire, stringify!($type)),)*];
    };
}

attributes! {
    'a;
    0 "FATTR4_SUPPORTED_ATTRS" supported_attrs: Bitmap,
    1 "FATTR4_TYPE" file_type: FileType,
    2 "FATTR4_FH_EXPIRE_TYPE" fh_expire_type: u32,
    3 "FATTR4_CHANGE" change: u64,
    4 "FATTR4_SIZE" size: u64,
    5 "FATTR4_LINK_SUPPORT" link_support: bool,
    6 "FATTR4_SYMLINK_SUPPORT" symlink_support: bool,
    7 "FATTR4_NAMED_ATTR" named_attr: bool,
    8 "FATTR4_FSID" fsid: Fsid,
    9 "FATTR4_UNIQUE_HANDLES" unique_handles: bool,
    10 "FATTR4_LEASE_TIME" lease_time: u32,
    11 "FATTR4_RDATTR_ERROR" rdattr_error: Status,
    13 "FATTR4_ACLSUPPORT" aclsupport: u32,
    15 "FATTR4_CANSETTIME" cansettime: bool,
    16 "FATTR4_CASE_INSENSITIVE" case_insensitive: bool,
    17 "FATTR4_CASE_PRESERVING" case_preserving: bool,
    18 "FATTR4_CHOWN_RESTRICTED" chown_restricted: bool,
    19 "FATTR4_FILEHANDLE" filehandle: FileHandle,
    20 "FATTR4_FILEID" fileid: u64,
    21 "FATTR4_FILES_AVAIL" files_avail: u64,
    22 "FATTR4_FILES_FREE" files_free: u64,
    23 "FATTR4_FILES_TOTAL" files_total: u64,
    24 "FATTR4_FS_LOCATIONS" fs_locations: FsLocations<'a>,
    26 "FATTR4_HOMOGENEOUS" homogeneous: bool,
    27 "FATTR4_MAXFILESIZE" maxfilesize: u64,
    28 "FATTR4_MAXLINK" maxlink: u32,
    29 "FATTR4_MAXNAME" maxname: u32,
    30 "FATTR4_MAXREAD" maxread: u64,
    31 "FATTR4_MAXWRITE" maxwrite: u64,
    33 "FATTR4_MODE" mode: u32,
    34 "FATTR4_NO_TRUNC" no_trunc: bool,
    35 "FATTR4_NUMLINKS" numlinks: u32,
    36 "FATTR4_OWNER" owner: Owner<'a>,
    37 "FATTR4_OWNER_GROUP" owner_group: Owner<'a>,
    41 "FATTR4_RAWDEV" rawdev: Specdata,
    42 "FATTR4_SPACE_AVAIL" space_avail: u64,
    43 "FATTR4_SPACE_FREE" space_free: u64,
    44 "FATTR4_SPACE_TOTAL" space_total: u64,
    45 "FATTR4_SPACE_USED" space_used: u64,
    47 "FATTR4_TIME_ACCESS" time_access: NfsTime,
    48 "FATTR4_TIME_ACCESS_SET" time_access_set: SetTime,
    50 "FATTR4_TIME_CREATE" time_create: NfsTime,
    51 "FATTR4_TIME_DELTA" time_delta: NfsTime,
    52 "FATTR4_TIME_METADATA" time_metadata: NfsTime,
    53 "FATTR4_TIME_MODIFY" time_modify: NfsTime,
    54 "FATTR4_TIME_MODIFY_SET" time_modify_set: SetTime,
    55 "FATTR4_MOUNTED_ON_FILEID" mounted_on_fileid: u64,
    60 "FATTR4_CHANGE_POLICY" change_policy: ChangePolicy,
    61 "FATTR4_FS_STATUS" fs_status: FsStatus<'a>,
    62 "FATTR4_FS_LAYOUT_TYPES" fs_layout_types: List<u32, LAYOUT_TYPES_MAX>,
    65 "FATTR4_LAYOUT_BLKSIZE" layout_blksize: u32,
    74 "FATTR4_MODE_SET_MASKED" mode_set_masked: ModeMasked,
    75 "FATTR4_SUPPATTR_EXCLCREAT" suppattr_exclcreat: Bitmap,
    76 "FATTR4_FS_CHARSET_CAP" fs_charset_cap: u32,
    77 "FATTR4_CLONE_BLKSIZE" clone_blksize: u32,
    78 "FATTR4_SPACE_FREED" space_freed: u64,
    79 "FATTR4_CHANGE_ATTR_TYPE" change_attr_type: ChangeAttributeType,
    81 "FATTR4_MODE_UMASK" mode_umask: ModeUmask,
    82 "FATTR4_XATTR_SUPPORT" xattr_support: bool,
    83 "FATTR4_OFFLINE" offline: bool,
    84 "FATTR4_TIME_DELEG_ACCESS" time_deleg_access: NfsTime,
    85 "FATTR4_TIME_DELEG_MODIFY" time_deleg_modify: NfsTime,
    86 "FATTR4_OPEN_ARGUMENTS" open_arguments: OpenArguments,
}

impl Attributes<'_> {
    /// Writes, as a fattr4, those of `requested` that have a value.
    ///
    /// # Errors
    /// [`NoRoom`]; part may have been written.
    pub fn encode(&self, requested: &Bitmap, encoder: &mut Encoder) -> Result<(), NoRoom> {
        let given = requested.intersection(&self.present());
        encoder.put(&given)?;
        let length_at = encoder.position();
        encoder.put_u32(0)?;
        let start = encoder.position();
        for number in given.iter() {
            self.encode_one(number, encoder)?;
        }
        let length = u32::try_from(encoder.position() - start).map_err(|_| NoRoom)?;
        encoder.patch_u32(length_at, length);
        Ok(())
    }
}

/// Writes all attributes that have a value.
impl Encode for Attributes<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        Attributes::encode(self, &self.present(), encoder)
    }
}

/// Reads a fattr4; for receivers that need not tell an unknown attribute from malformed bytes.
impl<'a> Decode<'a> for Attributes<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let raw: RawAttributes<'a> = decoder.get()?;
        raw.decode_values().map_err(|error| match error {
            AttributeError::Unsupported(_) => Error::Value,
            AttributeError::Malformed(error) => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn encoded(attributes: &Attributes<'_>, requested: &Bitmap) -> Vec<u8> {
        let mut encoder = Encoder::new(BytesMut::new(), 4096);
        attributes.encode(requested, &mut encoder).unwrap();
        encoder.finish().head.to_vec()
    }

    #[test]
    fn values_come_in_ascending_order_and_only_those_asked_for() {
        let attributes = Attributes {
            mode: Some(0o644),
            size: Some(5),
            file_type: Some(FileType::Regular),
            xattr_support: Some(true),
            ..Attributes::default()
        };
        let requested = Bitmap::of(&[attribute::MODE, attribute::SIZE, attribute::OWNER]);
        let expected = [
            [0, 0, 0, 2],
            [0, 0, 0, 16],
            [0, 0, 0, 2],
            [0, 0, 0, 12],
            [0; 4],
            [0, 0, 0, 5],
            [0, 0, 1, 0o244],
        ];
        assert_eq!(encoded(&attributes, &requested), expected.concat());
        let bytes = encoded(&attributes, &attributes.present());
        assert_eq!(Decoder::new(&bytes).get(), Ok(attributes));
    }

    #[test]
    fn unknown_and_malformed_are_told_apart() {
        let raw = |numbers: &[u32], values: &'static [u8]| RawAttributes {
            mask: Bitmap::of(numbers),
            values: values.into(),
        };
        let status = |raw: RawAttributes<'_>| raw.decode_values().map_err(Status::from).unwrap_err();
        assert_eq!(status(raw(&[attribute::MODE, attribute::ACL], &[0; 4])), Status::Attrnotsupp);
        assert_eq!(status(raw(&[attribute::MODE], &[0; 8])), Status::Badxdr);
        assert_eq!(status(raw(&[attribute::SIZE], &[0; 4])), Status::Badxdr);
        assert_eq!(status(raw(&[attribute::TYPE], &[0; 4])), Status::Badxdr);
        assert_eq!(raw(&[], &[]).decode_values(), Ok(Attributes::default()));
    }
}
