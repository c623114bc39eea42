//! Memory that the adapters know.

use std::ffi::{c_int, c_uint, c_void};

use rdma_sys::{__ibv_reg_mr, ibv_access_flags, ibv_dereg_mr, ibv_mr};
use verbs::{Access, DeviceId, MemoryId, Place};

use crate::core::Core;
use crate::device::Device;
use crate::failure::Failure;
use crate::owned::Owned;

/// One piece of memory, at each of the core's adapters in their order; not at those that were gone.
pub(crate) type Memory = Vec<Option<Owned<ibv_mr>>>;

impl Core {
    /// Makes memory known to all adapters.
    ///
    /// # Errors
    /// As `ibv_reg_mr`.
    ///
    /// # Safety
    /// The memory stays mapped for as long as this value lives.
    pub(crate) unsafe fn register(
        &mut self,
        address: *mut c_void,
        bytes: usize,
        access: Access,
    ) -> Result<c_int, Failure> {
        let number =
            c_int::try_from(self.memories.len()).map_err(|_| Failure::of("ibv_reg_mr", libc::ENOSPC))?;
        let at = |device: &Device| {
            let flags = flags(device, access);
            // SAFETY: the domain is there and ends after the registration; the memory is the caller's promise.
            unsafe {
                let region = __ibv_reg_mr(device.domain.get(), address, bytes, flags, 0);
                Owned::new("ibv_reg_mr", region, ibv_dereg_mr)
            }
        };
        let at = |device: &Device| (!device.gone).then(|| at(device)).transpose();
        let memory = self.devices.iter().map(at).collect::<Result<Memory, Failure>>()?;
        self.memories.push(memory);
        Ok(number)
    }

    fn region(&self, device: usize, memory: MemoryId) -> Option<*mut ibv_mr> {
        let memory = self.memories.get(memory.0 as usize)?;
        memory.get(device)?.as_ref().map(Owned::get)
    }

    /// The key by which peers name it.
    pub(crate) fn remote_key(&self, device: DeviceId, memory: MemoryId) -> Option<u32> {
        let region = self.region(device.0 as usize, memory)?;
        // SAFETY: registrations last as long as the core.
        Some(unsafe { (*region).rkey })
    }

    /// The place with the key by which the adapter names its memory.
    pub(crate) fn local(&self, device: usize, place: &Place) -> Option<rdma_sys::ibv_sge> {
        let region = self.region(device, place.memory)?;
        // SAFETY: as above.
        let lkey = unsafe { (*region).lkey };
        Some(rdma_sys::ibv_sge { addr: place.address, length: place.length, lkey })
    }
}

/// Who may do what. Reads over iWARP come in as writes of the peer's.
fn flags(device: &Device, access: Access) -> c_uint {
    let local = ibv_access_flags::IBV_ACCESS_LOCAL_WRITE;
    let written = ibv_access_flags::IBV_ACCESS_REMOTE_WRITE;
    let flags = match access {
        Access::Local if device.reads_need_remote_write() => local | written,
        Access::Local => local,
        Access::Remote => local | written | ibv_access_flags::IBV_ACCESS_REMOTE_READ,
    };
    flags.0
}
