//! File handles, names and directories (RFC 8881 §18.4, §18.9, §18.13, §18.19, §18.24 to §18.26).

use super::{Bitmap, ChangeInfo, FileHandle, RawAttributes, Specdata};
use crate::xdr::{Opaque, xdr_struct, xdr_union};

/// Longest name decoded, in bytes. Far above what a file system takes, so that a name that is merely too
/// long is answered NAMETOOLONG and not BADXDR; names are borrowed, so the bound costs nothing.
pub const COMPONENT_MAX: usize = 64 * 1024;
/// Longest symbolic link target decoded, in bytes; the same reasoning.
pub const LINK_TEXT_MAX: usize = 64 * 1024;

/// One name (`component4`), as bytes.
pub type Component<'a> = Opaque<'a, COMPONENT_MAX>;

xdr_struct! {
/// Arguments of PUTFH (RFC 8881 §18.19).
#[derive(Copy)]
pub struct PutFhArgs = "PUTFH4args" {
    object: FileHandle = "object",
}
}

xdr_struct! {
/// Result of GETFH (RFC 8881 §18.8).
#[derive(Copy)]
pub struct GetFhResult = "GETFH4resok" {
    object: FileHandle = "object",
}
}

xdr_struct! {
/// Arguments of LOOKUP (RFC 8881 §18.13).
#[derive(Copy)]
pub struct LookupArgs<'a> = "LOOKUP4args" {
    name: Component<'a> = "objname",
}
}

xdr_struct! {
/// Arguments of LINK (RFC 8881 §18.9).
#[derive(Copy)]
pub struct LinkArgs<'a> = "LINK4args" {
    new_name: Component<'a> = "newname",
}
}

xdr_struct! {
/// Result of LINK.
pub struct LinkResult = "LINK4resok" {
    change_info: ChangeInfo = "cinfo",
}
}

xdr_struct! {
/// Arguments of REMOVE (RFC 8881 §18.25).
#[derive(Copy)]
pub struct RemoveArgs<'a> = "REMOVE4args" {
    target: Component<'a> = "target",
}
}

xdr_struct! {
/// Result of REMOVE.
pub struct RemoveResult = "REMOVE4resok" {
    change_info: ChangeInfo = "cinfo",
}
}

xdr_struct! {
/// Arguments of RENAME (RFC 8881 §18.26).
#[derive(Copy)]
pub struct RenameArgs<'a> = "RENAME4args" {
    old_name: Component<'a> = "oldname",
    new_name: Component<'a> = "newname",
}
}

xdr_struct! {
/// Result of RENAME.
pub struct RenameResult = "RENAME4resok" {
    source_change_info: ChangeInfo = "source_cinfo",
    target_change_info: ChangeInfo = "target_cinfo",
}
}

xdr_union! {
/// What CREATE makes. Regular files are made by OPEN; a type that cannot be made is answered BADTYPE.
pub union CreateType<'a> = "createtype4" {
    case 2 "NF4DIR" => Directory,
    case 3 "NF4BLK" => BlockDevice(Specdata),
    case 4 "NF4CHR" => CharacterDevice(Specdata),
    case 5 "NF4LNK" => SymbolicLink(Opaque<'a, LINK_TEXT_MAX>),
    case 6 "NF4SOCK" => Socket,
    case 7 "NF4FIFO" => Fifo,
    default => Other,
}
}

xdr_struct! {
/// Arguments of CREATE (RFC 8881 §18.4).
pub struct CreateArgs<'a> = "CREATE4args" {
    object_type: CreateType<'a> = "objtype",
    name: Component<'a> = "objname",
    attributes: RawAttributes<'a> = "createattrs",
}
}

xdr_struct! {
/// Result of CREATE.
pub struct CreateResult = "CREATE4resok" {
    change_info: ChangeInfo = "cinfo",
    attributes_set: Bitmap = "attrset",
}
}

xdr_struct! {
/// Result of READLINK (RFC 8881 §18.24).
pub struct ReadLinkResult<'a> = "READLINK4resok" {
    link: Opaque<'a, LINK_TEXT_MAX> = "link",
}
}
