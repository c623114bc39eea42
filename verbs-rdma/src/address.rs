//! Addresses as C has them.

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage};
use verbs::NativeAddress;

/// The address as a socket's; a mapped one as one of IPv4.
pub(crate) fn to_socket(native: &NativeAddress) -> sockaddr_storage {
    // SAFETY: all fields are numbers, of which 0 is one.
    let mut storage: sockaddr_storage = unsafe { MaybeUninit::zeroed().assume_init() };
    let place = &raw mut storage;
    match IpAddr::from(Ipv6Addr::from(native.octets)).to_canonical() {
        IpAddr::V4(address) => {
            let socket = place.cast::<sockaddr_in>();
            // SAFETY: the storage is large enough for either family, aligned for both, and filled with zeroes.
            unsafe {
                (*socket).sin_family = AF_INET as u16;
                (*socket).sin_port = native.port.to_be();
                (*socket).sin_addr.s_addr = u32::from_ne_bytes(address.octets());
            }
        }
        IpAddr::V6(address) => {
            let socket = place.cast::<sockaddr_in6>();
            // SAFETY: as above.
            unsafe {
                (*socket).sin6_family = AF_INET6 as u16;
                (*socket).sin6_port = native.port.to_be();
                (*socket).sin6_addr.s6_addr = address.octets();
                (*socket).sin6_scope_id = native.scope;
            }
        }
    }
    storage
}

/// A socket's address; none of another family than the two.
///
/// # Safety
/// The pointer is of an address of which as many bytes can be read as its family has.
pub(crate) unsafe fn from_socket(address: *const sockaddr) -> NativeAddress {
    // SAFETY: the caller's promise, here and below.
    match i32::from(unsafe { (*address).sa_family }) {
        AF_INET => {
            // SAFETY: see above.
            let socket = unsafe { &*address.cast::<sockaddr_in>() };
            let octets = Ipv4Addr::from(socket.sin_addr.s_addr.to_ne_bytes()).to_ipv6_mapped().octets();
            NativeAddress { octets, scope: 0, port: u16::from_be(socket.sin_port) }
        }
        AF_INET6 => {
            // SAFETY: see above.
            let socket = unsafe { &*address.cast::<sockaddr_in6>() };
            let (octets, scope) = (socket.sin6_addr.s6_addr, socket.sin6_scope_id);
            NativeAddress { octets, scope, port: u16::from_be(socket.sin6_port) }
        }
        _ => NativeAddress::default(),
    }
}

/// Whether it is the unspecified address of IPv6, which stands for all addresses of both families.
pub(crate) fn is_any(native: &NativeAddress) -> bool {
    native.octets == [0; 16]
}
