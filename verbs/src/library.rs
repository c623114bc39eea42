//! [`Verbs`] from our library over libibverbs and librdmacm.
//!
//! UNSAFETY: the functions of a shared library are called by their addresses. [`Library::open`] takes none but one whose table
//! says that it comes from the same source; what the functions keep of memory is the promise of [`Verbs`]' own unsafe methods.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::{
    Access, Completion, Device, DeviceId, Event, EventKind, Instance, MemoryId, NativeAddress, NativeDevice,
    Options, PairId, Place, RequestId, TABLE_SYMBOL, TABLE_VERSION, Table, Verbs, Work,
};

/// Adapters of one machine that are told of.
const DEVICES_MAX: usize = 32;

/// Completions taken with one call.
const COMPLETIONS_MAX: usize = 64;

/// Bytes of the reason why there is nothing.
const REASON_BYTES: usize = 512;

/// Why there is no RDMA here, and what would help.
#[derive(Debug)]
pub struct Unavailable {
    what: String,
}

impl Unavailable {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Unavailable {}

/// What one core has of the adapters of this machine.
pub struct Library {
    table: Table,
    instance: *mut Instance,
    /// Open as long as its functions are called.
    _library: libloading::Library,
}

impl Library {
    /// Opens the library at this path.
    ///
    /// # Errors
    /// When there is none, it is of another version, or it finds no adapter.
    pub fn open(path: &Path, options: &Options) -> Result<Self, Unavailable> {
        let shown = path.display();
        // SAFETY: opening it runs what it and the libraries that it names run when they are opened, which is theirs to keep sound.
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|error| Unavailable::new(format!("{shown} cannot be opened: {error}")))?;
        // SAFETY: a library that has this symbol is ours, and this is its type in all versions.
        let function = unsafe { library.get::<unsafe extern "C" fn() -> *const Table>(TABLE_SYMBOL) };
        let function = function.map_err(|error| Unavailable::new(format!("{shown} is not ours: {error}")))?;
        // SAFETY: as above; the table is static, and begins with its version whatever the version is.
        let version = unsafe { *function().cast::<u32>() };
        if version != TABLE_VERSION {
            let what = format!(
                "{shown} is of another build (table {version}, wanted {TABLE_VERSION}): build both together"
            );
            return Err(Unavailable::new(what));
        }
        // SAFETY: as above, and the version says that the layout is this one.
        let table = unsafe { *function() };
        let mut instance = std::ptr::null_mut();
        let mut reason = [0; REASON_BYTES];
        // SAFETY: all places are valid for the call, and the last is as long as is said.
        let outcome = unsafe { (table.open)(options, &raw mut instance, reason.as_mut_ptr(), reason.len()) };
        if outcome < 0 || instance.is_null() {
            return Err(Unavailable::new(text(&reason)));
        }
        Ok(Self { table, instance, _library: library })
    }
}

/// A function's outcome as a count.
fn count(outcome: c_int) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::from_raw_os_error(outcome.wrapping_neg()))
}

/// Text that ends with 0, or with the array.
fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|character| character.to_ne_bytes()[0]).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Verbs for Library {
    fn devices(&self) -> Vec<Device> {
        let mut devices = [const { MaybeUninit::<NativeDevice>::uninit() }; DEVICES_MAX];
        // SAFETY: the instance is open, and there is room for so many.
        let there =
            unsafe { (self.table.devices)(self.instance, devices.as_mut_ptr().cast(), devices.len()) };
        let there = count(there).unwrap_or(0).min(DEVICES_MAX);
        let device = |native: &MaybeUninit<NativeDevice>| {
            // SAFETY: the library has filled as many as it said.
            let native = unsafe { native.assume_init_ref() };
            Device {
                id: native.id,
                name: text(&native.name),
                link: text(&native.link),
                state: text(&native.state),
                mtu_bytes: native.mtu_bytes,
                reads_max: native.reads_max,
                receives_max: native.receives_max,
            }
        };
        devices[..there].iter().map(device).collect()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the instance is open, and its descriptor is until it is closed, which is when this value ends.
        unsafe { BorrowedFd::borrow_raw((self.table.descriptor)(self.instance)) }
    }

    fn arm(&self) -> io::Result<()> {
        // SAFETY: the instance is open.
        count(unsafe { (self.table.arm)(self.instance) }).map(|_| ())
    }

    fn completions(&self, into: &mut Vec<Completion>) {
        let mut taken = [Completion::default(); COMPLETIONS_MAX];
        // SAFETY: the instance is open, and there is room for so many.
        let filled = unsafe { (self.table.completions)(self.instance, taken.as_mut_ptr(), taken.len()) };
        into.extend_from_slice(&taken[..count(filled).unwrap_or(0).min(COMPLETIONS_MAX)]);
    }

    fn events(&self, into: &mut Vec<Event>) {
        let mut event = Event::new(EventKind::Request);
        // SAFETY: the instance is open.
        while unsafe { (self.table.event)(self.instance, &raw mut event) } > 0 {
            into.push(event);
        }
    }

    unsafe fn register(&self, address: *mut u8, bytes: usize, access: Access) -> io::Result<MemoryId> {
        // SAFETY: the instance is open; the memory is the caller's promise.
        let number = count(unsafe { (self.table.register)(self.instance, address.cast(), bytes, access) })?;
        u32::try_from(number).map(MemoryId).map_err(io::Error::other)
    }

    fn remote_key(&self, device: DeviceId, memory: MemoryId) -> Option<u32> {
        let mut key = 0;
        // SAFETY: the instance is open.
        let outcome = unsafe { (self.table.remote_key)(self.instance, device, memory, &raw mut key) };
        (outcome >= 0).then_some(key)
    }

    unsafe fn receive(&self, device: DeviceId, id: u64, place: Place) -> io::Result<()> {
        // SAFETY: the instance is open; the place is the caller's promise.
        count(unsafe { (self.table.receive)(self.instance, device, id, &raw const place) }).map(|_| ())
    }

    fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut native = NativeAddress::from(address);
        // SAFETY: the instance is open.
        count(unsafe { (self.table.listen)(self.instance, &raw mut native) })?;
        Ok(native.into())
    }

    fn close_listeners(&self) {
        // SAFETY: the instance is open.
        unsafe { (self.table.close_listeners)(self.instance) }
    }

    fn accept(&self, request: RequestId, reads_max: u32, private: &[u8]) -> io::Result<PairId> {
        let (mut pair, told) = (PairId::default(), private.as_ptr());
        // SAFETY: the instance is open, and so many bytes are there.
        let outcome = unsafe {
            (self.table.accept)(self.instance, request, reads_max, told, private.len(), &raw mut pair)
        };
        count(outcome).map(|_| pair)
    }

    fn reject(&self, request: RequestId) {
        // SAFETY: the instance is open.
        unsafe { (self.table.reject)(self.instance, request) }
    }

    fn connect(&self, address: SocketAddr, reads_max: u32, private: &[u8]) -> io::Result<PairId> {
        let (mut pair, native) = (PairId::default(), NativeAddress::from(address));
        let (told, bytes) = (private.as_ptr(), private.len());
        // SAFETY: the instance is open, and so many bytes are there.
        let outcome = unsafe {
            (self.table.connect)(self.instance, &raw const native, reads_max, told, bytes, &raw mut pair)
        };
        count(outcome).map(|_| pair)
    }

    unsafe fn post(&self, pair: PairId, works: &[Work]) -> io::Result<()> {
        // SAFETY: the instance is open, and so many works are there; their places are the caller's promise.
        count(unsafe { (self.table.post)(self.instance, pair, works.as_ptr(), works.len()) }).map(|_| ())
    }

    fn works_max(&self) -> usize {
        // SAFETY: the instance is open.
        count(unsafe { (self.table.works_max)(self.instance) }).unwrap_or(0)
    }

    fn disconnect(&self, pair: PairId) {
        // SAFETY: the instance is open.
        unsafe { (self.table.disconnect)(self.instance, pair) }
    }

    fn destroy(&self, pair: PairId) {
        // SAFETY: the instance is open.
        unsafe { (self.table.destroy)(self.instance, pair) }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the instance is open, and nobody uses it any more.
        unsafe { (self.table.close)(self.instance) }
    }
}
