//! Plain loops of system calls with the durability an NFS server owes: what no server on the same file system can beat with one
//! operation at a time.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags, fdatasync, fsync, mkdirat, open, openat, unlinkat};
use rustix::io::pwrite;

/// Files that are synced at the same time.
const FILES: u32 = 16;

/// Blocks of each such file, which are there before: what is timed changes no size, as with the load generator.
const BLOCKS: u32 = 256;

/// Bytes of a block.
const BLOCK_BYTES: usize = 4096;

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
    /// The same in 16 files at the same time, a thread for each.
    Commits,
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
    match operation {
        Operation::Commit => commits(directory, 1, count),
        Operation::Commits => commits(directory, FILES, count),
        _ => names(directory, operation, count),
    }
}

fn names(directory: &OwnedFd, operation: Operation, count: u32) -> io::Result<f64> {
    if operation == Operation::Remove {
        (0..count).try_for_each(|number| create(directory, number).map(drop))?;
        fsync(directory)?;
    }
    let start = Instant::now();
    for number in 0..count {
        match operation {
            Operation::Mkdir => mkdirat(directory, number.to_string(), Mode::from_raw_mode(0o755))?,
            Operation::Remove => unlinkat(directory, number.to_string(), AtFlags::empty())?,
            _ => drop(create(directory, number)?),
        }
        fsync(directory)?;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Writes and syncs `count` blocks, each file by a thread of its own.
fn commits(directory: &OwnedFd, files: u32, count: u32) -> io::Result<f64> {
    let made: io::Result<Vec<_>> = (0..files).map(|number| filled(directory, number)).collect();
    let (made, each) = (made?, count.div_ceil(files));
    let ready = Barrier::new(files as usize + 1);
    let commit_all = |file: &OwnedFd| {
        ready.wait();
        (0..each).try_for_each(|number| {
            write_block(file, number % BLOCKS)?;
            Ok(fdatasync(file)?)
        })
    };
    thread::scope(|scope| {
        let threads: Vec<_> = made.iter().map(|file| scope.spawn(|| commit_all(file))).collect();
        ready.wait();
        let start = Instant::now();
        let outcomes = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        outcomes.collect::<io::Result<Vec<()>>>()?;
        Ok(f64::from(each * files) / start.elapsed().as_secs_f64())
    })
}

fn filled(directory: &OwnedFd, number: u32) -> io::Result<OwnedFd> {
    let file = create(directory, number)?;
    (0..BLOCKS).try_for_each(|block| write_block(&file, block))?;
    fsync(&file)?;
    Ok(file)
}

fn write_block(file: &OwnedFd, block: u32) -> io::Result<()> {
    let offset = u64::from(block) * BLOCK_BYTES as u64;
    match pwrite(file, &[7; BLOCK_BYTES], offset)? {
        BLOCK_BYTES => Ok(()),
        _ => Err(io::Error::other("a block was not written to its end")),
    }
}

fn create(directory: &OwnedFd, number: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(directory, number.to_string(), flags, Mode::from_raw_mode(0o644))?)
}
