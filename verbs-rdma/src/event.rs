//! What happened, in the order in which it is told.

use std::os::fd::RawFd;
use std::rc::Rc;

use rdma_sys::{ibv_event_type, rdma_notify};
use verbs::{Event, EventKind, PairId};

use crate::core::Core;
use crate::notice::{self, Notice, What};
use crate::wait::Source;

/// Events of the connection manager's that are taken before others are looked at.
const MANAGED_MAX: usize = 64;

impl Core {
    /// The next event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        if self.ready.is_empty() {
            for source in self.wait.told().collect::<Vec<_>>() {
                match source {
                    // Completions are taken, and the alarm is set, elsewhere.
                    Source::Completions | Source::Alarm => {}
                    _ => Rc::clone(&self.clerk).ask(|| self.read(source)),
                }
            }
        }
        let event = self.ready.pop_front();
        self.set_alarm();
        event
    }

    fn read(&mut self, source: Source) {
        match source {
            Source::Manager => {
                let mut taken = 0;
                while taken < MANAGED_MAX && self.take_managed() {
                    taken += 1;
                }
            }
            Source::Mailbox => {
                for notice in self.mailbox.take() {
                    self.noticed(notice);
                }
            }
            Source::Device(number) => {
                let (place, context) = (number as usize, self.devices[number as usize].context);
                if notice::read(context).is_err() {
                    self.device_gone(place);
                }
            }
            Source::Completions | Source::Alarm => {}
        }
    }

    fn noticed(&mut self, notice: Notice) {
        let of_context = |device: &crate::device::Device| device.context as usize == notice.context;
        let Some(device) = self.devices.iter().position(of_context) else { return };
        let pair = |number: u32| self.devices[device].pairs.get(&number).copied();
        match notice.what {
            What::Gone => self.device_gone(device),
            What::Failed(number) => {
                if let Some(pair) = pair(number) {
                    self.broken(pair, -libc::EIO);
                }
            }
            What::NotTaken { pair, last, count } => self.not_taken(pair, last, count),
            What::ReceivesEnded(number) => {
                if let Some(pair) = pair(number).and_then(|pair| self.pairs.get_mut(&pair)) {
                    pair.receives_ended = true;
                }
            }
            What::Arrived(number) => {
                if let Some(pair) = pair(number).and_then(|pair| self.pairs.get(&pair)) {
                    let what = ibv_event_type::IBV_EVENT_COMM_EST;
                    // SAFETY: the identifier is there. It fails when the connection is established anyway.
                    unsafe { rdma_notify(pair.connection.id(), what) };
                }
            }
        }
    }

    /// The adapter went away: its connections are no more, and nothing new is asked of it.
    pub(crate) fn device_gone(&mut self, place: usize) {
        let device = &mut self.devices[place];
        if std::mem::replace(&mut device.gone, true) {
            return;
        }
        let mut event = Event::new(EventKind::DeviceRemoved);
        event.device = device.id;
        self.ready.push_back(event);
        // Its descriptors can be read from for ever now.
        for descriptor in device.descriptors() {
            self.wait.remove(descriptor);
        }
        let over = |pair: &crate::pair::Pair| match pair.device {
            Some(device) => device == place,
            None => pair.connection.context() == self.devices[place].context,
        };
        let pairs: Vec<PairId> =
            self.pairs.iter().filter(|(_, pair)| over(pair)).map(|(id, _)| *id).collect();
        for id in pairs {
            self.broken(id, -libc::ENODEV);
            self.works_ended(id);
        }
    }
}

impl crate::device::Device {
    /// Those that can be read from when the adapter tells something.
    fn descriptors(&self) -> [RawFd; 2] {
        // SAFETY: context and channel are there.
        unsafe { [(*self.context).async_fd, (*self.channel.get()).fd] }
    }
}
