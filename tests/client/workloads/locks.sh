# Two clients that the server cannot take for one see each other's locks and closes; with version 3, which is mounted
# without locks, closes and exclusive creates. The checks are in locks.py.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=clients.sh
. "$CLIENT_DIR/clients.sh"

trap 'client_unmount one 21; client_unmount two 22' EXIT
client_mount one 21
client_mount two 22
folder=$(basename "$WORK")
python3 "$CLIENT_DIR/workloads/locks.py" "/run/penstock/client-one/$folder" "/run/penstock/client-two/$folder" "$VERS"
