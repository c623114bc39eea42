# Random writes with a crc32c in every block, verified after: through the page cache full 256 MiB, direct full 64 MiB;
# quick 8 MiB each.
# shellcheck shell=bash
set -euo pipefail

if [ "$QUICK" = 1 ]; then buffered_size=8m direct_size=8m; else buffered_size=256m direct_size=64m; fi
common=(--rw=randwrite --verify=crc32c --do_verify=1 --verify_fatal=1 --randseed=7)
fio "${common[@]}" --name=buffered --size="$buffered_size" --bssplit=4k/50:32k/30:128k/20 --ioengine=psync --end_fsync=1 --invalidate=1
# What is verified next comes from the server, not from this client's memory.
echo 3 >/proc/sys/vm/drop_caches
fio "${common[@]}" --name=buffered --size="$buffered_size" --bssplit=4k/50:32k/30:128k/20 --ioengine=psync --verify_only=1
rm -f buffered*
fio "${common[@]}" --name=direct --size="$direct_size" --bs=64k --ioengine=libaio --iodepth=8 --direct=1
