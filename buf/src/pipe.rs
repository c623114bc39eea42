//! Payload that lies in a kernel pipe: pages of a file on their way to a socket, which nobody copies.
//!
//! A core has one [`PipePool`]. Its pipes are made when they are first wanted, as large as one payload, and kept. A
//! [`Piped`] owns one pipe and knows how many bytes are in it; dropping it gives the pipe back if it is empty, and
//! closes it otherwise, with what is in it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe is made for: the largest payload, and the most that the kernel gives without asking whether the
/// caller is privileged (`fs.pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;

/// Pipes of one core. Each costs two descriptors and about 10 KiB in the kernel, and holds up to 1 MiB of the
/// page cache while it waits for its reader; as many as a busy client has READs outstanding.
pub const PIPES_MAX: usize = 64;

/// How many times a pipe is not asked for after one was refused: the kernel's limits are per user and may take long to
/// change.
const REFUSAL_PAUSE: u32 = 4096;

/// One core's pipes. A handle: clones name the same pool; it stays on its core.
#[derive(Clone, Debug, Default)]
pub struct PipePool {
    inner: Rc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    free: RefCell<Vec<Pipe>>,
    /// Pipes that exist, those in use included.
    made: Cell<usize>,
    /// Times that nothing is asked of the kernel because it has refused.
    pause: Cell<u32>,
}

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Pages it holds, or parts of pages.
    pages: usize,
}

impl PipePool {
    /// No pipes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty pipe; `None` when all are in use, or the kernel gives no more.
    pub fn take(&self) -> Option<Piped> {
        let free = self.inner.free.borrow_mut().pop();
        let pipe = free.or_else(|| self.inner.make())?;
        Some(Piped { pipe: Some(pipe), length: 0, pool: Rc::clone(&self.inner) })
    }

    /// Pipes that exist, those in use included.
    pub fn count(&self) -> usize {
        self.inner.made.get()
    }
}

impl Inner {
    fn make(&self) -> Option<Pipe> {
        if self.made.get() >= PIPES_MAX {
            return None;
        }
        if self.pause.get() > 0 {
            self.pause.update(|pause| pause - 1);
            return None;
        }
        match make_pipe() {
            Ok(pipe) => {
                self.made.update(|made| made + 1);
                Some(pipe)
            }
            // Beyond the user's share of pipe memory (`fs.pipe-user-pages-soft`), or out of descriptors: those there
            // are have to do.
            Err(_) => {
                self.pause.set(REFUSAL_PAUSE);
                None
            }
        }
    }
}

fn make_pipe() -> Result<Pipe, Errno> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&writer, PIPE_BYTES)?;
    Ok(Pipe { reader, writer, pages: PIPE_BYTES / rustix::param::page_size() })
}

/// One payload in a pipe.
pub struct Piped {
    /// Empty only while being dropped.
    pipe: Option<Pipe>,
    length: usize,
    pool: Rc<Inner>,
}

impl Piped {
    /// Bytes in the pipe.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the pipe is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether the empty pipe can hold `bytes` of a file from `offset` on: each page they touch takes a place.
    pub fn holds(&self, offset: u64, bytes: usize) -> bool {
        let page = rustix::param::page_size();
        let within_page = (offset % page as u64) as usize;
        bytes.saturating_add(within_page).div_ceil(page) <= self.pipe().pages
    }

    /// Moves up to `bytes` of a file from `offset` on into the pipe, behind what is there; answers how many: fewer at
    /// the end of the file, where the pipe is full, or before a place that cannot be read. Sleeps where the file's pages
    /// are not in memory.
    ///
    /// # Errors
    /// As `splice(2)`, when nothing was moved.
    pub fn fill(&mut self, file: impl AsFd, offset: u64, bytes: usize) -> io::Result<usize> {
        let (mut at, mut moved) = (offset, 0);
        while moved < bytes {
            let writer = &self.pipe().writer;
            match splice(&file, Some(&mut at), writer, None, bytes - moved, SpliceFlags::NONBLOCK) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => {
                    moved += count;
                    self.length += count;
                }
                Err(Errno::INTR) => {}
                Err(errno) if moved == 0 => return Err(errno.into()),
                Err(_) => break,
            }
        }
        Ok(moved)
    }

    /// Moves bytes from the pipe to a socket with `O_NONBLOCK`; answers how many. `more`: others follow at once, so a
    /// partial segment may wait.
    ///
    /// # Errors
    /// As `splice(2)`: [`WouldBlock`](io::ErrorKind::WouldBlock) when the socket takes nothing now. A socket that the
    /// peer has closed raises SIGPIPE, which programs in Rust ignore from the start.
    pub fn drain(&mut self, socket: impl AsFd, more: bool) -> io::Result<usize> {
        let flags = if more { SpliceFlags::NONBLOCK | SpliceFlags::MORE } else { SpliceFlags::NONBLOCK };
        let count = splice(&self.pipe().reader, None, socket, None, self.length, flags)?;
        self.length -= count;
        Ok(count)
    }

    /// What is in the pipe, which is empty then: for tests and for what is small.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn take_bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length];
        let mut done = 0;
        while self.length > 0 {
            let count = rustix::io::read(&self.pipe().reader, &mut bytes[done..])?;
            done += count;
            self.length -= count;
        }
        Ok(bytes)
    }

    fn pipe(&self) -> &Pipe {
        self.pipe.as_ref().expect("a pipe is there until it is dropped")
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let pipe = self.pipe.take().expect("a pipe is dropped once");
        if self.length == 0 {
            self.pool.free.borrow_mut().push(pipe);
        } else {
            self.pool.made.update(|made| made - 1);
        }
    }
}

impl fmt::Debug for Piped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Piped").field("length", &self.length).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn file(bytes: &[u8]) -> std::fs::File {
        let mut file = std::fs::File::from(memfd_create("payload", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(bytes).unwrap();
        file
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn pages_go_from_a_file_to_a_socket() {
        let bytes = pattern(300_000);
        let file = file(&bytes);
        let pool = PipePool::new();
        let mut piped = pool.take().unwrap();
        assert!(piped.holds(0, PIPE_BYTES) && piped.holds(5, PIPE_BYTES - 5));
        assert!(!piped.holds(1, PIPE_BYTES), "one page too many");
        assert_eq!(piped.fill(&file, 1_001, 200_000).unwrap(), 200_000);
        assert_eq!(piped.fill(&file, 299_990, 100).unwrap(), 10, "the file ends");
        assert_eq!(piped.len(), 200_010);

        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut received = Vec::new();
        while !piped.is_empty() {
            match piped.drain(&near, false) {
                Ok(count) => assert!(count > 0),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    let mut some = vec![0; 4096];
                    let count = far.read(&mut some).unwrap();
                    received.extend_from_slice(&some[..count]);
                }
            }
        }
        drop(near);
        far.read_to_end(&mut received).unwrap();
        assert!(received == [&bytes[1_001..201_001], &bytes[299_990..]].concat());
    }

    #[test]
    fn only_empty_pipes_come_back() {
        let file = file(&pattern(10_000));
        let pool = PipePool::new();
        drop(pool.take().unwrap());
        assert_eq!((pool.count(), pool.inner.free.borrow().len()), (1, 1));
        let mut piped = pool.take().unwrap();
        piped.fill(&file, 0, 10_000).unwrap();
        assert_eq!(piped.take_bytes().unwrap(), pattern(10_000));
        drop(piped);
        assert_eq!(pool.count(), 1);
        let mut piped = pool.take().unwrap();
        piped.fill(&file, 0, 10).unwrap();
        drop(piped);
        assert_eq!((pool.count(), pool.inner.free.borrow().len()), (0, 0), "its bytes are nobody's");
    }

    #[test]
    fn a_core_has_so_many_and_no_more() {
        let pool = PipePool::new();
        let held: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert!(!held.is_empty() && held.len() <= PIPES_MAX, "{}", held.len());
        assert!(pool.take().is_none());
        drop(held);
        assert!(pool.take().is_some(), "those there are stay");
    }
}
