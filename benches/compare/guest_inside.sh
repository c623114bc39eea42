#!/usr/bin/env bash
# Runs inside the guest, started by `guest`: starts the servers, mounts all, and measures. Arguments: the shared folder, rounds, and
# `tcp` or `rdma`.
set -euo pipefail
share=$1 rounds=$2 transport=$3
# shellcheck source-path=SCRIPTDIR/../../tests/client source=lib.sh
. "$share/client/lib.sh"
# shellcheck source-path=SCRIPTDIR/../../tests/client source=server.sh
. "$share/client/server.sh"

# What server.sh is told by.
# shellcheck disable=SC2034
server_binary=$share/penstock

# Serves a file system of its own and mounts it: name, kind, port, further options of the mount.
serve_and_mount() {
    # shellcheck disable=SC2034
    server_kind=$2 server_port=$3 server_root=/run/penstock/$1
    local address=127.0.0.1 port=$3
    case ${4:-} in *proto=rdma*) address=$RDMA_ADDRESS port=$RDMA_PORT ;; esac
    mkdir -p "$server_root" "/run/mnt/$1"
    server_storage ext4
    server_start
    # A server's first mount may fall into its grace period; a file is opened only after it.
    timeout 120 mount -t nfs4 -o "vers=4.2,port=$port${4:+,$4}" "$address:$(server_path 4)" "/run/mnt/$1"
}

ip link set lo up
modprobe nfs
# A client beside a kernel server may else read its files without the wire.
if [ -e /sys/module/nfs/parameters/localio_enabled ]; then echo N >/sys/module/nfs/parameters/localio_enabled; fi
# The kernel's server speaks NFSv3 too and does not start where it can't register that.
rpcbind
wait_for_port 111 20 $$ || die "rpcbind does not listen"
if [ "$transport" = rdma ]; then
    # shellcheck source-path=SCRIPTDIR/../../tests/client source=rdma.sh
    . "$share/client/rdma.sh"
    rdma_up
    RDMA_PORT=20050
    serve_and_mount knfsd knfsd 20491 proto=rdma
    RDMA_PORT=20049
    serve_and_mount penstock penstock 20492 proto=rdma
    # Another server, as a client takes two ways to one for the same way. The port for RDMA is taken, which it only warns of.
    serve_and_mount penstock_tcp penstock 20493
    python3 "$share/guest_load.py" "$rounds" {knfsd,penstock,penstock_tcp}
else
    serve_and_mount knfsd knfsd 20491
    serve_and_mount penstock penstock 20492
    python3 "$share/guest_load.py" "$rounds" {knfsd,penstock}
fi
