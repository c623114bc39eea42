# The server is killed and started again under a client that reads, writes and locks, while a second client wants the
# lock: it must stay refused, and no call may fail. What was not synced is lost with the server, and the client must send it
# again. Full five times, quick two. The checks are in restart.py.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=clients.sh
. "$CLIENT_DIR/clients.sh"

# Nobody but the test syncs what is to be lost.
echo 60000 >/proc/sys/vm/dirty_expire_centisecs
times=$([ "$QUICK" = 1 ] && echo 2 || echo 5)
trap 'client_unmount rival 23; umount "$eager"' EXIT
client_mount rival 23
# A mount that sends what is written at once, and commits it no sooner than it is told to.
eager=/run/penstock/eager
mount_export "$VERS" "$eager" write=wait,nosharecache
folder=$(basename "$WORK")
python3 "$CLIENT_DIR/workloads/restart.py" "$WORK" "/run/penstock/client-rival/$folder" \
    "$eager/$folder" "$SHARE" "$times" "$VERS"
