# What programs expect of a file system, call by call. The checks are in posix.py.
# shellcheck shell=bash
set -euo pipefail

entries=$([ "$QUICK" = 1 ] && echo 600 || echo 5000)
python3 "$CLIENT_DIR/workloads/posix.py" "$WORK" "$VERS" "$entries"
