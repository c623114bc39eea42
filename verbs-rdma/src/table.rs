//! The functions as C has them. A panic ends the process here: nothing unwinds into the caller.

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::slice;

use verbs::{
    Access, Completion, DeviceId, Event, Instance, MemoryId, NativeAddress, NativeDevice, Options, PairId,
    Place, RequestId, TABLE_VERSION, Table, Work,
};

use crate::core::Core;
use crate::failure::Failure;

static TABLE: Table = Table {
    version: TABLE_VERSION,
    open,
    close,
    devices,
    descriptor,
    arm,
    completions,
    event,
    register,
    remote_key,
    receive,
    listen,
    close_listeners,
    accept,
    reject,
    connect,
    post,
    works_max,
    disconnect,
    destroy,
};

/// The functions of this library.
#[unsafe(no_mangle)]
pub extern "C" fn penstock_verbs_table() -> *const Table {
    &raw const TABLE
}

/// # Safety
/// It is of `open`, was not closed, and nobody else uses it during the call.
unsafe fn core<'a>(instance: *mut Instance) -> &'a mut Core {
    // SAFETY: the caller's promise, which the table demands of whoever calls its functions.
    unsafe { &mut *instance.cast::<Core>() }
}

/// Has the core's clerk do something with it.
///
/// # Safety
/// As of [`core`].
unsafe fn by_clerk<R>(instance: *mut Instance, what: impl FnOnce(&mut Core) -> R) -> R {
    // SAFETY: the caller's promise.
    let core = unsafe { core(instance) };
    Rc::clone(&core.clerk).ask(|| what(core))
}

/// # Safety
/// So many are there; of none, the pointer may be anything.
unsafe fn list<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(first, count) } }
}

fn returned(outcome: Result<(), Failure>) -> c_int {
    outcome.map_or_else(|failure| failure.negated(), |()| 0)
}

fn returned_pair(outcome: Result<PairId, Failure>, into: *mut PairId) -> c_int {
    // SAFETY: the caller of the table has given the place for it.
    returned(outcome.map(|pair| unsafe { into.write(pair) }))
}

unsafe extern "C" fn open(
    options: *const Options,
    instance: *mut *mut Instance,
    reason: *mut c_char,
    reason_bytes: usize,
) -> c_int {
    // SAFETY: the options are valid for the call.
    match Core::open(unsafe { &*options }) {
        Ok(core) => {
            // SAFETY: the place is valid for the call.
            unsafe { instance.write(Box::into_raw(Box::new(core)).cast()) };
            0
        }
        Err(failure) => {
            let text = failure.to_string();
            let shown = text.bytes().take(reason_bytes.saturating_sub(1)).chain([0]).take(reason_bytes);
            for (place, byte) in shown.enumerate() {
                // SAFETY: there is room for as many as is said.
                unsafe { reason.add(place).write(byte as c_char) };
            }
            failure.negated()
        }
    }
}

unsafe extern "C" fn close(instance: *mut Instance) {
    // SAFETY: it is of `open`, which made it so, and nobody uses it any more.
    let core = unsafe { Box::from_raw(instance.cast::<Core>()) };
    // The clerk ends here, and not by itself.
    let clerk = Rc::clone(&core.clerk);
    clerk.ask(|| drop(core));
}

unsafe extern "C" fn devices(instance: *mut Instance, into: *mut NativeDevice, count: usize) -> c_int {
    // SAFETY: see `core`.
    let core = unsafe { core(instance) };
    for (place, device) in core.devices.iter().take(count).enumerate() {
        // SAFETY: there is room for as many as is said.
        unsafe { into.add(place).write(device.native()) };
    }
    core.devices.len() as c_int
}

unsafe extern "C" fn descriptor(instance: *mut Instance) -> c_int {
    // SAFETY: see `core`.
    unsafe { core(instance) }.wait.descriptor()
}

unsafe extern "C" fn arm(instance: *mut Instance) -> c_int {
    // SAFETY: see `core`.
    returned(unsafe { core(instance) }.arm())
}

unsafe extern "C" fn completions(instance: *mut Instance, into: *mut Completion, count: usize) -> c_int {
    let count = count.min(c_int::MAX as usize);
    // SAFETY: there is room for as many as is said, which need not be filled.
    let into = unsafe { slice::from_raw_parts_mut(into.cast::<MaybeUninit<Completion>>(), count) };
    // SAFETY: see `core`.
    unsafe { core(instance) }.completions(into) as c_int
}

unsafe extern "C" fn event(instance: *mut Instance, into: *mut Event) -> c_int {
    // SAFETY: see `core`.
    let Some(event) = unsafe { core(instance) }.event() else { return 0 };
    // SAFETY: the place is valid for the call.
    unsafe { into.write(event) };
    1
}

unsafe extern "C" fn register(
    instance: *mut Instance,
    address: *mut c_void,
    bytes: usize,
    access: Access,
) -> c_int {
    // SAFETY: see `core`; the memory is the caller's promise.
    let outcome = unsafe { core(instance).register(address, bytes, access) };
    outcome.unwrap_or_else(|failure| failure.negated())
}

unsafe extern "C" fn remote_key(
    instance: *mut Instance,
    device: DeviceId,
    memory: MemoryId,
    into: *mut u32,
) -> c_int {
    // SAFETY: see `core`.
    let Some(key) = unsafe { core(instance) }.remote_key(device, memory) else { return -libc::ENOENT };
    // SAFETY: the place is valid for the call.
    unsafe { into.write(key) };
    0
}

unsafe extern "C" fn receive(
    instance: *mut Instance,
    device: DeviceId,
    id: u64,
    place: *const Place,
) -> c_int {
    // SAFETY: see `core`; the place is valid for the call, and what it names is the caller's promise.
    returned(unsafe { core(instance).receive(device, id, &*place) })
}

unsafe extern "C" fn listen(instance: *mut Instance, address: *mut NativeAddress) -> c_int {
    // SAFETY: see `core`; the address is valid for the call.
    returned(unsafe { by_clerk(instance, |core| core.listen(&mut *address)) })
}

unsafe extern "C" fn close_listeners(instance: *mut Instance) {
    // SAFETY: see `core`.
    unsafe { by_clerk(instance, |core| core.listeners.clear()) }
}

unsafe extern "C" fn accept(
    instance: *mut Instance,
    request: RequestId,
    reads_max: u32,
    private: *const u8,
    private_bytes: usize,
    into: *mut PairId,
) -> c_int {
    // SAFETY: see `core` and `list`.
    let outcome = unsafe {
        let told = list(private, private_bytes);
        by_clerk(instance, |core| core.accept(request, reads_max, told))
    };
    returned_pair(outcome, into)
}

unsafe extern "C" fn reject(instance: *mut Instance, request: RequestId) {
    // SAFETY: see `core`.
    unsafe { by_clerk(instance, |_| crate::request::reject(request)) }
}

unsafe extern "C" fn connect(
    instance: *mut Instance,
    address: *const NativeAddress,
    reads_max: u32,
    private: *const u8,
    private_bytes: usize,
    into: *mut PairId,
) -> c_int {
    // SAFETY: see `core` and `list`; the address is valid for the call.
    let outcome = unsafe {
        let (address, told) = (&*address, list(private, private_bytes));
        by_clerk(instance, |core| core.connect(address, reads_max, told))
    };
    returned_pair(outcome, into)
}

unsafe extern "C" fn post(instance: *mut Instance, pair: PairId, works: *const Work, count: usize) -> c_int {
    // SAFETY: see `core` and `list`; the places are the caller's promise.
    returned(unsafe { core(instance).post(pair, list(works, count)) })
}

unsafe extern "C" fn works_max(instance: *mut Instance) -> c_int {
    // SAFETY: see `core`.
    c_int::try_from(unsafe { core(instance) }.works_max).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn disconnect(instance: *mut Instance, pair: PairId) {
    // SAFETY: see `core`.
    unsafe { by_clerk(instance, |core| core.disconnect(pair)) }
}

unsafe extern "C" fn destroy(instance: *mut Instance, pair: PairId) {
    // SAFETY: see `core`.
    unsafe { by_clerk(instance, |core| core.destroy(pair)) }
}
