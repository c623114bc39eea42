# A client with dirty data is limited to 1 MB/s, by its address and then by its export, while a second client opens the same
# file: both go on without an error, the lease is kept, contents are right, nearly nothing is put off, and a folder on another
# export keeps its speed while the first is limited by its export. Full 256 MiB, quick 16 MiB. The checks are in throttled.py.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=clients.sh
. "$CLIENT_DIR/clients.sh"

# Only the server on the machine has a second export, and a client that asks from the loopback.
if [ "$SERVER_PLACE" != host ]; then
    echo "not applicable: the server is in the guest"
    exit 0
fi
# All of it is dirty before anything is sent: neither age nor amount has it written, nor what is due to one file system.
echo 60000 >/proc/sys/vm/dirty_expire_centisecs
echo 60 >/proc/sys/vm/dirty_ratio
echo 50 >/proc/sys/vm/dirty_background_ratio
echo 80 >"/sys/class/bdi/$(stat -c %Hd:%Ld "$WORK")/min_ratio"
mebibytes=$([ "$QUICK" = 1 ] && echo 16 || echo 256)
other=/run/penstock/other
trap 'client_unmount second 24; umount "$other"' EXIT
client_mount second 24
SERVER_PATH=/other SERVER_PATH_3=/other mount_export "$VERS" "$other"
METRICS="http://$SERVER_ADDRESS:$METRICS_PORT/metrics" python3 "$CLIENT_DIR/workloads/throttled.py" "$WORK" \
    "/run/penstock/client-second/$(basename "$WORK")" "$other" "$SHARE" "$mebibytes"
