#!/usr/bin/env bash
# Runs inside the guest, started by `guest`: starts both servers, mounts both, and measures. Arguments: the shared folder, rounds.
set -euo pipefail
share=$1 rounds=$2
# shellcheck source-path=SCRIPTDIR/../../tests/client source=lib.sh
. "$share/client/lib.sh"
# shellcheck source-path=SCRIPTDIR/../../tests/client source=server.sh
. "$share/client/server.sh"

# What server.sh is told by.
# shellcheck disable=SC2034
server_binary=$share/penstock

# Serves a file system of its own and mounts it: kind, port.
serve_and_mount() {
    # shellcheck disable=SC2034
    server_kind=$1 server_port=$2 server_root=/run/penstock/$1
    mkdir -p "$server_root" "/run/mnt/$1"
    server_storage ext4
    server_start
    # A server's first mount may fall into its grace period; a file is opened only after it.
    timeout 120 mount -t nfs4 -o "vers=4.2,port=$2" "127.0.0.1:$(server_path 4)" "/run/mnt/$1"
}

ip link set lo up
modprobe nfs
# A client beside a kernel server may else read its files without the wire.
if [ -e /sys/module/nfs/parameters/localio_enabled ]; then echo N >/sys/module/nfs/parameters/localio_enabled; fi
# The kernel's server speaks NFSv3 too and does not start where it can't register that.
rpcbind
wait_for_port 111 20 $$ || die "rpcbind does not listen"
serve_and_mount knfsd 20491
serve_and_mount penstock 20492
python3 "$share/guest_load.py" "$rounds" knfsd=/run/mnt/knfsd penstock=/run/mnt/penstock
