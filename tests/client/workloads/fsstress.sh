# Four processes at random operations on one tree. Full 2 minutes, quick 12 seconds.
#
# The program fsstress of xfstests comes in no Debian package. Where it was built (`XFSTESTS=checkout tests/client/setup`)
# or is on PATH it runs; else two substitutes share the time: stress.py beside this file, which does what fsstress does (four
# processes, one shared tree, weighted random operations) and besides compares what each process wrote, and stress-ng's
# file stressors with verification.
# shellcheck shell=bash
set -euo pipefail

seconds=$([ "$QUICK" = 1 ] && echo 12 || echo 120)
fsstress=$CACHE/tools/bin/fsstress
[ -x "$fsstress" ] || fsstress=$(command -v fsstress || true)
if [ -n "$fsstress" ]; then
    echo "fsstress: $fsstress"
    "$fsstress" -d "$WORK" -p 4 --duration="$seconds" -s 20250101
    exit
fi

mkdir tree
python3 "$CLIENT_DIR/workloads/stress.py" tree 4 $((seconds / 2)) "$VERS"

# Four stressors at a time, in rounds. Sizes are cut: a stressor ends a pass and cleans up before it looks at the time,
# and with its defaults (8,192 folders, 1 GiB) one pass would take minutes under emulation. For that reason `link` and
# `symlink`, whose number is fixed, are left to stress.py.
rounds=("--dir 1 --rename 1 --hdd 1 --seek 1" "--filename 1 --dentry 1 --getdent 1 --iomix 1"
    "--chmod 1 --utime 1 --access 1 --hdd 1" "--fcntl 1 --flock 1 --lockf 1 --rename 1")
for round in "${rounds[@]}"; do
    # shellcheck disable=SC2086 # the round is words
    stress-ng $round --verify --timeout $((seconds / 8)) --temp-path "$WORK" --dir-dirs 64 --dentries 64 \
        --hdd-bytes 2M --seek-size 2M --iomix-bytes 2M --metrics-brief
done
