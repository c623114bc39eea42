# Directories, links and names are made, moved and removed while the connections are cut again and again, until calls were
# sent again, full 200, quick 10: none may be executed twice. The checks are in cuts.py.
# shellcheck shell=bash
set -euo pipefail

calls=$([ "$QUICK" = 1 ] && echo 10 || echo 200)
modprobe -a tcp_diag inet_diag
python3 "$CLIENT_DIR/workloads/cuts.py" "$WORK" "$SERVER_ADDRESS" "$SERVER_PORT" "$calls"
