//! Host names of clients, as addresses.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};

use nfs_ops::Network;

use crate::config::{ClientPattern, ExportPlan, width};

/// Addresses of every host name that exports mention, as of the last time they were resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Resolves every name in `exports`. May take as long as name service does. A name that cannot be resolved now
    /// keeps the addresses it has in `before`.
    pub fn resolve(exports: &[ExportPlan], before: &Self) -> Self {
        let mut addresses = HashMap::new();
        for pattern in
            exports.iter().flat_map(|export| export.clients.iter().chain(&export.read_only_clients))
        {
            let ClientPattern::Host(name) = pattern else { continue };
            if !addresses.contains_key(name) {
                addresses.insert(name.clone(), look_up(name, before.addresses.get(name)));
            }
        }
        Self { addresses }
    }

    /// Whether there is any name that may change its addresses.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The networks that `patterns` stand for.
    pub fn networks(&self, patterns: &[ClientPattern]) -> Vec<Network> {
        let mut networks = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            match pattern {
                ClientPattern::Everybody => networks.extend(Network::EVERYBODY),
                ClientPattern::Network(network) => networks.push(*network),
                ClientPattern::Host(name) => {
                    let addresses = self.addresses.get(name).into_iter().flatten();
                    networks
                        .extend(addresses.map(|&address| Network { address, prefix_bits: width(address) }));
                }
            }
        }
        networks
    }
}

fn look_up(name: &str, before: Option<&Vec<IpAddr>>) -> Vec<IpAddr> {
    // The port is not looked at.
    match (name, 0_u16).to_socket_addrs() {
        Ok(found) => {
            let mut found: Vec<_> = found.map(|address| address.ip().to_canonical()).collect();
            found.sort_unstable();
            found.dedup();
            found
        }
        Err(error) => match before {
            Some(known) if !known.is_empty() => {
                tracing::warn!(host = name, "cannot be resolved, keeps its last addresses: {error}");
                known.clone()
            }
            _ => {
                tracing::warn!(host = name, "cannot be resolved, so it has no access: {error}");
                Vec::new()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(clients: &[&str]) -> ExportPlan {
        let clients = clients.iter().map(|text| ClientPattern::parse(text).unwrap()).collect();
        ExportPlan { clients, ..ExportPlan::simple("/".into()) }
    }

    #[test]
    fn names_become_addresses() {
        let plan = export(&["localhost", "10.0.0.0/8"]);
        let hosts = Hosts::resolve(std::slice::from_ref(&plan), &Hosts::default());
        let networks = hosts.networks(&plan.clients);
        assert!(
            networks.iter().any(|network| network.contains("127.0.0.1".parse().unwrap())),
            "{networks:?}"
        );
        assert!(networks.iter().any(|network| network.contains("10.1.2.3".parse().unwrap())));
    }

    #[test]
    fn a_name_that_stops_resolving_keeps_its_addresses() {
        let plan = export(&["no-such-host.invalid"]);
        let nobody = Hosts::resolve(std::slice::from_ref(&plan), &Hosts::default());
        assert_eq!(nobody.networks(&plan.clients), []);
        let known = vec!["192.0.2.1".parse().unwrap()];
        let before = Hosts { addresses: HashMap::from([("no-such-host.invalid".to_owned(), known)]) };
        assert_eq!(Hosts::resolve(std::slice::from_ref(&plan), &before), before);
    }
}
