//! Answers of rpcbind.

use wire::rpcbind::{Binding, Bindings, TCP, TCP6, Text};

use crate::encoded;

/// One of each: name, bytes.
pub fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let binding = |network_id, address| Binding {
        program: 100_003,
        version: 3,
        network_id: Text::from(network_id),
        address: Text::from(address),
        owner: "superuser".into(),
    };
    let bindings = vec![
        binding(TCP, "0.0.0.0.8.1"),
        binding(TCP6, "fd00::1:2.78.80"),
        binding("local", "/run/rpcbind.sock"),
    ];
    vec![("empty", encoded(&Bindings::from(Vec::new()))), ("bindings", encoded(&Bindings::from(bindings)))]
}
