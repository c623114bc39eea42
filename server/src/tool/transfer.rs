//! Bytes of files to and from the server, several calls ahead.

use std::collections::VecDeque;
use std::io::{IsTerminal, Read, Write, stderr};

use bytes::Bytes;
use client::{Files, OpenFile};
use engine::JoinHandle;
use indicatif::{ProgressBar, ProgressStyle};
use wire::nfs4::{Attributes, FileHandle, NfsTime, SetTime, StableHow, Verifier, WriteResult};

use super::display::printable;
use super::location::Location;
use super::remote::{About, Failure, Outcome, Remote};

/// Calls in flight.
const WINDOW: usize = 8;

/// Most bytes of one call; the server may grant less.
const CHUNK_BYTES: u32 = 1 << 20;

/// Shorter files are over before a bar could be read.
const BAR_MIN_BYTES: u64 = 4 << 20;

/// Of a mode, what says who may read, write and execute.
pub const PERMISSIONS: u32 = 0o777;

/// What is kept of a file's attributes with `-p`.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Permissions; the bits by which a program acts as its owner or group are not kept, as the owner is not either.
    pub mode: u32,
    /// Last read.
    pub accessed: NfsTime,
    /// Last change.
    pub modified: NfsTime,
}

impl Kept {
    /// As they are set.
    pub fn attributes(&self) -> Attributes<'static> {
        Attributes {
            mode: Some(self.mode & PERMISSIONS),
            time_access_set: Some(SetTime::Client(self.accessed)),
            time_modify_set: Some(SetTime::Client(self.modified)),
            ..Attributes::default()
        }
    }
}

/// A file on the server that appears under its name only when it is complete.
pub struct Upload<'a> {
    remote: &'a Remote,
    directory: FileHandle,
    name: Vec<u8>,
    hidden: String,
    /// The file, open for writing.
    pub file: OpenFile,
    subject: Location,
}

/// A name that nobody can know before, for what is not complete.
pub fn hidden_name() -> String {
    let mut random = [0; 8];
    crate::environment::fill(&mut random);
    format!(".penstock.{:016x}", u64::from_ne_bytes(random))
}

impl<'a> Upload<'a> {
    /// Makes a file beside the one that is to be, under another name. Nobody but the caller may open it before it is
    /// complete.
    ///
    /// # Errors
    /// What the server says.
    pub async fn begin(
        remote: &'a Remote,
        directory: FileHandle,
        name: &[u8],
        subject: &Location,
    ) -> Outcome<Self> {
        let hidden = hidden_name();
        let file = remote.files().create(directory, &hidden, 0o600, true).await.about(subject)?;
        let (name, subject) = (name.to_owned(), subject.clone());
        Ok(Self { remote, directory, name, hidden, file, subject })
    }

    /// Gives it its attributes and its name, in the place of what had that name, if `written` says that all went well;
    /// removes it otherwise.
    ///
    /// # Errors
    /// What went wrong first.
    pub async fn end(self, written: Outcome<()>, attributes: &Attributes<'_>) -> Outcome<()> {
        let files = self.remote.files();
        let finished = match written {
            Ok(()) => self.finish(attributes).await,
            Err(failure) => {
                // The reason that it failed is worth more than that this fails too.
                let _ = files.close(&self.file).await;
                Err(failure)
            }
        };
        if finished.is_err() {
            let _ = files.remove(self.directory, &self.hidden).await;
        }
        finished
    }

    async fn finish(&self, attributes: &Attributes<'_>) -> Outcome<()> {
        let files = self.remote.files();
        let subject = &self.subject;
        files.set_attributes(self.file.handle, attributes).await.about(subject)?;
        files.close(&self.file).await.about(subject)?;
        files.rename(self.directory, &self.hidden, &self.name).await.about(subject)
    }

    /// Writes all that `source` has, and brings it to stable storage.
    ///
    /// # Errors
    /// What the source or the server says; also that the server has lost something meanwhile.
    pub async fn fill(&self, source: &mut dyn Read, bar: &Bar) -> Outcome<()> {
        let files = self.remote.files();
        let chunk = CHUNK_BYTES.min(files.write_max());
        let mut verifiers = Verifiers::default();
        let mut in_flight: VecDeque<(JoinHandle<_>, u64)> = VecDeque::new();
        let mut offset = 0;
        loop {
            self.remote.check_interrupt(&self.subject)?;
            let mut data = Vec::with_capacity(chunk as usize);
            Read::take(&mut *source, chunk.into()).read_to_end(&mut data).about("input")?;
            let length = data.len() as u64;
            if length > 0 {
                let task = write_all(files.clone(), self.file, offset, data.into());
                in_flight.push_back((self.remote.spawn(task), length));
                offset += length;
            }
            let is_last = length < u64::from(chunk);
            while !in_flight.is_empty() && (is_last || in_flight.len() >= WINDOW) {
                let (task, length) = in_flight.pop_front().expect("not empty");
                verifiers.note(task.await.expect("nobody aborts it").about(&self.subject)?);
                bar.add(length);
            }
            if is_last {
                break;
            }
        }
        let committed = files.commit(self.file.handle).await.about(&self.subject)?;
        if verifiers.agree_with(committed) {
            return Ok(());
        }
        Err(Failure::new(
            &self.subject,
            "the server started again and may have lost some of it: put it again",
        ))
    }
}

/// The server's verifiers: when they change, what was written and not committed may be lost (RFC 8881 §18.3).
#[derive(Default)]
struct Verifiers {
    of_unstable: Vec<Verifier>,
}

impl Verifiers {
    fn note(&mut self, written: WriteResult) {
        if written.committed == StableHow::Unstable && self.of_unstable.last() != Some(&written.verifier) {
            self.of_unstable.push(written.verifier);
        }
    }

    fn agree_with(&self, committed: Verifier) -> bool {
        self.of_unstable.iter().all(|verifier| *verifier == committed)
    }
}

/// Writes all of a chunk, which the server may take in several steps.
async fn write_all(
    files: Files,
    file: OpenFile,
    mut offset: u64,
    mut data: Bytes,
) -> client::Result<WriteResult> {
    loop {
        let written = files.write(&file, offset, data.clone()).await?;
        let count = (written.count as usize).min(data.len());
        if count == data.len() {
            return Ok(written);
        }
        if count == 0 {
            return Err(client::Error::Malformed(wire::xdr::Error::Value));
        }
        bytes::Buf::advance(&mut data, count);
        offset += count as u64;
    }
}

/// Reads a file from its start to its end into `sink`.
///
/// # Errors
/// What the server or the sink says.
pub async fn read_all(
    remote: &Remote,
    file: &OpenFile,
    sink: &mut dyn Write,
    bar: &Bar,
    subject: &Location,
) -> Outcome<u64> {
    let files = remote.files();
    let chunk = CHUNK_BYTES.min(files.read_max());
    let mut in_flight = VecDeque::new();
    let (mut next, mut done) = (0, 0);
    loop {
        remote.check_interrupt(subject)?;
        while in_flight.len() < WINDOW {
            let (files, file) = (files.clone(), *file);
            let offset = next;
            in_flight.push_back(remote.spawn(async move { files.read(&file, offset, chunk).await }));
            next += u64::from(chunk);
        }
        let read = in_flight.pop_front().expect("filled above").await;
        let (data, at_end) = read.expect("nobody aborts it").about(subject)?;
        sink.write_all(&data).about("output")?;
        done += data.len() as u64;
        bar.add(data.len() as u64);
        if at_end || data.is_empty() {
            break;
        }
        if data.len() < chunk as usize {
            // A short answer in the middle: what was asked for behind it does not join.
            in_flight.clear();
            next = done;
        }
    }
    sink.flush().about("output")?;
    Ok(done)
}

/// Shows how much was moved, on a terminal.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// For a file of so many bytes; 0: nobody knows.
    pub fn new(name: &[u8], bytes: u64, quiet: bool) -> Self {
        if quiet || (1..BAR_MIN_BYTES).contains(&bytes) || !stderr().is_terminal() {
            return Self(None);
        }
        let template = match bytes {
            0 => "{msg} {bytes} {binary_bytes_per_sec}",
            _ => "{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
        };
        let style = ProgressStyle::with_template(template).expect("a sound template");
        Self(Some(ProgressBar::new(bytes).with_style(style).with_message(printable(name))))
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_a_restart_is_not_taken_for_committed() {
        let written =
            |verifier, committed| WriteResult { count: 1, committed, verifier: Verifier([verifier; 8]) };
        let mut verifiers = Verifiers::default();
        verifiers.note(written(1, StableHow::FileSync));
        assert!(verifiers.agree_with(Verifier([2; 8])), "what was stable is not lost");
        verifiers.note(written(1, StableHow::Unstable));
        verifiers.note(written(2, StableHow::Unstable));
        assert!(!verifiers.agree_with(Verifier([2; 8])));
    }
}
