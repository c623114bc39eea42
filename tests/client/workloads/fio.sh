# Random writes with a crc32c in every block, verified after, through the page cache and direct. Full 256 MiB each,
# quick 8 MiB.
# shellcheck shell=bash
set -euo pipefail

size=$([ "$QUICK" = 1 ] && echo 8m || echo 256m)
common=(--size="$size" --rw=randwrite --verify=crc32c --do_verify=1 --verify_fatal=1 --randseed=7)
fio "${common[@]}" --name=buffered --bssplit=4k/50:32k/30:128k/20 --ioengine=psync --end_fsync=1 --invalidate=1
# What is verified next comes from the server, not from this client's memory.
echo 3 >/proc/sys/vm/drop_caches
fio "${common[@]}" --name=buffered --bssplit=4k/50:32k/30:128k/20 --ioengine=psync --verify_only=1
rm -f buffered*
fio "${common[@]}" --name=direct --bs=64k --ioengine=libaio --iodepth=8 --direct=1
