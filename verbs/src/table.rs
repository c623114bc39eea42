//! The functions of our library over libibverbs and librdmacm, as C has them.
//!
//! The library is built apart (`verbs-rdma/`), where the development packages are, and exports one function under
//! [`TABLE_SYMBOL`], which returns a [`Table`]. Server and library come from one source, which [`TABLE_VERSION`] checks.
//!
//! UNSAFETY: functions of C promise nothing to the compiler, so that their types say so. Nothing is called here.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::{Access, Completion, DeviceId, Event, MemoryId, PairId, Place, RequestId, Work};

/// Counts the changes of [`Table`] and of all that its functions take.
pub const TABLE_VERSION: u32 = 1;

/// `extern "C" fn() -> *const Table`
pub const TABLE_SYMBOL: &[u8] = b"penstock_verbs_table\0";

/// An address of either family; one of IPv4 is mapped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NativeAddress {
    /// In the order of the network.
    pub octets: [u8; 16],
    /// Of a link-local address.
    pub scope: u32,
    /// As a number.
    pub port: u16,
}

impl From<SocketAddr> for NativeAddress {
    fn from(address: SocketAddr) -> Self {
        let (octets, scope) = match address {
            SocketAddr::V4(address) => (address.ip().to_ipv6_mapped().octets(), 0),
            SocketAddr::V6(address) => (address.ip().octets(), address.scope_id()),
        };
        Self { octets, scope, port: address.port() }
    }
}

impl From<NativeAddress> for SocketAddr {
    fn from(native: NativeAddress) -> Self {
        let address = Ipv6Addr::from(native.octets);
        match IpAddr::from(address).to_canonical() {
            IpAddr::V4(address) => (address, native.port).into(),
            IpAddr::V6(_) => std::net::SocketAddrV6::new(address, native.port, 0, native.scope).into(),
        }
    }
}

/// What a core asks of its adapters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Receives that all connections of an adapter share, at most; less where the adapter has less.
    pub receives_max: u32,
    /// Works that one connection may have outstanding.
    pub works_max: u32,
    /// Connections that are thought of when completion queues are made.
    pub connections_max: u32,
}

/// What the library keeps for one core.
#[repr(C)]
pub struct Instance {
    _private: [u8; 0],
}

/// What is told of a device, as text that ends with 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NativeDevice {
    /// See [`Device`](crate::Device), as the other fields.
    pub id: DeviceId,
    /// The name.
    pub name: [c_char; 64],
    /// The link.
    pub link: [c_char; 16],
    /// The state.
    pub state: [c_char; 24],
    /// The MTU.
    pub mtu_bytes: u32,
    /// Outstanding reads.
    pub reads_max: u32,
    /// Shared receives.
    pub receives_max: u32,
}

/// The functions. Each is [`Verbs`](crate::Verbs)' of the same name, and returns 0, a count, or a negated `errno`. An instance is
/// used by one thread at a time; requests may go from one instance to another.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Table {
    /// [`TABLE_VERSION`] of its source.
    pub version: u32,
    /// Makes an instance. `-ENODEV` when there is no adapter. Says why not as text that ends with 0, of at most so many bytes.
    pub open: unsafe extern "C" fn(*const Options, *mut *mut Instance, *mut c_char, usize) -> c_int,
    /// Ends an instance with all it has; nothing touches memory afterwards.
    pub close: unsafe extern "C" fn(*mut Instance),
    /// Fills at most so many, and returns how many there are.
    pub devices: unsafe extern "C" fn(*mut Instance, *mut NativeDevice, usize) -> c_int,
    /// The descriptor.
    pub descriptor: unsafe extern "C" fn(*mut Instance) -> c_int,
    /// `arm`
    pub arm: unsafe extern "C" fn(*mut Instance) -> c_int,
    /// Fills at most so many, and returns how many it has filled.
    pub completions: unsafe extern "C" fn(*mut Instance, *mut Completion, usize) -> c_int,
    /// Fills one; returns 1 if there was one, and 0 if not.
    pub event: unsafe extern "C" fn(*mut Instance, *mut Event) -> c_int,
    /// Returns the number of the memory.
    pub register: unsafe extern "C" fn(*mut Instance, *mut c_void, usize, Access) -> c_int,
    /// `-ENOENT` when there is none.
    pub remote_key: unsafe extern "C" fn(*mut Instance, DeviceId, MemoryId, *mut u32) -> c_int,
    /// `receive`
    pub receive: unsafe extern "C" fn(*mut Instance, DeviceId, u64, *const Place) -> c_int,
    /// Changes the address to the one that is listened on.
    pub listen: unsafe extern "C" fn(*mut Instance, *mut NativeAddress) -> c_int,
    /// `close_listeners`
    pub close_listeners: unsafe extern "C" fn(*mut Instance),
    /// `accept`
    pub accept: unsafe extern "C" fn(*mut Instance, RequestId, u32, *const u8, usize, *mut PairId) -> c_int,
    /// `reject`
    pub reject: unsafe extern "C" fn(*mut Instance, RequestId),
    /// `connect`
    pub connect: unsafe extern "C" fn(
        *mut Instance,
        *const NativeAddress,
        u32,
        *const u8,
        usize,
        *mut PairId,
    ) -> c_int,
    /// `post`
    pub post: unsafe extern "C" fn(*mut Instance, PairId, *const Work, usize) -> c_int,
    /// `works_max`
    pub works_max: unsafe extern "C" fn(*mut Instance) -> c_int,
    /// `disconnect`
    pub disconnect: unsafe extern "C" fn(*mut Instance, PairId),
    /// `destroy`
    pub destroy: unsafe extern "C" fn(*mut Instance, PairId),
}
