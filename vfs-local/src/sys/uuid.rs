//! The UUID of a mounted file system: the FS_IOC_GETFSUUID request (kernel 6.9) and ext4's own (6.0).
//!
//! UNSAFETY: requests pass a pointer to a structure, and rustix knows neither.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

/// `_IOR(0x15, 0, struct fsuuid2)`.
const FS_IOC_GETFSUUID: libc::c_ulong = 0x8011_1500;
/// `_IOR('f', 44, struct fsuuid)`.
const EXT4_IOC_GETFSUUID: libc::c_ulong = 0x8008_662c;

/// `struct fsuuid2`.
#[repr(C)]
struct Generic {
    length: u8,
    uuid: [u8; 16],
}

/// `struct fsuuid` of ext4, with its flexible tail.
#[repr(C)]
struct Ext4 {
    length: u32,
    flags: u32,
    uuid: [u8; 16],
}

/// The UUID of the file system that `fd` (open for reading) is on, where it tells.
pub fn of(fd: impl AsFd) -> Option<[u8; 16]> {
    let number = fd.as_fd().as_raw_fd();
    let mut generic = Generic { length: 16, uuid: [0; 16] };
    // SAFETY: the structure is the one the request number stands for, and it lives over the call.
    if unsafe { libc::ioctl(number, FS_IOC_GETFSUUID, std::ptr::from_mut(&mut generic)) } == 0
        && generic.length == 16
    {
        return Some(generic.uuid).filter(|uuid| *uuid != [0; 16]);
    }
    let mut ext4 = Ext4 { length: 16, flags: 0, uuid: [0; 16] };
    // SAFETY: as above; the request says how much room there is behind the two words.
    if unsafe { libc::ioctl(number, EXT4_IOC_GETFSUUID, std::ptr::from_mut(&mut ext4)) } == 0 {
        return Some(ext4.uuid).filter(|uuid| *uuid != [0; 16]);
    }
    None
}
