//! The descriptor that can be read from when there is something to do.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::failure::{Failure, check};

/// Descriptors that one call tells of: each device of 32 has two, and there are three others.
const TOLD_MAX: usize = 80;

/// What can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The channel of the connection manager.
    Manager,
    /// The mailbox.
    Mailbox,
    /// The alarm.
    Alarm,
    /// Completions of some device.
    Completions,
    /// What the device with this number tells asynchronously.
    Device(u32),
}

impl Source {
    const DEVICES: u64 = 1 << 32;

    fn token(self) -> u64 {
        match self {
            Self::Manager => 0,
            Self::Mailbox => 1,
            Self::Alarm => 2,
            Self::Completions => 3,
            Self::Device(number) => Self::DEVICES | u64::from(number),
        }
    }

    fn of(token: u64) -> Self {
        match token {
            0 => Self::Manager,
            1 => Self::Mailbox,
            2 => Self::Alarm,
            3 => Self::Completions,
            _ => Self::Device(token as u32),
        }
    }
}

/// When the alarm goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Never.
    Off,
    /// At once, and for as long as it is not set otherwise.
    Now,
    /// Then.
    At(Instant),
}

/// All descriptors of a core in one.
pub(crate) struct Wait {
    all: OwnedFd,
    timer: OwnedFd,
    alarm: Alarm,
}

impl Wait {
    /// With an alarm, and nothing else.
    ///
    /// # Errors
    /// As `epoll_create1` and `timerfd_create`.
    pub(crate) fn new() -> Result<Self, Failure> {
        // SAFETY: no memory is involved, in either call.
        let (all, timer) = unsafe {
            (
                libc::epoll_create1(libc::EPOLL_CLOEXEC),
                libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC),
            )
        };
        let wait = Self {
            all: owned("epoll_create1", all)?,
            timer: owned("timerfd_create", timer)?,
            alarm: Alarm::Off,
        };
        wait.add(wait.timer.as_raw_fd(), Source::Alarm)?;
        Ok(wait)
    }

    /// The descriptor.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.all.as_raw_fd()
    }

    /// Adds a descriptor, which is read until it has nothing more: it does not block from now on.
    ///
    /// # Errors
    /// As `fcntl` and `epoll_ctl`.
    pub(crate) fn add(&self, descriptor: RawFd, source: Source) -> Result<(), Failure> {
        // SAFETY: no memory is involved.
        let outcome = unsafe {
            let flags = libc::fcntl(descriptor, libc::F_GETFL);
            libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK)
        };
        check("fcntl", outcome)?;
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: source.token() };
        // SAFETY: the event is valid for the call.
        let outcome =
            unsafe { libc::epoll_ctl(self.descriptor(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) };
        check("epoll_ctl", outcome)
    }

    /// Leaves out a descriptor, if it is there.
    pub(crate) fn remove(&self, descriptor: RawFd) {
        let none = std::ptr::null_mut();
        // SAFETY: no memory is involved.
        unsafe { libc::epoll_ctl(self.descriptor(), libc::EPOLL_CTL_DEL, descriptor, none) };
    }

    /// What can be read from now.
    pub(crate) fn told(&self) -> impl Iterator<Item = Source> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; TOLD_MAX];
        // SAFETY: there is room for as many as is said.
        let count = unsafe { libc::epoll_wait(self.descriptor(), events.as_mut_ptr(), TOLD_MAX as c_int, 0) };
        let count = usize::try_from(count).unwrap_or(0);
        events.into_iter().take(count).map(|event| Source::of(event.u64))
    }

    /// Sets the alarm.
    pub(crate) fn set(&mut self, alarm: Alarm) {
        if self.alarm == alarm {
            return;
        }
        let delay = match alarm {
            Alarm::Off => Duration::ZERO,
            Alarm::Now => Duration::from_nanos(1),
            Alarm::At(then) => then.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1)),
        };
        let value =
            libc::timespec { tv_sec: delay.as_secs().cast_signed(), tv_nsec: delay.subsec_nanos().into() };
        let interval = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let times = libc::itimerspec { it_interval: interval, it_value: value };
        // SAFETY: the times are valid for the call. It cannot fail: the descriptor is a timer's and the times are times.
        unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &raw const times, std::ptr::null_mut()) };
        self.alarm = alarm;
    }

    /// Whether the alarm is set.
    pub(crate) fn is_set(&self) -> bool {
        self.alarm != Alarm::Off
    }
}

/// A new descriptor that a call has returned.
///
/// # Errors
/// When it has returned none.
pub(crate) fn owned(call: &'static str, descriptor: c_int) -> Result<OwnedFd, Failure> {
    if descriptor < 0 {
        return Err(Failure::of(call, io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)));
    }
    // SAFETY: the call has made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
