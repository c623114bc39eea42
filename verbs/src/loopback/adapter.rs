//! What one core has of a fabric.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::connect::READS_MAX;
use super::control::Control;
use super::port::{Port, PortId};
use super::registration::Permission;
use super::{Fabric, RemoteAccess};
use crate::{
    Access, Completion, Device, DeviceId, Event, MemoryId, Options, PairId, Place, RequestId, Verbs, Work,
};

/// The one device there is.
const DEVICE: DeviceId = DeviceId(0);

/// Bytes of payload in a packet, for people.
const MTU_BYTES: u32 = 4096;

/// One core's adapter. Dropping it breaks its connections, and its memory is not touched any more.
pub struct Adapter {
    fabric: Fabric,
    port: PortId,
    options: Options,
    descriptor: Arc<OwnedFd>,
}

impl Adapter {
    pub(super) fn new(fabric: Fabric, host: IpAddr, options: Options) -> Self {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let descriptor = Arc::new(eventfd(0, flags).expect("a descriptor is to be had"));
        let port = {
            let mut state = fabric.lock();
            let port = state.number();
            state.ports.insert(port, Port::new(host, options, Arc::clone(&descriptor)));
            port
        };
        Self { fabric, port, options, descriptor }
    }

    /// What a test does to it, from any thread.
    pub fn control(&self) -> Control {
        Control::new(self.fabric.clone(), self.port)
    }

    /// Gives memory that was registered for peers a fresh key, which [`Verbs::remote_key`] tells from now on. The one that it
    /// had ends, if a peer has not ended it.
    ///
    /// # Errors
    /// `EINVAL` when there is no such memory, `EACCES` when it was not registered for peers.
    pub fn register_again(&self, memory: MemoryId) -> io::Result<u32> {
        let mut state = self.fabric.lock();
        let key = state.keys.next();
        state.port(self.port).registrations.open_whole(memory, key)?;
        Ok(key)
    }

    /// Opens a part of memory that was registered for peers with a key of its own, as short-lived registrations and memory
    /// windows do, until [`close_window`](Self::close_window) or a peer ends it. Peers name its bytes by their addresses.
    ///
    /// # Errors
    /// `EINVAL` when there is no such part, `EACCES` when the memory was not registered for peers.
    pub fn window(
        &self,
        memory: MemoryId,
        offset: u64,
        length: u64,
        permission: Permission,
    ) -> io::Result<u32> {
        let mut state = self.fabric.lock();
        let key = state.keys.next();
        state.port(self.port).registrations.open(memory, offset, length, permission, key)?;
        Ok(key)
    }

    /// Ends a key. Says whether it was still open.
    pub fn close_window(&self, key: u32) -> bool {
        self.fabric.lock().port(self.port).registrations.close(key)
    }

    /// Whether peers can still use a key.
    pub fn is_open(&self, key: u32) -> bool {
        self.control().is_open(key)
    }

    /// What peers did to its memory, oldest first; of very many the last.
    pub fn accesses(&self) -> Vec<RemoteAccess> {
        self.control().accesses()
    }

    /// Refuses a device that it does not have.
    fn check(&self, device: DeviceId) -> Result<(), Errno> {
        if device == DEVICE { Ok(()) } else { Err(Errno::NODEV) }
    }
}

impl Verbs for Adapter {
    fn devices(&self) -> Vec<Device> {
        if self.fabric.lock().port(self.port).is_removed {
            return Vec::new();
        }
        vec![Device {
            id: DEVICE,
            name: format!("loopback{}", self.port),
            link: "loopback".to_owned(),
            state: "ACTIVE".to_owned(),
            mtu_bytes: MTU_BYTES,
            reads_max: READS_MAX,
            receives_max: self.options.receives_max,
        }]
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn arm(&self) -> io::Result<()> {
        self.fabric.lock().port(self.port).arm();
        Ok(())
    }

    fn completions(&self, into: &mut Vec<Completion>) {
        self.fabric.lock().completions(self.port, into);
    }

    fn events(&self, into: &mut Vec<Event>) {
        self.fabric.lock().port(self.port).take_events(into);
    }

    unsafe fn register(&self, address: *mut u8, bytes: usize, access: Access) -> io::Result<MemoryId> {
        let (address, bytes) = (address.expose_provenance() as u64, bytes as u64);
        let mut state = self.fabric.lock();
        let key = state.keys.next();
        Ok(state.port(self.port).registrations.register(address, bytes, access, key)?)
    }

    fn remote_key(&self, device: DeviceId, memory: MemoryId) -> Option<u32> {
        self.check(device).ok()?;
        self.fabric.lock().port(self.port).registrations.key(memory)
    }

    unsafe fn receive(&self, device: DeviceId, id: u64, place: Place) -> io::Result<()> {
        self.check(device)?;
        Ok(self.fabric.lock().port(self.port).receive(id, place)?)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        Ok(self.fabric.lock().listen(self.port, address)?)
    }

    fn close_listeners(&self) {
        self.fabric.lock().close_listeners(self.port);
    }

    fn accept(&self, request: RequestId, reads_max: u32, private: &[u8]) -> io::Result<PairId> {
        Ok(self.fabric.lock().accept(self.port, request, reads_max, private)?)
    }

    fn reject(&self, request: RequestId) {
        self.fabric.lock().reject(request);
    }

    fn connect(&self, address: SocketAddr, reads_max: u32, private: &[u8]) -> io::Result<PairId> {
        Ok(self.fabric.lock().connect(self.port, address, reads_max, private)?)
    }

    unsafe fn post(&self, pair: PairId, works: &[Work]) -> io::Result<()> {
        // SAFETY: the caller's promise.
        Ok(unsafe { self.fabric.lock().post(self.port, pair, works) }?)
    }

    fn works_max(&self) -> usize {
        self.options.works_max as usize
    }

    fn disconnect(&self, pair: PairId) {
        self.fabric.lock().disconnect(self.port, pair);
    }

    fn destroy(&self, pair: PairId) {
        self.fabric.lock().destroy(self.port, pair);
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.fabric.lock().drop_port(self.port);
    }
}
