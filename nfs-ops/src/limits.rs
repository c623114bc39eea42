//! Who can be limited, and under which keys they stand in the tree of limits.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64};

use qos::limits::{Entity, IO_UNIT_BYTES_DEFAULT, Limits, Tier};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::export::Network;
use crate::file_sets::{FILE_SET_BITS, FileSet, FileSets};
use crate::handle::ExportId;

/// What can have a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limited {
    /// The server as a whole.
    Server,
    /// An export, below the server.
    Export(ExportId),
    /// A file set, below its export.
    Files(FileSet),
    /// A client, by the address that its connections come from.
    Client(IpAddr),
    /// What a [`Rule`] puts together.
    Group(Group),
}

/// A group of requests, by a hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(u128);

impl Group {
    /// The group of this name. The hash has no secret, so that a group is the same after a restart: names are the
    /// administrator's, and two with the same hash are refused where rules are read.
    pub fn named(name: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        Self(hasher.finish128().as_u128() >> KIND_BITS)
    }
}

/// A client's key is its address. The other kinds have keys among the addresses of multicast (ff00::/8, RFC 4291 §2.7),
/// from which no connection comes: a kind above, what it counts below.
const KIND_BITS: u32 = 16;
const KIND_SHIFT: u32 = 128 - KIND_BITS;
const SERVER: u128 = 0xff01;
const EXPORT: u128 = 0xff02;
const GROUP: u128 = 0xff03;
const FILES: u128 = 0xff04;

impl Limited {
    /// Its key, the same at every start.
    pub fn entity(self) -> Entity {
        let of_kind = |kind: u128, number: u128| Entity(kind << KIND_SHIFT | number);
        match self {
            Self::Server => of_kind(SERVER, 0),
            Self::Export(ExportId(id)) => of_kind(EXPORT, id.into()),
            Self::Files(FileSet { export: ExportId(id), number }) => {
                of_kind(FILES, u128::from(id) << FILE_SET_BITS | number)
            }
            Self::Group(Group(hash)) => of_kind(GROUP, hash),
            Self::Client(IpAddr::V4(address)) => Entity(address.to_ipv6_mapped().to_bits()),
            Self::Client(IpAddr::V6(address)) => Entity(address.to_bits()),
        }
    }

    /// Whose key this is. `None`: nobody's.
    pub fn of(Entity(key): Entity) -> Option<Self> {
        let number = key & (u128::MAX >> KIND_BITS);
        match key >> KIND_SHIFT {
            SERVER => (number == 0).then_some(Self::Server),
            EXPORT => u32::try_from(number).ok().map(|id| Self::Export(ExportId(id))),
            FILES => Some(Self::Files(FileSet {
                export: ExportId((number >> FILE_SET_BITS) as u32),
                number: number & ((1 << FILE_SET_BITS) - 1),
            })),
            GROUP => Some(Self::Group(Group(number))),
            _ => Self::client(Ipv6Addr::from_bits(key).into()),
        }
    }

    /// The client at this address. `None`: no connection comes from there.
    pub fn client(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        (!address.is_multicast() && !address.is_unspecified()).then_some(Self::Client(address))
    }

    /// Whether it is what all compete for: the weights and tiers of those who wait for it count on all cores together.
    pub fn is_scarce(self) -> bool {
        self == Self::Server
    }

    /// What it is a part of.
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Files(set) => Some(Self::Export(set.export)),
            Self::Export(_) => Some(Self::Server),
            Self::Server | Self::Client(_) | Self::Group(_) => None,
        }
    }
}

/// Which requests belong to a group. What is empty does not matter; all else must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The group's name.
    pub name: String,
    /// Where the client is.
    pub clients: Vec<Network>,
    /// Who asks, before squashing.
    pub users: Vec<u32>,
    /// What is asked for.
    pub exports: Vec<ExportId>,
    /// The share of the group where its limit says nothing.
    pub weight: Option<NonZeroU32>,
    /// The order of service where its limit says nothing.
    pub tier: Option<Tier>,
    /// What is reserved for the group where its limit says nothing, in bytes per second.
    pub reserved: Option<NonZeroU64>,
}

impl Rule {
    /// The group that it makes.
    pub fn group(&self) -> Group {
        Group::named(&self.name)
    }

    /// Whether a request belongs to the group.
    pub fn fits(&self, client: IpAddr, user: Option<u32>, export: Option<ExportId>) -> bool {
        let fits_user = || user.is_some_and(|user| self.users.contains(&user));
        let fits_export = || export.is_some_and(|export| self.exports.contains(&export));
        (self.clients.is_empty() || self.clients.iter().any(|network| network.contains(client)))
            && (self.users.is_empty() || fits_user())
            && (self.exports.is_empty() || fits_export())
    }
}

/// The limits of a server.
#[derive(Clone, Debug)]
pub struct Limiting {
    /// What is in force.
    pub table: Limits,
    /// The groups; a request belongs to the first that fits.
    pub rules: Vec<Rule>,
    /// The directories that have limits.
    pub file_sets: FileSets,
    /// For so many bytes of payload begun, a request counts as one operation.
    pub io_unit_bytes: u64,
}

impl Default for Limiting {
    fn default() -> Self {
        Self {
            table: Limits::new(),
            rules: Vec::new(),
            file_sets: FileSets::default(),
            io_unit_bytes: IO_UNIT_BYTES_DEFAULT,
        }
    }
}

impl Limiting {
    /// The rule that a request belongs to.
    pub fn rule(&self, client: IpAddr, user: Option<u32>, export: Option<ExportId>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(client, user, export))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back() {
        let all = [
            Limited::Server,
            Limited::Export(ExportId(1)),
            Limited::Export(ExportId(u32::MAX)),
            Limited::Client("10.0.0.7".parse().unwrap()),
            Limited::Client("::1".parse().unwrap()),
            Limited::Client("fe80::1".parse().unwrap()),
            Limited::Group(Group::named("batch")),
            Limited::Group(Group::named("")),
            Limited::Files(FileSet::at(ExportId(1), b"a")),
            Limited::Files(FileSet::at(ExportId(u32::MAX), b"a")),
        ];
        for (number, one) in all.into_iter().enumerate() {
            assert_eq!(Limited::of(one.entity()), Some(one));
            assert!(all[..number].iter().all(|other| other.entity() != one.entity()), "{one:?}");
        }
        let mapped: IpAddr = "::ffff:10.0.0.7".parse().unwrap();
        assert_eq!(Limited::client(mapped), Limited::client("10.0.0.7".parse().unwrap()));
    }

    #[test]
    fn keys_are_the_same_at_every_start() {
        assert_eq!(Limited::Export(ExportId(7)).entity().0, 0xff02_u128 << 112 | 7);
        assert_eq!(
            Limited::Files(FileSet::at(ExportId(7), b"a/b")).entity().0,
            0xff04_0000_0007_9f41_6795_a860_04e5_a66b
        );
        assert_eq!(
            Limited::Group(Group::named("batch")).entity().0,
            0xff03_8a45_fbc6_3025_f099_4155_5ae4_b6a1
        );
    }

    #[test]
    fn no_client_has_the_key_of_something_else() {
        for nowhere in ["0.0.0.0", "::", "224.0.0.1", "ff01::", "ff02::1", "ff03::7", "ff04::7"] {
            assert_eq!(Limited::client(nowhere.parse().unwrap()), None, "{nowhere}");
        }
        for nobody in [0, 0xff01 << 112 | 1, 0xff02 << 112 | 1 << 32, 0xff05 << 112] {
            assert_eq!(Limited::of(Entity(nobody)), None, "{nobody:#x}");
        }
    }

    #[test]
    fn a_rule_fits_where_all_that_it_says_does() {
        let rule = Rule {
            clients: vec![Network { address: "10.0.0.0".parse().unwrap(), prefix_bits: 8 }],
            users: vec![1000],
            ..Rule::default()
        };
        let (near, far) = ("10.1.2.3".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let export = Some(ExportId(1));
        assert!(rule.fits(near, Some(1000), None) && rule.fits(near, Some(1000), export));
        assert!(!rule.fits(far, Some(1000), None) && !rule.fits(near, Some(0), None));
        assert!(!rule.fits(near, None, export), "who does not say who asks is no user of the rule's");
        let of_export = Rule { name: "of export".into(), exports: vec![ExportId(1)], ..Rule::default() };
        let limiting = Limiting { rules: vec![rule, of_export], ..Limiting::default() };
        let name = |client, user, export| limiting.rule(client, user, export).map(|rule| &rule.name[..]);
        assert_eq!(name(far, None, export), Some("of export"));
        assert_eq!(name(near, Some(1000), export), Some(""), "the first that fits");
        assert_eq!(name(far, None, Some(ExportId(2))), None);
    }
}
