# Over RDMA alone: the wire between client and server is cut for a while under load, some times. No call may fail, I/O goes on
# within two minutes of its coming back, and what was written and read compares.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=rdma.sh
. "$CLIENT_DIR/rdma.sh"

times=$([ "$QUICK" = 1 ] && echo 2 || echo 5)
mebibytes=8
data=/run/penstock/cable.data stop=/run/penstock/cable.stop
rm -f "$stop"
head -c ${mebibytes}M /dev/urandom >"$data"

# Writes and syncs, then reads past the cache, a MiB at a time, until it is told to stop.
load() {
    local at rounds=0
    until [ -e "$stop" ]; do
        for at in $(seq 0 $((mebibytes - 1))); do
            dd if="$data" of=copy bs=1M skip="$at" seek="$at" count=1 conv=notrunc,fsync status=none
            dd if=copy bs=1M skip="$at" count=1 iflag=direct status=none |
                cmp - <(dd if="$data" bs=1M skip="$at" count=1 status=none)
        done
        rounds=$((rounds + 1))
    done
    echo "$rounds rounds of $mebibytes MiB"
}

load &
loading=$!
trap 'touch "$stop"; rdma_wire up || true' EXIT
sleep 2
for cut in $(seq "$times"); do
    rdma_wire down
    sleep 10
    rdma_wire up
    begun=$SECONDS
    timeout 120 dd if=/dev/urandom of="probe-$cut" bs=4k count=1 conv=fsync status=none
    echo "cut $cut: I/O goes on after $((SECONDS - begun)) s"
done
touch "$stop"
wait $loading
cmp copy "$data"
