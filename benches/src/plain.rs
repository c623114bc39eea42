//! Plain loops of system calls with the durability an NFS server owes: what no server on the same file system can beat with one
//! operation at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags, fdatasync, fsync, mkdirat, open, openat, unlinkat};

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Operation {
    /// A new empty file.
    Create,
    /// A new directory.
    Mkdir,
    /// A file removed.
    Remove,
    /// 4 KiB written to a file and synced.
    Commit,
}

/// Does `operation` `count` times in a folder of its own below `folder`; answers operations per second. Names are durable when an
/// operation ends: its directory is synced, as RFC 8881 §18.4 and §18.25 want it before a reply.
///
/// # Errors
/// As the system calls.
pub fn per_second(folder: &Path, operation: Operation, count: u32) -> io::Result<f64> {
    let place = folder.join(format!("plain-{}", std::process::id()));
    std::fs::create_dir(&place)?;
    let directory = open(&place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let result = run(&directory, operation, count);
    std::fs::remove_dir_all(&place)?;
    result
}

fn run(directory: &OwnedFd, operation: Operation, count: u32) -> io::Result<f64> {
    if operation == Operation::Remove {
        (0..count).try_for_each(|number| create(directory, number).map(drop))?;
        fsync(directory)?;
    }
    let synced = create(directory, u32::MAX)?;
    let block = [7; 4096];
    let start = Instant::now();
    for number in 0..count {
        match operation {
            Operation::Create => drop(create(directory, number)?),
            Operation::Mkdir => mkdirat(directory, number.to_string(), Mode::from_raw_mode(0o755))?,
            Operation::Remove => unlinkat(directory, number.to_string(), AtFlags::empty())?,
            Operation::Commit => {
                rustix::io::pwrite(&synced, &block, u64::from(number) * 4096)?;
                fdatasync(&synced)?;
                continue;
            }
        }
        fsync(directory)?;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

fn create(directory: &OwnedFd, number: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(directory, number.to_string(), flags, Mode::from_raw_mode(0o644))?)
}
