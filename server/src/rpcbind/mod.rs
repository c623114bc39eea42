//! Registration with rpcbind, of which clients of NFSv3 ask the ports (RFC 1833).
//!
//! Done where the server is started, reloaded and stopped, never on a shard. The server serves without it too: whatever goes
//! wrong is a line of the log.

mod connection;

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use nfs_ops::Protocol;
use wire::rpcbind::{Binding, Bindings, PROGRAM, Procedure, UniversalAddress, VERSION};
use wire::{mount3, nfs3, nfs4};

use crate::cli::Rpcbind;
use crate::config::{ExportPlan, ServerSettings};
use connection::{Connection, Error};

/// The procedure that every program has, and that does nothing.
const NULL: u32 = 0;

/// This server's registration. Clones are the same.
#[derive(Clone)]
pub struct Registration(Arc<Mutex<State>>);

struct State {
    /// Whether anything is to be registered.
    open: bool,
    /// The addresses that are listened on, at every port.
    addresses: BTreeSet<IpAddr>,
    server: ServerSettings,
    /// What has been registered, and is while rpcbind has it at these addresses.
    registered: Vec<Service>,
}

/// A version of a program at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Service {
    program: Program,
    address: UniversalAddress,
}

/// What is served, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Nfs4,
    Nfs3,
    Mount3,
}

/// Why nothing, or not all, is registered.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no rpcbind answers on this machine")]
    Absent,
    #[error("rpcbind fails: {0}")]
    Failed(#[from] Error),
    #[error("rpcbind has {0} of another server, which answers")]
    Taken(Service),
    #[error("rpcbind refuses to register {0}")]
    Refused(Service),
}

impl Registration {
    /// Of a server that listens on these addresses. Nothing is registered yet.
    pub fn new(server: &ServerSettings, addresses: impl Iterator<Item = IpAddr>) -> Self {
        Self(Arc::new(Mutex::new(State {
            open: server.rpcbind == Rpcbind::Auto,
            addresses: addresses.collect(),
            server: server.clone(),
            registered: Vec::new(),
        })))
    }

    /// Registers what these exports can be used by, and nothing else any more.
    pub fn offer(&self, exports: &[ExportPlan]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open {
            let wanted = state.wanted(exports);
            let outcome = state.register(&wanted);
            state.tell(&wanted, outcome);
        }
    }

    /// Takes back what is registered; nothing will be any more.
    pub fn withdraw(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = false;
        if !state.registered.is_empty()
            && let Err(problem) = state.register(&[])
        {
            tracing::warn!(
                "{problem}: it keeps the registration of this server, until `rpcinfo -d` or the next start"
            );
        }
    }
}

impl State {
    fn wanted(&self, exports: &[ExportPlan]) -> Vec<Service> {
        let has = |protocol| exports.iter().any(|export: &ExportPlan| export.protocols.contains(protocol));
        let mut programs = Vec::new();
        if has(Protocol::V41) || has(Protocol::V42) {
            programs.push((Program::Nfs4, self.server.port));
        }
        if has(Protocol::V3) {
            programs.push((Program::Nfs3, self.server.port_of_nfs3()));
            programs.push((Program::Mount3, self.server.port_of_mount()));
        }
        let at = |address: IpAddr| {
            programs.iter().map(move |&(program, port)| Service {
                program,
                address: UniversalAddress(SocketAddr::new(address, port)),
            })
        };
        one_of_each_family(&self.addresses).into_iter().flat_map(at).collect()
    }

    /// Makes `wanted` what is registered of this server, unless another server has any of it.
    fn register(&mut self, wanted: &[Service]) -> Result<(), Problem> {
        let mut rpcbind = Connection::to_rpcbind().map_err(|_| Problem::Absent)?;
        let dump = rpcbind.call(PROGRAM, VERSION, Procedure::Dump.number(), &())?;
        let bindings: Bindings<'_> = dump.results()?;
        let binding_of = |service: &Service| bindings.iter().find(|binding| service.is_bound_by(binding));
        let of_another = |service: &Service| {
            let address = UniversalAddress::parse(&binding_of(service)?.address)?;
            let answers = !self.is_own(address.0) && service.program.answers_at(address.0);
            answers.then_some(Service { address, ..*service })
        };
        if let Some(theirs) = wanted.iter().find_map(of_another) {
            return Err(Problem::Taken(theirs));
        }
        let mut change = |procedure: Procedure, service: &Service| {
            let address = service.address.to_string();
            let done = rpcbind.call(PROGRAM, VERSION, procedure.number(), &service.binding(&address))?;
            done.results::<bool>()
        };
        // What has changed hands since is not ours to remove.
        let is_still = |service: &&Service| {
            binding_of(service)
                .is_some_and(|binding| *binding.address == *service.address.to_string().as_bytes())
        };
        for service in self.registered.iter().filter(|service| !wanted.contains(service)).filter(is_still) {
            change(Procedure::Unset, service)?;
        }
        self.registered = wanted.to_vec();
        let mut refused = None;
        for service in wanted {
            // RFC 1833 §2.2.1: SET refuses where there is a binding, be it of a server that has died.
            if binding_of(service).is_some() {
                change(Procedure::Unset, service)?;
            }
            if !change(Procedure::Set, service)? {
                refused = Some(*service);
            }
        }
        refused.map_or(Ok(()), |service| Err(Problem::Refused(service)))
    }

    /// Whether nobody but this server can be listening at an address.
    fn is_own(&self, address: SocketAddr) -> bool {
        let listens = |own: &IpAddr| own.is_unspecified() || *own == address.ip();
        self.server.ports().iter().any(|(_, port)| *port == address.port())
            && (address.ip().is_unspecified() || self.addresses.iter().any(listens))
    }

    fn tell(&self, wanted: &[Service], outcome: Result<(), Problem>) {
        let Err(problem) = outcome else {
            let services: Vec<_> = wanted.iter().map(Service::to_string).collect();
            tracing::info!("registered with rpcbind: {}", services.join(", "));
            return;
        };
        if wanted.iter().all(|service| service.program == Program::Nfs4) {
            tracing::debug!("{problem}; clients of NFSv4 do not ask it");
            return;
        }
        let follows = format!(
            "{problem}: clients of NFSv3 must be told `port={},mountport={}`, and showmount does not find this server",
            self.server.port_of_nfs3(),
            self.server.port_of_mount()
        );
        match problem {
            Problem::Absent => {
                tracing::info!("{follows}; start rpcbind and reload (SIGHUP), if they are to ask it")
            }
            Problem::Taken(_) => tracing::warn!("{follows}; stop the other server and reload (SIGHUP)"),
            Problem::Failed(_) | Problem::Refused(_) => {
                tracing::warn!("{follows}; look at rpcbind, and reload (SIGHUP)");
            }
        }
    }
}

impl Service {
    fn binding<'a>(&self, address: &'a str) -> Binding<'a> {
        let (program, version) = self.program.number();
        let network_id = self.address.network_id().into();
        Binding { program, version, network_id, address: address.into(), owner: "".into() }
    }

    fn is_bound_by(&self, binding: &Binding<'_>) -> bool {
        (binding.program, binding.version) == self.program.number()
            && *binding.network_id == *self.address.network_id().as_bytes()
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.program {
            Program::Nfs4 => "NFS 4",
            Program::Nfs3 => "NFS 3",
            Program::Mount3 => "MOUNT 3",
        };
        write!(formatter, "{name} at {}", self.address.0)
    }
}

impl Program {
    /// Number and version.
    fn number(self) -> (u32, u32) {
        match self {
            Program::Nfs4 => (nfs4::PROGRAM, nfs4::VERSION),
            Program::Nfs3 => (nfs3::PROGRAM, nfs3::VERSION),
            Program::Mount3 => (mount3::PROGRAM, mount3::VERSION),
        }
    }

    /// Whether it is served at an address of this machine. Who is only slow is there.
    fn answers_at(self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(reached(address.ip()), address.port());
        let (program, version) = self.number();
        match Connection::to(address) {
            Ok(mut there) => !matches!(there.call(program, version, NULL, &()), Err(Error::NotServed)),
            Err(error) => error.kind() == ErrorKind::TimedOut,
        }
    }
}

/// Where this machine reaches who listens on an address.
fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

/// What is registered for these addresses, as rpcbind has one for each family: the only one of it, or any.
fn one_of_each_family(addresses: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
    let of = |is_family: fn(&IpAddr) -> bool, any: IpAddr| {
        let mut own = addresses.iter().filter(|address| is_family(address));
        own.next().map(|first| if own.next().is_none() { *first } else { any })
    };
    let any_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    // Who listens on [::] listens on IPv4 as well.
    let v4 = if addresses.contains(&any_v6) { Some(any_v4) } else { of(IpAddr::is_ipv4, any_v4) };
    v4.into_iter().chain(of(IpAddr::is_ipv6, any_v6)).collect()
}

#[cfg(test)]
mod tests {
    use nfs_ops::Protocols;

    use super::*;

    fn state(server: ServerSettings, addresses: &[&str]) -> State {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        State { open: true, addresses, server, registered: Vec::new() }
    }

    fn wanted(server: ServerSettings, addresses: &[&str], protocols: Protocols) -> Vec<String> {
        let mut export = ExportPlan::simple("/srv".into());
        export.protocols = protocols;
        state(server, addresses).wanted(&[export]).iter().map(Service::to_string).collect()
    }

    #[test]
    fn what_is_served_is_registered_where_it_is_served() {
        let main = ServerSettings::default();
        let only_v4 = Protocols::NONE.with(Protocol::V41);
        assert_eq!(wanted(main.clone(), &["::"], only_v4), ["NFS 4 at 0.0.0.0:2049", "NFS 4 at [::]:2049"]);
        assert_eq!(wanted(main.clone(), &["10.0.0.1"], only_v4), ["NFS 4 at 10.0.0.1:2049"]);
        let several = ["10.0.0.1", "10.0.0.2", "fd00::1"];
        assert_eq!(
            wanted(main.clone(), &several, only_v4),
            ["NFS 4 at 0.0.0.0:2049", "NFS 4 at [fd00::1]:2049"]
        );
        let only_v3 = Protocols::NONE.with(Protocol::V3);
        assert_eq!(
            wanted(main.clone(), &["0.0.0.0"], only_v3),
            ["NFS 3 at 0.0.0.0:2049", "MOUNT 3 at 0.0.0.0:2049"]
        );
        let beside = ServerSettings { nfs3_port: Some(2050), mount_port: Some(20048), ..main };
        assert_eq!(
            wanted(beside, &["10.0.0.1"], Protocols::ALL),
            ["NFS 4 at 10.0.0.1:2049", "NFS 3 at 10.0.0.1:2050", "MOUNT 3 at 10.0.0.1:20048"]
        );
    }

    #[test]
    fn nobody_else_listens_where_this_server_does() {
        let server = ServerSettings { mount_port: Some(20048), ..ServerSettings::default() };
        for (listening, address, own) in [
            ("::", "10.0.0.1:2049", true),
            ("::", "0.0.0.0:20048", true),
            ("::", "0.0.0.0:2050", false),
            ("10.0.0.1", "10.0.0.1:2049", true),
            ("10.0.0.1", "0.0.0.0:2049", true),
            ("10.0.0.1", "10.0.0.2:2049", false),
        ] {
            assert_eq!(
                state(server.clone(), &[listening]).is_own(address.parse().unwrap()),
                own,
                "{address}"
            );
        }
    }

    #[test]
    fn who_is_gone_does_not_answer() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        assert!(Program::Mount3.answers_at(address), "who is slow is there");
        drop(listener);
        assert!(!Program::Mount3.answers_at(address));
    }
}
