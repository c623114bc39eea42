//! The admission log: every request that was charged, as it goes on, by which limits are judged from outside.
//!
//! Each core has a file of its own, `core-N`, of lines with these words:
//!
//! - `path NUMBER ENTITY...`: what requests are charged to, the most particular first, as keys of the table in hex
//! - `admit TIME LATE PATH DIRECTION BYTES OPERATIONS PARKED`: a request goes on that was charged so much; `read` or
//!   `write`; how many still wait on this core
//! - `tick TIME LATE`: the core's clock of one millisecond went off, so much too late
//! - `dropped COUNT`: so many lines are missing that had no room or could not be written
//!
//! Times are nanoseconds of CLOCK_MONOTONIC. The time of an admission is the one that limits go by, which a core reads once in
//! each turn of its loop; `LATE` is how much later it was in truth.
//!
//! A request writes into memory of its core, which a task of that core writes out through its ring.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::{IoOptions, Shard};
use nfs_ops::LoggedAdmission;
use qos::limits::Entity;
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};

use crate::environment::nanoseconds_since;
use crate::fatal::Fatal;

/// How often a core's clock goes off: a stall of the burst that limits have by default is seen.
const TICK: Duration = Duration::from_millis(1);

/// How often the log is written out.
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// What a core keeps until then: some ten thousand requests, more than it can serve in that time.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Room for any line.
const LINE_BYTES_MAX: usize = 256;

/// Paths with a number. Beyond that numbers are given anew.
const PATHS_MAX: usize = 4096;

/// The log holds addresses of clients.
const MODE: u32 = 0o640;

/// One core's log.
#[derive(Debug)]
pub struct AdmissionLog {
    file: Rc<File>,
    /// Zero of the times of the operations, on CLOCK_MONOTONIC.
    origin_ns: u64,
    text: RefCell<Text>,
    written_bytes: Cell<u64>,
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    /// What the bytes are exchanged for when they are written out.
    spare: Vec<u8>,
    paths: HashMap<Vec<Entity>, usize>,
    dropped: u64,
}

impl AdmissionLog {
    /// The log of core `number` in `directory`, which is made if it is not there; what was in the log before is gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(directory: &Path, number: usize, origin: Instant) -> Result<Self, Fatal> {
        let path = directory.join(format!("core-{number}"));
        let file = std::fs::create_dir_all(directory).and_then(|()| {
            // Root writes here: not where somebody's link leads.
            let flags = OFlags::NOFOLLOW.bits() as i32;
            OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(MODE)
                .custom_flags(flags)
                .open(&path)
        });
        let file = file.map_err(|error| {
            Fatal::new(
                format!("{} cannot be written: {error}", path.display()),
                "correct `admission_log` in [qos], or leave it out",
            )
        })?;
        let now = clock_gettime(ClockId::Monotonic);
        let now_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        Ok(Self {
            file: Rc::new(file),
            origin_ns: now_ns - nanoseconds_since(origin, Instant::now()),
            text: RefCell::new(Text::new(TEXT_BYTES_MAX)),
            written_bytes: Cell::new(0),
        })
    }

    /// Logs a request that goes on, at `now_ns` by the clock that limits go by and at `truly_ns`.
    pub fn admit(&self, admitted: LoggedAdmission<'_>, now_ns: u64, truly_ns: u64) {
        let LoggedAdmission { charged_to, cost, parked } = admitted;
        let mut text = self.text.borrow_mut();
        let path = text.path(charged_to);
        let direction = if cost.kind.mutates() { "write" } else { "read" };
        let (time, late) = (self.origin_ns + now_ns, truly_ns.saturating_sub(now_ns));
        let (bytes, operations) = (cost.bytes, cost.operations);
        text.line(format_args!("admit {time} {late} {path} {direction} {bytes} {operations} {parked}"));
    }

    /// Runs for ever: logs how late this core is. To be run as one task.
    pub async fn tick(self: Rc<Self>, shard: Shard, origin: Instant) {
        loop {
            let due = shard.now_precise() + TICK;
            shard.sleep_until(due).await;
            let late_ns = shard.now_precise().saturating_duration_since(due).as_nanos();
            let time = self.origin_ns + nanoseconds_since(origin, due);
            self.text.borrow_mut().line(format_args!("tick {time} {late_ns}"));
        }
    }

    /// Runs for ever: writes out what was logged. To be run as one task.
    pub async fn keep(self: Rc<Self>, shard: Shard) {
        loop {
            shard.sleep(WRITE_PAUSE).await;
            self.write_out(&shard).await;
        }
    }

    /// Writes out what is left.
    pub async fn finish(&self, shard: &Shard) {
        self.write_out(shard).await;
        // What was dropped until then.
        self.write_out(shard).await;
    }

    async fn write_out(&self, shard: &Shard) {
        let Some(bytes) = self.text.borrow_mut().take() else { return };
        let (file, length) = (Rc::clone(&self.file), bytes.len());
        let offset = self.written_bytes.replace(self.written_bytes.get() + length as u64);
        let (done, bytes) = shard.write_at(file, offset, bytes, IoOptions::default()).await;
        let mut text = self.text.borrow_mut();
        if !done.is_ok_and(|count| count == length) {
            text.dropped += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        text.give_back(bytes);
    }
}

impl Text {
    fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes_max), spare: Vec::with_capacity(bytes_max), ..Self::default() }
    }

    /// What is to be written out now.
    fn take(&mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = std::mem::replace(&mut self.bytes, std::mem::take(&mut self.spare));
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.line(format_args!("dropped {dropped}"));
        }
        Some(bytes)
    }

    fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare = bytes;
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        if self.bytes.len() + LINE_BYTES_MAX > self.bytes.capacity() {
            self.dropped += 1;
            return;
        }
        writeln!(self.bytes, "{line}").expect("memory takes what is written");
    }

    /// The number of a path, which stands in the log before it is used.
    fn path(&mut self, entities: &[Entity]) -> usize {
        if let Some(number) = self.paths.get(entities) {
            return *number;
        }
        if self.paths.len() == PATHS_MAX {
            self.paths.clear();
        }
        let number = self.paths.len();
        self.paths.insert(entities.to_vec(), number);
        let keys: String = entities.iter().map(|Entity(key)| format!(" {key:032x}")).collect();
        self.line(format_args!("path {number}{keys}"));
        number
    }
}

#[cfg(test)]
mod tests {
    use qos::Kind;
    use qos::limits::Cost;

    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let mut text = Text::new(2 * LINE_BYTES_MAX);
        let entities = [Entity(7), Entity(9)];
        assert_eq!((text.path(&entities), text.path(&entities), text.path(&entities[1..])), (0, 0, 1));
        let line = "x".repeat(LINE_BYTES_MAX - 1);
        for _ in 0..5 {
            text.line(format_args!("{line}"));
        }
        let first = String::from_utf8(text.take().expect("lines")).expect("text");
        let mut lines = first.lines();
        assert_eq!(lines.next(), Some(&*format!("path 0 {:032x} {:032x}", 7, 9)));
        assert_eq!((lines.nth(1), lines.next()), (Some(&*line), None));
        assert_eq!(text.take().as_deref(), Some(&b"dropped 4\n"[..]));
        assert_eq!(text.take(), None);
    }

    #[test]
    fn a_request_is_logged_with_both_its_times() {
        let directory = crate::testing::Scratch::new();
        let log = AdmissionLog::open(directory.path(), 1, Instant::now()).expect("a file");
        let cost = Cost::new(Kind::Write, 100_000, 65_536);
        let (charged_to, now_ns) = ([Entity(3)], 5_000);
        log.admit(LoggedAdmission { charged_to: &charged_to, cost, parked: 4 }, now_ns, now_ns + 70);
        let text = String::from_utf8(log.text.borrow_mut().take().expect("lines")).expect("text");
        let time = log.origin_ns + now_ns;
        assert_eq!(text, format!("path 0 {:032x}\nadmit {time} 70 0 write 100000 2 4\n", 3));
    }
}
