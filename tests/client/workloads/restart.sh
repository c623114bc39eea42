# The server is killed and started again under a client that reads, writes and locks, while a second client wants the
# lock: it must stay refused, and no call may fail. Full five times, quick two. The checks are in restart.py.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=clients.sh
. "$CLIENT_DIR/clients.sh"

times=$([ "$QUICK" = 1 ] && echo 2 || echo 5)
trap 'client_unmount rival 23' EXIT
client_mount rival 23
folder=$(basename "$WORK")
python3 "$CLIENT_DIR/workloads/restart.py" "$WORK" "/run/penstock/client-rival/$folder" "$SHARE" "$times"
