//! File system identity of the calling thread: setfsuid(2), setfsgid(2), setgroups(2).
//!
//! UNSAFETY: rustix lacks the first two. The raw calls are used because libc's setgroups acts on every thread
//! of the process.

#![allow(unsafe_code)]

/// Makes `uid` the thread's file system user. The kernel drops or restores the capabilities that override
/// file permissions along with it. Answers whether the thread now is `uid`.
pub fn set_file_system_user(uid: u32) -> bool {
    // SAFETY: the call takes a number and changes the calling thread's credentials only; the second one, with
    // an invalid id, changes nothing and answers the current value.
    unsafe {
        libc::syscall(libc::SYS_setfsuid, uid);
        libc::syscall(libc::SYS_setfsuid, -1) as u32 == uid
    }
}

/// Makes `gid` the thread's file system group. Answers whether it now is.
pub fn set_file_system_group(gid: u32) -> bool {
    // SAFETY: as above.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsgid, -1) as u32 == gid
    }
}

/// Makes `groups` the thread's supplementary groups.
pub fn set_groups(groups: &[u32]) -> bool {
    // SAFETY: the pointer and the count describe one slice, which the kernel only reads.
    unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0 }
}
