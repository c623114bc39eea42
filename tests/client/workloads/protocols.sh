# The same folder by versions 3 and 4: each sees what the other does to data, sizes, names and modes. The checks are in
# protocols.py.
# shellcheck shell=bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/.. source=clients.sh
. "$CLIENT_DIR/clients.sh"

four=$([ "$VERS" = 3 ] && echo 4.2 || echo "$VERS")
folders=()
trap 'umount /run/penstock/{cached,fresh}-{3,4}' EXIT
for version in 3 "$four"; do
    mount_export "$version" "/run/penstock/cached-${version%.*}"
    mount_export "$version" "/run/penstock/fresh-${version%.*}" actimeo=0
done
for mount_point in /run/penstock/{cached,fresh}-{3,4}; do folders+=("$mount_point/$(basename "$WORK")"); done
python3 "$CLIENT_DIR/workloads/protocols.py" "${folders[@]}"
