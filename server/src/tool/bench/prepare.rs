//! Making ready what the workloads work on, and removing it.

use std::rc::Rc;

use bytes::Bytes;
use client::Files;
use engine::Shard;
use wire::nfs4::{FileHandle, FileType, Status};

use super::arguments::BenchArguments;
use super::plan::{MAKING_DEPTH, Plan, Prepared};
use super::target::{DIRECTORY_MODE, FILE_MODE, name};
use super::workload::Workload;
use crate::fatal::Fatal;
use crate::tool::MOUNT_PORT_REMEDY;
use crate::tool::remote::reason;
use crate::tool::unit::bytes_text;

/// Where everything is made, below the directory of the URL.
pub const BASE: &str = "penstock-bench";

/// Most bytes of one WRITE while files are filled.
const CHUNK_BYTES: u64 = 1 << 20;

/// The name of the file with this index.
pub fn file_name(index: usize) -> String {
    format!("file.{index}")
}

/// Makes directories and files, as far as they are missing.
///
/// # Errors
/// What went wrong, with the path and the remedy.
pub async fn prepare(shard: &Shard, files: &Files, plan: &Plan) -> Result<Prepared, Fatal> {
    let arguments = &plan.arguments;
    let mix = &arguments.workload;
    let directory = find_directory(files, arguments).await?;
    check_size(files, arguments)?;
    let told = |what: &str| {
        let what = format!("{what} in {}", arguments.url);
        move |error: client::Error| Fatal::new(format!("{what}: {}", reason(&error)), remedy(&error))
    };
    let base = ensure_directory(files, directory, BASE).await.map_err(told("cannot make penstock-bench"))?;
    let mut prepared = Prepared { base: Some(base), ..Prepared::default() };
    if mix.any(Workload::needs_files) {
        for index in 0..arguments.files as usize {
            let size = if mix.any(Workload::has_data) { arguments.file_size.0 } else { 0 };
            let handle = ensure_file(shard, files, base, index, size, arguments.quiet).await;
            prepared.files.push(handle.map_err(told("cannot fill a file"))?);
        }
    }
    if mix.any(Workload::needs_directory) {
        for thread in 0..arguments.threads as usize {
            let name = run_directory(thread);
            let made = files.create_directory(base, &name, DIRECTORY_MODE).await;
            prepared.directories.push(made.map_err(told("cannot make a directory"))?);
        }
    }
    if mix.any(|workload| workload == Workload::Remove) {
        make_names(shard, files, plan, &prepared).await.map_err(told("cannot make files to remove"))?;
    }
    Ok(prepared)
}

/// Removes what was made.
///
/// # Errors
/// As [`Files::lookup`].
pub async fn clean_up(shard: &Shard, files: &Files, plan: &Plan, prepared: &Prepared) -> client::Result<()> {
    let arguments = &plan.arguments;
    let Some(base) = prepared.base else { return Ok(()) };
    for (thread, directory) in prepared.directories.iter().enumerate() {
        empty(shard, files, *directory).await?;
        files.remove_directory(base, &run_directory(thread)).await?;
    }
    for handle in prepared.files.iter().filter(|_| arguments.keep && arguments.workload.any(Workload::writes))
    {
        files.commit(*handle).await?;
    }
    if !arguments.keep {
        empty(shard, files, base).await?;
        let directory = files.lookup(&arguments.url.path_bytes()).await?;
        files.remove_directory(directory, BASE).await?;
    }
    Ok(())
}

async fn find_directory(files: &Files, arguments: &BenchArguments) -> Result<FileHandle, Fatal> {
    let failed = |error: client::Error| {
        let (reason, remedy) = match error {
            client::Error::MountPort { .. } => (error.to_string(), MOUNT_PORT_REMEDY),
            _ => (reason(&error), "give a directory that is there, and that --uid may enter"),
        };
        Fatal::new(format!("{}: {reason}", arguments.url), remedy)
    };
    let handle = files.lookup(&arguments.url.path_bytes()).await.map_err(failed)?;
    let details = files.details(handle).await.map_err(failed)?;
    if details.file_type == FileType::Directory {
        return Ok(handle);
    }
    Err(Fatal::new(format!("{} is not a directory", arguments.url), "give the directory that it is in"))
}

/// Whether the server moves a block with one call.
fn check_size(files: &Files, arguments: &BenchArguments) -> Result<(), Fatal> {
    let block = arguments.block_size.0;
    let largest = u64::from(files.read_max().min(files.write_max()));
    if block <= largest || !arguments.workload.any(Workload::has_data) {
        return Ok(());
    }
    Err(Fatal::new(
        format!("--block-size {block}: the server reads and writes {largest} bytes at most with one call"),
        format!("give --block-size {} or less", largest / 4096 * 4096),
    ))
}

async fn ensure_directory(files: &Files, parent: FileHandle, name: &str) -> client::Result<FileHandle> {
    match files.create_directory(parent, name, DIRECTORY_MODE).await {
        Err(error) if error.status() == Some(Status::Exist) => files.lookup_in(parent, name).await,
        other => other,
    }
}

/// The file with this index, at least `size` bytes long.
async fn ensure_file(
    shard: &Shard,
    files: &Files,
    base: FileHandle,
    index: usize,
    size: u64,
    quiet: bool,
) -> client::Result<FileHandle> {
    let file = files.create(base, &file_name(index), FILE_MODE, false).await?;
    let has = files.details(file.handle).await?.size;
    if has < size {
        if !quiet {
            let bytes = bytes_text((size - has) as f64);
            crate::tool::tell(&format!("filling {BASE}/{} with {bytes}", file_name(index)));
        }
        let chunk = CHUNK_BYTES.min(files.write_max().into());
        let pattern: Bytes = (0..chunk).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 11) as u8).collect();
        let mut writes = Vec::new();
        for offset in (has..size).step_by(chunk as usize) {
            if writes.len() == MAKING_DEPTH {
                written(writes.remove(0)).await?;
            }
            let length = chunk.min(size - offset) as usize;
            let (files, data) = (files.clone(), pattern.slice(..length));
            writes.push(shard.spawn(async move { files.write(&file, offset, data).await }));
        }
        for write in writes {
            written(write).await?;
        }
        files.commit(file.handle).await?;
    } else if size > 0 {
        // What NFSv4's open would wait for, the grace period of a server that has just started, is over when this is answered.
        files.read(&file, 0, 1).await?;
    }
    files.close(&file).await?;
    Ok(file.handle)
}

async fn written(write: engine::JoinHandle<client::Result<wire::nfs4::WriteResult>>) -> client::Result<()> {
    write.await.expect("nobody aborts it").map(drop)
}

/// Makes the names that will be removed, in every thread's directory.
async fn make_names(shard: &Shard, files: &Files, plan: &Plan, prepared: &Prepared) -> client::Result<()> {
    let total = plan.arguments.operations.unwrap_or(0);
    let threads = u64::from(plan.arguments.threads);
    if !plan.arguments.quiet {
        crate::tool::tell(&format!("making {total} files to remove"));
    }
    let mut makers = Vec::new();
    for maker in 0..MAKING_DEPTH as u64 {
        let (files, directories) = (files.clone(), prepared.directories.clone());
        makers.push(shard.spawn(async move {
            for number in (maker..total).step_by(MAKING_DEPTH) {
                let directory = directories[(number % threads) as usize];
                let file = files.create(directory, &name(number / threads), FILE_MODE, false).await?;
                files.close(&file).await?;
            }
            client::Result::Ok(())
        }));
    }
    for maker in makers {
        maker.await.expect("nobody aborts it")?;
    }
    Ok(())
}

/// Removes everything in a directory: files, and directories that are empty.
async fn empty(shard: &Shard, files: &Files, directory: FileHandle) -> client::Result<()> {
    let entries = Rc::new(files.list(directory).await?);
    let mut removers = Vec::new();
    for remover in 0..MAKING_DEPTH {
        let (files, entries) = (files.clone(), Rc::clone(&entries));
        removers.push(shard.spawn(async move {
            for (name, details) in entries.iter().skip(remover).step_by(MAKING_DEPTH) {
                match details.file_type {
                    FileType::Directory => files.remove_directory(directory, name).await?,
                    _ => files.remove(directory, name).await?,
                }
            }
            client::Result::Ok(())
        }));
    }
    for remover in removers {
        remover.await.expect("nobody aborts it")?;
    }
    Ok(())
}

/// A directory that no other run makes.
fn run_directory(thread: usize) -> String {
    format!("run.{}.{thread}", std::process::id())
}

/// What to do about an error of the server's.
fn remedy(error: &client::Error) -> &'static str {
    match error.status() {
        Some(Status::Access | Status::Perm) => {
            "the caller may not write there: give --uid and --gid of one who may"
        }
        Some(Status::Rofs) => {
            "the export is read-only, or this is above all exports: choose another (penstock ls shows what there is)"
        }
        Some(Status::Nospc | Status::Dquot) => "no space: give a smaller --file-size or fewer --files",
        _ => "see the server's log",
    }
}
