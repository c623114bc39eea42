# How a client mounts, and more NFS clients in one kernel: a network namespace each, with an identifier of its own, so that
# the server sees clients that have nothing to do with each other. Sourced by the guest and its workloads, never run.
# shellcheck shell=bash

# Mounts the export: version (3, 4.1 or 4.2), mount point, further options, words before the command. A server inside the guest
# has an rpcbind beside it: there, a client of version 3 is told no port.
mount_export() {
    local options=vers=$1,nconnect=$NCONNECT${3:+,$3} path=$SERVER_PATH
    case $1:$SERVER_PLACE in
    3:host) options+=,nolock,proto=tcp,port=$SERVER_PORT,mountport=$SERVER_PORT path=$SERVER_PATH_3 ;;
    3:guest) options+=,nolock,proto=tcp path=$SERVER_PATH_3 ;;
    *) options+=,port=$SERVER_PORT ;;
    esac
    local address=$SERVER_ADDRESS
    # The adapter is the guest's own: clients in other namespaces come over TCP.
    if [ -n "${RDMA_ADDRESS:-}" ] && [ $# -lt 4 ]; then
        address=$RDMA_ADDRESS options=vers=$1${3:+,$3},proto=rdma,port=$RDMA_PORT
        if [ "$1" = 3 ]; then options+=,nolock,mountproto=tcp; fi
    fi
    mkdir -p "$2"
    timeout 60 "${@:4}" mount -t nfs -o "$options" "$address:$path" "$2"
    # The client may fall back to another version without a word.
    grep " $2 .*vers=${1}[,.]" /proc/self/mountinfo
}

# Makes client NAME at address 10.0.2.ADDRESS and mounts the export at /run/penstock/client-NAME.
#
# The namespace hangs on a pair of virtual devices. The guest answers for its address on the outer wire (proxy ARP) and
# forwards, so the same set-up reaches a server on the machine (10.0.2.2) and one in the guest (10.0.2.15).
client_mount() {
    local name=$1 address=10.0.2.$2 mount_point=/run/penstock/client-$1
    ip netns add "$name"
    ip link add "to-$name" type veth peer name wire netns "$name"
    ip link set "to-$name" up
    ip route replace "$address/32" dev "to-$name"
    ip netns exec "$name" sh -c "ip link set lo up; ip link set wire up; ip address add $address/32 dev wire
        ip route add 10.0.2.15/32 dev wire; ip route add default via 10.0.2.15 dev wire
        echo penstock-$name >/sys/fs/nfs/net/nfs_client/identifier"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for file in /proc/sys/net/ipv4/conf/*/proxy_arp; do echo 1 >"$file"; done
    # nsenter, unlike `ip netns exec`, leaves the mount visible to everybody.
    mount_export "$VERS" "$mount_point" "" nsenter --net="/run/netns/$name"
}

client_unmount() {
    local name=$1
    timeout 60 umount "/run/penstock/client-$name" || umount -f -l "/run/penstock/client-$name" || true
    ip route del "10.0.2.$2/32" || true
    ip netns del "$name" || true
    ip link del "to-$name" 2>/dev/null || true
}
