# The server under test, on the machine or inside the guest: storage, start, kill, restart. Sourced, never run.
# Wants: server_kind (penstock|knfsd), server_root (a folder for export, state and log), server_port, server_binary;
# optional: server_place (host: a second export), server_metrics_port, server_addresses (a list of TOML; nothing is all
# addresses), server_rpcbind (auto: registers with rpcbind).
# shellcheck shell=bash disable=SC2154

# In a guest under software emulation everything stalls at times; a shorter lease would expire for no fault of anybody.
LEASE_SECONDS=60
START_SECONDS_MAX=60

# Prepares $server_root/export: a plain folder (dir), a tmpfs, or a disk image with a file system of its own, mounted.
# The image is in memory's file system inside the guest and sparse on the machine.
server_storage() {
    local file_system=$1
    mkdir -p "$server_root/export"
    mkdir -p "$server_root/state"
    chmod 700 "$server_root/state"
    case $file_system in
    dir) ;;
    tmpfs) mount -t tmpfs -o size=1G tmpfs "$server_root/export" ;;
    ext4 | xfs | btrfs)
        modprobe -q loop || true
        modprobe -q "$file_system" || true
        truncate -s 1536M "$server_root/image"
        "mkfs.$file_system" -q "$server_root/image"
        mount -o loop "$server_root/image" "$server_root/export"
        ;;
    *) die "unknown file system '$file_system' (dir, tmpfs, ext4, xfs, btrfs)" ;;
    esac
    chmod 755 "$server_root/export"
}

server_storage_release() {
    if mountpoint -q "$server_root/export"; then umount "$server_root/export" || umount -l "$server_root/export"; fi
}

# The configuration of the server under test. Root stays root: the workloads change owners and make devices.
server_config() {
    local metrics="${server_metrics_port:+metrics = \"127.0.0.1:$server_metrics_port\"}"
    cat >"$server_root/penstock.toml" <<END
[server]
addresses = [${server_addresses:-}]
state_directory = "$server_root/state"
lease_seconds = $LEASE_SECONDS
rpcbind = "${server_rpcbind:-off}"
$metrics

[[export]]
path = "$server_root/export"
pseudo = "/data"
squash = "none"
END
    # A second one, where a folder as it is can be served.
    if [ "${server_place:-}" = host ]; then
        mkdir -p "$server_root/other"
        printf '\n[[export]]\npath = "%s"\npseudo = "/other"\nsquash = "none"\n' "$server_root/other" \
            >>"$server_root/penstock.toml"
    fi
}

# What a client of this version mounts, 3 or 4.
server_path() {
    case $server_kind$1 in
    knfsd3) echo "$server_root/export" ;;
    knfsd4) echo / ;;
    *) echo /data ;;
    esac
}

server_start() {
    case $server_kind in
    penstock)
        server_config
        "$server_binary" serve --config "$server_root/penstock.toml" --port "$server_port" \
            </dev/null >>"$server_root/server.log" 2>&1 &
        server_pid=$!
        ;;
    knfsd) knfsd_start ;;
    esac
    wait_for_port "$server_port" $START_SECONDS_MAX "$server_pid" || {
        tail -n 20 "$server_root/server.log" >&2 || true
        die "the server did not listen on port $server_port within $START_SECONDS_MAX s"
    }
}

# Ends it without a chance to tidy up, as a crash would.
server_kill() {
    case $server_kind in
    penstock)
        kill -KILL "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
        ;;
    knfsd) rpc.nfsd 0 ;;
    esac
}

# Ends it as an administrator would, and says whether it was there and went in order.
server_stop() {
    local status=0
    case $server_kind in
    penstock)
        if ! kill -0 "$server_pid" 2>/dev/null; then
            wait "$server_pid" || status=$?
            say "the server had ended by itself, status $status"
            return 1
        fi
        kill -TERM "$server_pid"
        for _ in $(seq 150); do
            kill -0 "$server_pid" 2>/dev/null || break
            sleep 0.2
        done
        if kill -KILL "$server_pid" 2>/dev/null; then
            say "the server did not stop within 30 s"
            return 1
        fi
        wait "$server_pid" || status=$?
        if [ "$status" != 0 ]; then say "the server stopped with status $status"; fi
        return "$status"
        ;;
    knfsd) rpc.nfsd 0 ;;
    esac
}

# Makes of a file's data what a crash of the machine makes of data that was not synced.
server_lose() {
    local file=$server_root/export/$1 bytes
    bytes=$(stat -c %s "$file")
    head -c "$bytes" /dev/zero | dd of="$file" conv=notrunc status=none
}

# Runs `penstock qos` with the words of a file.
server_limit() {
    local words
    read -r -a words <"$1"
    "$server_binary" qos "${words[@]}" --socket "$server_root/state/admin.sock"
}

# Serves what workloads ask for by files in the shared folder, until that folder says stop: restarts, where the file names the
# one whose data is lost with the server, and limits.
server_agent() {
    local share=$1 request
    while [ ! -e "$share/stop" ]; do
        for request in "$share"/restart.*.request; do
            [ -e "$request" ] || continue
            mv "$request" "${request%.request}.taken"
            server_kill
            server_lose "$(cat "${request%.request}.taken")"
            server_start
            echo "$server_pid" >"$share/server.pid"
            touch "${request%.request}.done"
        done
        for request in "$share"/qos.*.request; do
            [ -e "$request" ] || continue
            mv "$request" "${request%.request}.taken"
            server_limit "${request%.request}.taken" >"${request%.request}.answer" 2>&1 || true
            mv "${request%.request}.answer" "${request%.request}.done"
        done
        sleep 0.3
    done
}

# The kernel's own server, to tell a fault of a workload from a fault of Penstock. Only inside a guest.
knfsd_start() {
    server_pid=0
    modprobe -q nfsd || true
    mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
    mkdir -p /run/rpc_pipefs
    mountpoint -q /run/rpc_pipefs || mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
    if [ ! -e "$server_root/knfsd.once" ]; then
        touch "$server_root/knfsd.once"
        echo $LEASE_SECONDS >/proc/fs/nfsd/nfsv4leasetime
        echo 15 >/proc/fs/nfsd/nfsv4gracetime
        # The workloads test the groups that the client sends; Debian lets its server look groups up instead.
        sed -i 's/^manage-gids.*/manage-gids=n/' /etc/nfs.conf
        nfsdcld -p /run/rpc_pipefs || true
        exportfs -o rw,no_root_squash,insecure,no_subtree_check,fsid=0 "*:$server_root/export"
        rpc.mountd -N 2
    fi
    rpc.nfsd --port "$server_port" 4
    if [ -n "${RDMA_PORT:-}" ]; then echo "rdma $RDMA_PORT" >/proc/fs/nfsd/portlist; fi
}
