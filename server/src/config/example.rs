//! A configuration file that teaches.

use super::limits::{LIMIT_ROWS, LimitRow};

const HEAD: &str = r#"# Configuration of penstock. Every setting is shown with its default, commented out; what has no
# default is an example. Check a changed file with `penstock check FILE`; let a running server take
# over changed exports with `systemctl reload penstock` or `kill -HUP PID`. All else needs a restart.

[server]
# Addresses to listen on. Empty: all, IPv6 and IPv4.
#addresses = []
#port = 2049
# Other ports to listen on besides (1 to 65535), for clients and firewalls that look there for NFSv3 and for MOUNT. Neither
# is set by default.
#nfs3_port = 2050
#mount_port = 20048
# auto: register with rpcbind, where it runs and has no other living server for the same. off: never.
#rpcbind = "auto"
# Shards, one core each. Default: one for each core the process may run on.
#shards = 4
# What must survive a restart: identity, secret of the file handles, client records.
#state_directory = "/var/lib/penstock"
# How long a silent client keeps its locks against others (10 to 3600).
#lease_seconds = 60
# How long after a start clients may reclaim their locks before others get any; ends early when all
# have. Default: lease_seconds, which is also the least.
#grace_seconds = 60
# How long an expired client keeps what nobody else asks for.
#courtesy_seconds = 86400
# How long a stop waits for requests in progress.
#drain_seconds = 10
# How often host names in `clients` are resolved anew.
#resolve_seconds = 300
# Accept owners written as user@DOMAIN; plain numbers are always accepted. Not set by default.
#domain = "example.org"
# Take calls whose clients say where bulk data lies and of which trace they are a part.
#annotations = true
# Where the metrics are served, for Prometheus, over HTTP at /metrics. Not set by default.
#metrics = "127.0.0.1:9469"
# The socket for `penstock qos`. Default: admin.sock in state_directory.
#admin = "/run/penstock.sock"

# Administration over TCP too, within TLS and for those who have the token. The whole section is an example.
#[server.admin_tcp]
#address = "192.0.2.1:9470"
# The certificate, with those that signed it behind it, and its key, in PEM.
#certificate = "/etc/penstock/admin.crt"
#key = "/etc/penstock/admin.key"
# One line of 32 letters and digits or more, which only some may read.
#token_file = "/etc/penstock/admin.token"

[log]
# error, warn, info, debug, trace, or a filter such as "info,nfs_ops=debug".
#level = "info"
# text or json.
#format = "text"

# Where the spans of traced calls go, as OpenTelemetry. Neither is set by default, and only one may be.
[tracing]
# A collector's address for OTLP over HTTP, without TLS.
#otlp_endpoint = "http://127.0.0.1:4318/v1/traces"
# A file to which a line of OTLP JSON is appended for each batch of spans.
#otlp_file = "/var/log/penstock-traces.jsonl"
# Spans that may wait to be exported (16 to 65536); what does not fit is dropped and counted.
#queue_spans = 2048

# NFS over RDMA, where there is an adapter and the library for it.
[rdma]
# auto: where there is an adapter. on: the server does not start without one. off: never.
#mode = "auto"
#port = 20049
# The library for it. Default: beside the program, or in /usr/local/lib/penstock.
#library = "/usr/local/lib/penstock/libpenstock_verbs.so"
# Look for messages without pause: some microseconds less for each, for all of each core.
#busy_poll = false
# Receives that the connections of a core share, of 4 KiB each (64 to 32768); a connection takes up to 136.
#receives = 4096

# How requests are counted and grouped for limits, which are set while the server runs: penstock qos set.
[qos]
# A request counts as one operation for each so many KiB of payload begun (1 to 1048576).
#io_unit_kib = 64
# "latency" lets requests go on no faster than they turn out to be done, once a weight, tier or reservation is set; "off" leaves
# those to the limits. Experimental.
#pace = "off"
# A directory where each request that is charged is logged, to judge limits by.
#admission_log = "/var/log/penstock-admissions"
# A group of requests: those that fit all of clients, users and exports that are given. A request belongs to the first
# group that fits. The whole section is an example.
#[[qos.rule]]
#name = "batch"
# Addresses and networks, "*" for everybody.
#clients = ["10.1.0.0/16"]
# Numbers of users, as clients send them.
#users = [1000]
# Places in the name space.
#exports = ["/data"]
# protected, normal or background: who is served first. Default: normal.
#tier = "background"
# The share beside others of the tier (1 to 10000). Default: 100.
#weight = 50
# Bytes per second that the group gets of the limit of the server whatever others want. Default: none.
#reserve_bytes_per_second = 100000000

# At least one export is needed.
[[export]]
# The directory, absolute.
path = "/srv/data"
# Its place in the name space clients see. Default: "/" for the only export, else "/" and the last
# component of the path.
#pseudo = "/data"
# rw or ro.
#access = "rw"
# Who may use it: addresses, networks, host names, "*" for everybody.
#clients = ["*"]
# Who may only read. When only these are given, nobody else has access.
#read_only_clients = []
# Whose identity is taken away: root, all or none.
#squash = "root"
# Whom the squashed act as.
#anonuid = 65534
#anongid = 65534
# Demand a source port below 1024.
#secure = false
# Enter file systems mounted below the path.
#cross_mounts = false
# Look up supplementary groups on the server (a client can send 16 at most).
#lookup_groups = false
# Answer READ_PLUS (the Linux client is better off with READ).
#read_plus = false
# How the bytes of files are read and written: through the page cache (buffered), past it (direct), or
# as is best on the whole (auto).
#io = "auto"
# By which versions of NFS it can be used.
#protocols = ["3", "4.1", "4.2"]
# Number of the export in file handles. Default: made from `pseudo`. Set it to keep handles valid when
# `pseudo` changes.
#id = 7

# At each bound the client concerned is slowed or refused by the protocol's own means; others go on.
[limits]
"#;

/// The text that `penstock config-example` prints.
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    for LimitRow { name, default, range: (least, greatest), bounds, at_bound } in LIMIT_ROWS {
        let bounds = capital(bounds);
        text.push_str(&format!(
            "# {bounds} ({least} to {greatest}). At the bound: {at_bound}.\n#{name} = {default}\n"
        ));
    }
    text
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
