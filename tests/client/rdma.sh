# An RDMA adapter for the guest's server and one for its client: soft RoCE on both ends of a pair of virtual devices. Rules send
# what goes from one end to the other over the pair, though both are this machine, so that there are packets to be seen, and a
# wire that can be cut. Sourced by the guest, never run.
# shellcheck shell=bash

RDMA_ADDRESS=10.9.0.1
RDMA_CLIENT_ADDRESS=10.9.0.2
RDMA_PORT=20049
export RDMA_ADDRESS RDMA_PORT

# The way from one end to the other's address.
rdma_route() {
    ip route replace "$3" dev "$1" src "$2" table "10${1#rdma}"
}

# Cuts the wire, or joins it again: down, up.
rdma_wire() {
    ip link set rdma1 "$1"
    # A device that goes down takes its routes with it.
    if [ "$1" = up ]; then rdma_route rdma1 $RDMA_CLIENT_ADDRESS $RDMA_ADDRESS; fi
}

# One end: device, its address, the other's address, name of the adapter.
rdma_end() {
    ip address add "$2/24" dev "$1"
    echo 1 >"/proc/sys/net/ipv4/conf/$1/accept_local"
    echo 0 >"/proc/sys/net/ipv4/conf/$1/rp_filter"
    ip link set "$1" up
    ip rule add pref 5 iif "$1" lookup local
    ip rule add pref 10 to "$3" lookup "10${1#rdma}"
    rdma_route "$1" "$2" "$3"
    rdma link add "$4" type rxe netdev "$1"
}

rdma_up() {
    modprobe -a rdma_rxe rdma_ucm ib_uverbs rpcrdma
    echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
    ip link add rdma0 mtu 4200 type veth peer name rdma1 mtu 4200
    rdma_end rdma0 $RDMA_ADDRESS $RDMA_CLIENT_ADDRESS rxe0
    rdma_end rdma1 $RDMA_CLIENT_ADDRESS $RDMA_ADDRESS rxe1
    # The local addresses are looked for last.
    ip rule del pref 0
    ip rule add pref 20 lookup local
    for _ in $(seq 40); do
        if [ "$(rdma link show | grep -c 'state ACTIVE')" = 2 ]; then return; fi
        sleep 0.25
    done
    die "soft RoCE does not come up: $(rdma link show)"
}
