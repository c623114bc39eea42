# fsx: random reads, writes, mappings, truncations and more on one file, every byte compared with a model. Full 10,000
# operations, quick 2,000. Hole punching and server-side copy where the minor version has them.
# shellcheck shell=bash
set -euo pipefail

operations=$([ "$QUICK" = 1 ] && echo 2000 || echo 10000)
four_two=0
if [ "$VERS" = 4.2 ]; then four_two=1; fi
cat >/run/fsx.toml <<END
flen = 1048576
[weights]
close_open = 1
invalidate = 1
mapread = 5
mapwrite = 5
read = 10
write = 10
truncate = 5
fsync = 1
fdatasync = 1
sendfile = 2
posix_fadvise = 1
posix_fallocate = $four_two
punch_hole = $four_two
copy_file_range = $four_two
END
"$CACHE/tools/bin/fsx" -f /run/fsx.toml -N "$operations" -S 20250101 -P "$WORK" file
