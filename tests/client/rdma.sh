# An RDMA adapter for the guest: soft RoCE on one end of a pair of virtual devices, by which client and server of one guest reach
# each other. Sourced by the guest, never run.
# shellcheck shell=bash

RDMA_ADDRESS=10.9.0.1
RDMA_PORT=20049
export RDMA_ADDRESS RDMA_PORT

rdma_up() {
    modprobe rdma_rxe
    modprobe rdma_ucm
    modprobe ib_uverbs
    modprobe rpcrdma
    ip link add rdma0 mtu 4200 type veth peer name rdma1 mtu 4200
    ip address add $RDMA_ADDRESS/24 dev rdma0
    ip link set rdma0 up
    ip link set rdma1 up
    rdma link add rxe0 type rxe netdev rdma0
    for _ in $(seq 40); do
        if rdma link show rxe0/1 | grep -q ACTIVE; then return; fi
        sleep 0.25
    done
    die "soft RoCE does not come up: $(rdma link show)"
}
