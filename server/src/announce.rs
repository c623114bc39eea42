//! How to mount what is served, said at start, and what the service manager is told.

use std::io::Write;

use nfs_ops::Protocol;
use sd_notify::NotifyState;

use crate::config::{ClientPattern, ExportPlan, NFS_PORT, ServerSettings};

/// One mount command for each export, by the newest of its protocols.
pub fn mount_commands(exports: &[ExportPlan], host: &str, server: &ServerSettings) -> Vec<String> {
    let port = server.port;
    // Addresses of IPv6 have colons too.
    let (host, transport) =
        if host.contains(':') { (format!("[{host}]"), "tcp6") } else { (host.to_owned(), "tcp") };
    let command = |export: &ExportPlan| {
        let newest = export.protocols.iter().last().expect("an export has a protocol");
        let (kind, more) = match newest {
            Protocol::V3 => {
                let (port, mount_port) = (server.port_of_nfs3(), server.port_of_mount());
                // Locks of NFSv3 are a protocol of their own, which is not served; ports that are not said are asked
                // of an rpcbind that need not be there.
                ("nfs", format!(",nolock,proto={transport},port={port},mountport={mount_port}"))
            }
            _ if port == NFS_PORT => ("nfs4", String::new()),
            _ => ("nfs4", format!(",port={port}")),
        };
        let version = newest.name();
        format!("mount -t {kind} -o vers={version}{more} {host}:{} /mnt", quoted(&export.pseudo_path()))
    };
    exports.iter().map(command).collect()
}

/// Prints what is served and how to mount it.
pub fn print(exports: &[ExportPlan], host: &str, server: &ServerSettings) {
    let mut text = format!("penstock serves on {}:\n", server.show_ports());
    for (export, command) in exports.iter().zip(mount_commands(exports, host, server)) {
        let clients: Vec<_> = export.clients.iter().map(ClientPattern::to_string).collect();
        let readers: Vec<_> =
            export.read_only_clients.iter().map(|client| format!("{client} (ro)")).collect();
        text += &format!(
            "  {} as {}, {}, by NFS {}, to {}\n    {command}\n",
            export.path.display(),
            export.pseudo_path(),
            if export.read_only { "read-only" } else { "read-write" },
            export.protocol_names().join(" "),
            [clients, readers].concat().join(" "),
        );
    }
    // Nobody may be reading; that is no reason not to serve.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Tells the service manager, if there is one.
pub fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

/// A reload begins (systemd wants the time along with it).
pub fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the service manager cannot be told: {error}"),
    }
}

/// The path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@%".contains(character);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use nfs_ops::Protocols;

    use super::*;

    #[test]
    fn commands_fit_port_place_and_protocols() {
        let mut export = ExportPlan::simple("/srv".into());
        let command_at = |host, export: &ExportPlan, port| {
            let server = ServerSettings { port, mount_port: Some(20048), ..ServerSettings::default() };
            mount_commands(std::slice::from_ref(export), host, &server).remove(0)
        };
        let command = |export: &ExportPlan, port| command_at("filer", export, port);
        assert_eq!(command(&export, 2049), "mount -t nfs4 -o vers=4.2 filer:/ /mnt");
        export.pseudo = vec!["a b".into()];
        assert_eq!(command(&export, 2050), "mount -t nfs4 -o vers=4.2,port=2050 filer:'/a b' /mnt");
        export.protocols = Protocols::NONE.with(Protocol::V3).with(Protocol::V41);
        assert_eq!(command(&export, 2049), "mount -t nfs4 -o vers=4.1 filer:'/a b' /mnt");
        export.protocols = Protocols::NONE.with(Protocol::V3);
        let by_mount = "mount -t nfs -o vers=3,nolock,proto=tcp,port=2049,mountport=20048 filer:'/a b' /mnt";
        assert_eq!(command(&export, 2049), by_mount);
        let by_mount =
            "mount -t nfs -o vers=3,nolock,proto=tcp6,port=2049,mountport=20048 [fd00::1]:'/a b' /mnt";
        assert_eq!(command_at("fd00::1", &export, 2049), by_mount);
    }
}
