//! Which host an address is of.

use std::net::IpAddr;

/// Bits of an IPv6 address that name a network: a host has all addresses of one (RFC 4291 §2.5.4).
const NETWORK_BITS: u32 = 64;

/// What all addresses of one host have in common.
pub fn origin(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> NETWORK_BITS << NETWORK_BITS,
    }
}
