# More NFS clients in one kernel: a network namespace each, with an identifier of its own, so that the server sees
# clients that have nothing to do with each other. Sourced by workloads, never run.
# shellcheck shell=bash

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
    mkdir -p "$mount_point"
    # nsenter, unlike `ip netns exec`, leaves the mount visible to everybody.
    timeout 60 nsenter --net="/run/netns/$name" mount -t nfs4 \
        -o "vers=$VERS,port=$SERVER_PORT,nconnect=$NCONNECT" "$SERVER_ADDRESS:$SERVER_PATH" "$mount_point"
}

client_unmount() {
    local name=$1
    timeout 60 umount "/run/penstock/client-$name" || umount -f -l "/run/penstock/client-$name" || true
    ip route del "10.0.2.$2/32" || true
    ip netns del "$name" || true
    ip link del "to-$name" 2>/dev/null || true
}
