//! How to mount what is served, said at start, and what the service manager is told.

use std::io::Write;

use nfs_ops::Protocol;
use sd_notify::NotifyState;

use crate::config::{ClientPattern, ExportPlan, NFS_PORT, ServerSettings};

/// The mount commands of an export: by the newest of its protocols, and by NFSv3, which takes other options, if that is
/// another.
fn mount_commands(export: &ExportPlan, host: &str, server: &ServerSettings) -> Vec<String> {
    let port = server.port;
    // Addresses of IPv6 have colons too.
    let (host, transport) =
        if host.contains(':') { (format!("[{host}]"), "tcp6") } else { (host.to_owned(), "tcp") };
    let newest = export.protocols.iter().last().expect("an export has a protocol");
    let of_nfs3 = (newest != Protocol::V3 && export.protocols.contains(Protocol::V3)).then_some(Protocol::V3);
    let command = |protocol: Protocol| {
        let (kind, more) = match protocol {
            Protocol::V3 => {
                let (port, mount_port) = (server.port_of_nfs3(), server.port_of_mount());
                // Locks of NFSv3 are a protocol of their own, which is not served; ports that are not said are asked
                // of an rpcbind that need not be there.
                ("nfs ", format!(",nolock,proto={transport},port={port},mountport={mount_port}"))
            }
            _ if port == NFS_PORT => ("nfs4", String::new()),
            _ => ("nfs4", format!(",port={port}")),
        };
        let (version, path) = (protocol.name(), quoted(&export.pseudo_path()));
        format!("mount -t {kind} -o vers={version}{more} {host}:{path} /mnt")
    };
    [newest].into_iter().chain(of_nfs3).map(command).collect()
}

/// Prints what is served and how to mount it; over RDMA too, where that has a port.
pub fn print(exports: &[ExportPlan], host: &str, server: &ServerSettings, rdma_port: Option<u16>) {
    let mut text = format!("penstock serves on {}:\n", server.show_ports());
    for export in exports {
        let clients: Vec<_> = export.clients.iter().map(ClientPattern::to_string).collect();
        let readers: Vec<_> =
            export.read_only_clients.iter().map(|client| format!("{client} (ro)")).collect();
        text += &format!(
            "  {} as {}, {}, by NFS {}, to {}\n    {}\n",
            export.path.display(),
            export.pseudo_path(),
            if export.read_only { "read-only" } else { "read-write" },
            export.protocol_names().join(" "),
            [clients, readers].concat().join(" "),
            mount_commands(export, host, server).join("\n    "),
        );
    }
    if let Some(port) = rdma_port {
        text += &format!(
            "over RDMA with the options proto=rdma,port={port} instead (of NFS 3: and mountproto=tcp)\n"
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
        let commands_at = |host, export: &ExportPlan, port| {
            let server = ServerSettings { port, mount_port: Some(20048), ..ServerSettings::default() };
            mount_commands(export, host, &server)
        };
        let commands = |export: &ExportPlan, port| commands_at("filer", export, port);
        let both = [
            "mount -t nfs4 -o vers=4.2 filer:/ /mnt",
            "mount -t nfs  -o vers=3,nolock,proto=tcp,port=2049,mountport=20048 filer:/ /mnt",
        ];
        assert_eq!(commands(&export, 2049), both);
        export.pseudo = vec!["a b".into()];
        export.protocols = Protocols::NONE.with(Protocol::V42);
        assert_eq!(commands(&export, 2050), ["mount -t nfs4 -o vers=4.2,port=2050 filer:'/a b' /mnt"]);
        export.protocols = export.protocols.with(Protocol::V41);
        assert_eq!(commands(&export, 2049), ["mount -t nfs4 -o vers=4.2 filer:'/a b' /mnt"]);
        export.protocols = Protocols::NONE.with(Protocol::V3);
        let by_mount = "mount -t nfs  -o vers=3,nolock,proto=tcp,port=2049,mountport=20048 filer:'/a b' /mnt";
        assert_eq!(commands(&export, 2049), [by_mount]);
        let by_mount =
            "mount -t nfs  -o vers=3,nolock,proto=tcp6,port=2049,mountport=20048 [fd00::1]:'/a b' /mnt";
        assert_eq!(commands_at("fd00::1", &export, 2049), [by_mount]);
    }
}
