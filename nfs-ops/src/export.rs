//! Exports: which storage is shown where, to whom, and as whom they act.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::handle::ExportId;
use crate::pseudo::PseudoTree;

/// Whose identity is taken from a caller (exports(5) "User ID Mapping").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squash {
    /// Everybody is who they say.
    Nobody,
    /// The superuser becomes the anonymous user.
    Root,
    /// Everybody becomes the anonymous user.
    All,
}

/// A version of NFS that an export can be used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// NFSv3 (RFC 1813), and the MOUNT protocol before it.
    V3,
    /// NFSv4.1 (RFC 8881).
    V41,
    /// NFSv4.2 (RFC 7862).
    V42,
}

impl Protocol {
    /// All that are served.
    pub const ALL: [Protocol; 3] = [Protocol::V3, Protocol::V41, Protocol::V42];

    /// The protocol of this minor version of NFSv4, if it is served.
    pub fn of_minor(minor: u32) -> Option<Self> {
        match minor {
            1 => Some(Protocol::V41),
            2 => Some(Protocol::V42),
            _ => None,
        }
    }

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::V3 => "3",
            Protocol::V41 => "4.1",
            Protocol::V42 => "4.2",
        }
    }
}

/// A set of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols(u8);

impl Protocols {
    /// None.
    pub const NONE: Protocols = Protocols(0);

    /// All that are served.
    pub const ALL: Protocols = Protocols::NONE.with(Protocol::V3).with(Protocol::V41).with(Protocol::V42);

    /// These and one more.
    #[must_use]
    pub const fn with(self, protocol: Protocol) -> Self {
        Protocols(self.0 | 1 << protocol as u8)
    }

    /// Whether `protocol` is among them.
    pub fn contains(self, protocol: Protocol) -> bool {
        self == self.with(protocol)
    }

    /// Each of them, from the oldest on.
    pub fn iter(self) -> impl Iterator<Item = Protocol> {
        Protocol::ALL.into_iter().filter(move |protocol| self.contains(*protocol))
    }
}

/// A network: all addresses that share the first `prefix_bits` with `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of the network.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix_bits: u8,
}

impl Network {
    /// The network of every address of either family is the list of both of these.
    pub const EVERYBODY: [Network; 2] = [
        Network { address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), prefix_bits: 0 },
        Network { address: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED), prefix_bits: 0 },
    ];

    /// Whether `address` is in the network. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(network.to_bits().into(), address.to_bits().into(), 32, self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), 128, self.prefix_bits)
            }
            _ => false,
        }
    }
}

/// As `exports` files have it: `10.0.0.0/8`, and a host by its address alone.
impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        self.address.fmt(formatter)?;
        if self.prefix_bits == width { Ok(()) } else { write!(formatter, "/{}", self.prefix_bits) }
    }
}

fn same_prefix(one: u128, other: u128, bits: u32, prefix_bits: u8) -> bool {
    let ignored = bits.saturating_sub(prefix_bits.into());
    ignored >= bits || (one ^ other) >> ignored == 0
}

/// The settings of one export.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// Names the export in file handles.
    pub id: ExportId,
    /// Where it stands in the pseudo file system: components from the root; none means the root itself.
    pub pseudo_path: Vec<String>,
    /// Who may use it.
    pub clients: Vec<Network>,
    /// Who of these may only read.
    pub read_only_clients: Vec<Network>,
    /// Nobody may change anything.
    pub read_only: bool,
    /// Whose identity is taken away.
    pub squash: Squash,
    /// User id of the anonymous user.
    pub anonymous_uid: u32,
    /// Group id of the anonymous user.
    pub anonymous_gid: u32,
    /// Callers must use a port below 1024.
    pub privileged_port: bool,
    /// Supplementary groups are looked up on the server (a caller can send 16 at most).
    pub lookup_groups: bool,
    /// READ_PLUS is answered; otherwise NFS4ERR_NOTSUPP, so that clients use READ.
    pub read_plus: bool,
    /// By which protocols it can be used.
    pub protocols: Protocols,
}

/// What a caller may do on an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and write.
    Write,
}

impl ExportSettings {
    /// What a caller at `address` and `port` may do by `protocol`.
    pub fn permission(&self, protocol: Protocol, address: IpAddr, port: u16) -> Permission {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        let read_only = within(&self.read_only_clients);
        let refused = !self.protocols.contains(protocol) || self.privileged_port && port >= 1024;
        if refused || !(read_only || within(&self.clients)) {
            Permission::None
        } else if self.read_only || read_only {
            Permission::Read
        } else {
            Permission::Write
        }
    }
}

/// One export on one core.
#[derive(Debug)]
pub struct Export<V> {
    /// Its settings.
    pub settings: Arc<ExportSettings>,
    /// Its storage.
    pub storage: V,
}

/// All exports on one core, as of the last reload. A compound keeps the table it began with.
#[derive(Debug)]
pub struct ExportTable<V> {
    exports: Vec<Rc<Export<V>>>,
    /// The pseudo file system that leads to them.
    pub pseudo: PseudoTree,
}

impl<V> ExportTable<V> {
    /// A table of `exports`. Their places must not be at or below one another.
    ///
    /// # Errors
    /// The two pseudo paths that are in each other's way.
    pub fn new(exports: Vec<Export<V>>) -> Result<Self, PlaceConflict> {
        let pseudo = PseudoTree::new(
            exports.iter().map(|export| (&export.settings.pseudo_path[..], export.settings.id)),
        )?;
        Ok(Self { exports: exports.into_iter().map(Rc::new).collect(), pseudo })
    }

    /// The export `id`, if it is (still) exported.
    pub fn find(&self, id: ExportId) -> Option<&Rc<Export<V>>> {
        self.exports.iter().find(|export| export.settings.id == id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Export<V>>> {
        self.exports.iter()
    }
}

/// Two exports want places of which one is at or below the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pseudo path {inner} is at or below the export {outer}")]
pub struct PlaceConflict {
    /// The outer one.
    pub outer: String,
    /// The one at or below it.
    pub inner: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let (address, bits) = text.split_once('/').unwrap();
        Network { address: address.parse().unwrap(), prefix_bits: bits.parse().unwrap() }
    }

    #[test]
    fn networks_contain_what_shares_their_prefix() {
        for (text, address, expected) in [
            ("10.1.0.0/16", "10.1.255.1", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("0.0.0.0/0", "200.1.1.1", true),
            ("10.1.0.0/16", "::ffff:10.1.2.3", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "10.0.0.1", false),
        ] {
            assert_eq!(network(text).contains(address.parse().unwrap()), expected, "{address} in {text}");
        }
    }

    #[test]
    fn permission_follows_lists_port_and_protocol() {
        let settings = ExportSettings {
            id: ExportId(1),
            pseudo_path: vec![],
            clients: vec![network("10.0.0.0/8")],
            read_only_clients: vec![network("10.9.0.0/16")],
            read_only: false,
            squash: Squash::Root,
            anonymous_uid: 65534,
            anonymous_gid: 65534,
            privileged_port: true,
            lookup_groups: false,
            read_plus: false,
            protocols: Protocols::NONE.with(Protocol::V3).with(Protocol::V42),
        };
        for (protocol, address, port, expected) in [
            (Protocol::V42, "10.1.1.1", 700, Permission::Write),
            (Protocol::V3, "10.1.1.1", 700, Permission::Write),
            (Protocol::V41, "10.1.1.1", 700, Permission::None),
            (Protocol::V42, "10.1.1.1", 1024, Permission::None),
            (Protocol::V42, "10.9.1.1", 700, Permission::Read),
            (Protocol::V42, "11.1.1.1", 700, Permission::None),
        ] {
            let permission = settings.permission(protocol, address.parse().unwrap(), port);
            assert_eq!(permission, expected, "{protocol:?} {address}:{port}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        assert!(Protocols::NONE.iter().next().is_none());
        assert!(Protocols::ALL.iter().eq(Protocol::ALL));
        let some = Protocols::NONE.with(Protocol::V42).with(Protocol::V3).with(Protocol::V3);
        assert!(some.iter().eq([Protocol::V3, Protocol::V42]));
    }
}
