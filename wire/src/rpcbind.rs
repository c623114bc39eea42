//! rpcbind, versions 3 and 4 (RFC 1833 §2): where on a host the programs of RPC are found. The procedures here are the same
//! in both versions.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::xdr::{Chain, Opaque, xdr_enum, xdr_struct};

/// RPC program number.
pub const PROGRAM: u32 = 100_000;
/// The version of the program that every rpcbind has.
pub const VERSION: u32 = 3;
/// Its port.
pub const PORT: u16 = 111;
/// The network id of TCP over IPv4 (RFC 5665 §5.1).
pub const TCP: &str = "tcp";
/// The network id of TCP over IPv6.
pub const TCP6: &str = "tcp6";
/// Longest string accepted, in bytes; the published text has no bound.
pub const STRING_MAX: usize = 255;
/// Bindings accepted in one list; a busy host has some dozens.
const BINDINGS_MAX: usize = 4096;

/// A short string.
pub type Text<'a> = Opaque<'a, STRING_MAX>;

xdr_enum! {
/// A procedure of the program.
pub enum Procedure = "RPCBVERS" {
    /// Takes a [`Binding`] and tells whether it is in force now; not, when another one was.
    Set = 1 "RPCBPROC_SET",
    /// Takes a [`Binding`], of which program, version and network id count, and tells whether it was removed.
    Unset = 2 "RPCBPROC_UNSET",
    /// Gives [`Bindings`].
    Dump = 4 "RPCBPROC_DUMP",
}
}

xdr_struct! {
/// Where a program is found.
#[derive(Copy)]
pub struct Binding<'a> = "rpcb" {
    program: u32 = "r_prog",
    version: u32 = "r_vers",
    /// Such as [`TCP`].
    network_id: Text<'a> = "r_netid",
    /// A [`UniversalAddress`].
    address: Text<'a> = "r_addr",
    /// Who has registered it; rpcbind takes that from its caller, not from here.
    owner: Text<'a> = "r_owner",
}
}

/// All that is registered (`rpcblist_ptr`).
pub type Bindings<'a> = Chain<Binding<'a>, BINDINGS_MAX>;

/// An address and port as RPC writes them (RFC 5665 §5.2.3.3, §5.2.3.4): both bytes of the port, in decimal, behind the
/// address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniversalAddress(pub SocketAddr);

impl UniversalAddress {
    /// The address that `text` is, if it is one of TCP or UDP.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.rsplitn(3, '.');
        let low: u8 = parts.next()?.parse().ok()?;
        let high: u8 = parts.next()?.parse().ok()?;
        let address: IpAddr = parts.next()?.parse().ok()?;
        Some(UniversalAddress(SocketAddr::new(address, u16::from_be_bytes([high, low]))))
    }

    /// The network id of TCP to this address.
    pub fn network_id(&self) -> &'static str {
        if self.0.is_ipv4() { TCP } else { TCP6 }
    }
}

impl fmt::Display for UniversalAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.0.port().to_be_bytes();
        write!(formatter, "{}.{high}.{low}", self.0.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_and_read_as_rfc_5665_says() {
        for (address, text, network_id) in [
            ("10.1.3.7:514", "10.1.3.7.2.2", TCP),
            ("0.0.0.0:2049", "0.0.0.0.8.1", TCP),
            ("[::]:2049", "::.8.1", TCP6),
            ("[fd00::1:2]:20048", "fd00::1:2.78.80", TCP6),
        ] {
            let address = UniversalAddress(address.parse().unwrap());
            assert_eq!((address.to_string().as_str(), address.network_id()), (text, network_id));
            assert_eq!(UniversalAddress::parse(text.as_bytes()), Some(address));
        }
        let others = [
            &b""[..],
            b"8.1",
            b"10.0.0.1",
            b"10.0.0.1.8",
            b"10.0.0.1.256.1",
            b"/run/rpcbind.sock",
            b"\xff.8.1",
        ];
        for other in others {
            assert_eq!(UniversalAddress::parse(other), None, "{}", other.escape_ascii());
        }
    }
}
