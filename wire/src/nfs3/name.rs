//! Names, and what is made, moved and removed by name (RFC 1813 §3.3.3, §3.3.5, §3.3.8 to §3.3.15).

use super::{FileHandle, PostOpAttributes, PostOpHandle, SetAttributes, Specdata, Verifier, WccData};
use crate::nfs4::{Component, LINK_TEXT_MAX};
use crate::xdr::{Opaque, xdr_struct, xdr_union};

/// What a symbolic link says (`nfspath3`), as bytes. Bounded as in NFSv4, and for the same reason.
pub type LinkText<'a> = Opaque<'a, LINK_TEXT_MAX>;

xdr_struct! {
/// A name in a directory.
#[derive(Copy)]
pub struct DirOpArgs<'a> = "diropargs3" {
    directory: FileHandle = "dir",
    name: Component<'a> = "name",
}
}

xdr_struct! {
/// Arguments of LOOKUP (RFC 1813 §3.3.3).
#[derive(Copy)]
pub struct LookupArgs<'a> = "LOOKUP3args" {
    what: DirOpArgs<'a> = "what",
}
}

xdr_struct! {
/// Result of LOOKUP.
#[derive(Copy)]
pub struct LookupResult = "LOOKUP3resok" {
    object: FileHandle = "object",
    attributes: PostOpAttributes = "obj_attributes",
    directory_attributes: PostOpAttributes = "dir_attributes",
}
}

xdr_struct! {
/// Arguments of READLINK (RFC 1813 §3.3.5).
#[derive(Copy)]
pub struct ReadLinkArgs = "READLINK3args" {
    link: FileHandle = "symlink",
}
}

xdr_struct! {
/// Result of READLINK.
#[derive(Copy)]
pub struct ReadLinkResult<'a> = "READLINK3resok" {
    attributes: PostOpAttributes = "symlink_attributes",
    link: LinkText<'a> = "data",
}
}

xdr_union! {
/// How CREATE treats a file that exists.
#[derive(Copy)]
pub union CreateHow = "createhow3" {
    /// Whether it exists or not.
    case 0 "UNCHECKED" => Unchecked(SetAttributes),
    /// It must not.
    case 1 "GUARDED" => Guarded(SetAttributes),
    /// It must not, unless a call with this verifier made it.
    case 2 "EXCLUSIVE" => Exclusive(Verifier),
}
}

xdr_struct! {
/// Arguments of CREATE (RFC 1813 §3.3.8).
#[derive(Copy)]
pub struct CreateArgs<'a> = "CREATE3args" {
    place: DirOpArgs<'a> = "where",
    how: CreateHow = "how",
}
}

xdr_struct! {
/// Result of CREATE, MKDIR, SYMLINK and MKNOD.
#[derive(Copy)]
pub struct CreateResult = "CREATE3resok" {
    object: PostOpHandle = "obj",
    attributes: PostOpAttributes = "obj_attributes",
    directory_wcc: WccData = "dir_wcc",
}
}

xdr_struct! {
/// Arguments of MKDIR (RFC 1813 §3.3.9).
#[derive(Copy)]
pub struct MkdirArgs<'a> = "MKDIR3args" {
    place: DirOpArgs<'a> = "where",
    attributes: SetAttributes = "attributes",
}
}

xdr_struct! {
/// A symbolic link to be made.
#[derive(Copy)]
pub struct SymlinkData<'a> = "symlinkdata3" {
    attributes: SetAttributes = "symlink_attributes",
    link: LinkText<'a> = "symlink_data",
}
}

xdr_struct! {
/// Arguments of SYMLINK (RFC 1813 §3.3.10).
#[derive(Copy)]
pub struct SymlinkArgs<'a> = "SYMLINK3args" {
    place: DirOpArgs<'a> = "where",
    symlink: SymlinkData<'a> = "symlink",
}
}

xdr_struct! {
/// A device to be made.
#[derive(Copy)]
pub struct DeviceData = "devicedata3" {
    attributes: SetAttributes = "dev_attributes",
    device: Specdata = "spec",
}
}

xdr_union! {
/// What MKNOD makes; a type that it cannot make is answered BADTYPE.
#[derive(Copy)]
pub union MknodData = "mknoddata3" {
    case 3 "NF3BLK" => BlockDevice(DeviceData),
    case 4 "NF3CHR" => CharacterDevice(DeviceData),
    case 6 "NF3SOCK" => Socket(SetAttributes),
    case 7 "NF3FIFO" => Fifo(SetAttributes),
    default => Other,
}
}

xdr_struct! {
/// Arguments of MKNOD (RFC 1813 §3.3.11).
#[derive(Copy)]
pub struct MknodArgs<'a> = "MKNOD3args" {
    place: DirOpArgs<'a> = "where",
    what: MknodData = "what",
}
}

xdr_struct! {
/// Arguments of REMOVE (RFC 1813 §3.3.12).
#[derive(Copy)]
pub struct RemoveArgs<'a> = "REMOVE3args" {
    object: DirOpArgs<'a> = "object",
}
}

xdr_struct! {
/// Arguments of RMDIR (RFC 1813 §3.3.13).
#[derive(Copy)]
pub struct RmdirArgs<'a> = "RMDIR3args" {
    object: DirOpArgs<'a> = "object",
}
}

xdr_struct! {
/// Arguments of RENAME (RFC 1813 §3.3.14).
#[derive(Copy)]
pub struct RenameArgs<'a> = "RENAME3args" {
    from: DirOpArgs<'a> = "from",
    to: DirOpArgs<'a> = "to",
}
}

xdr_struct! {
/// Result of RENAME, and what its failure tells.
#[derive(Copy, Default)]
pub struct RenameResult = "RENAME3resok" {
    from_directory_wcc: WccData = "fromdir_wcc",
    to_directory_wcc: WccData = "todir_wcc",
}
}

xdr_struct! {
/// Arguments of LINK (RFC 1813 §3.3.15).
#[derive(Copy)]
pub struct LinkArgs<'a> = "LINK3args" {
    file: FileHandle = "file",
    link: DirOpArgs<'a> = "link",
}
}

xdr_struct! {
/// Result of LINK, and what its failure tells.
#[derive(Copy, Default)]
pub struct LinkResult = "LINK3resok" {
    attributes: PostOpAttributes = "file_attributes",
    directory_wcc: WccData = "linkdir_wcc",
}
}
