# Over RDMA alone: Penstock's own client beside the kernel's. What one writes the other reads; the load generator meets no error.
# shellcheck shell=bash
set -euo pipefail

penstock=$SHARE/penstock
path=$([ "$VERS" = 3 ] && echo "$SERVER_PATH_3" || echo "$SERVER_PATH")
at() { echo "nfs://$RDMA_ADDRESS$path/ours/$1?version=$VERS&transport=rdma"; }
seconds=$([ "$QUICK" = 1 ] && echo 1 || echo 20)
mebibytes=$([ "$QUICK" = 1 ] && echo 5 || echo 200)
data=/run/penstock/ours.data

head -c "${mebibytes}M" /dev/urandom >"$data"
# Neither whole blocks nor whole words.
printf 'end' >>"$data"

"$penstock" put "$data" "$(at put)"
cmp "$data" put
cp "$data" kernel
"$penstock" get "$(at kernel)" /run/penstock/ours.got
cmp "$data" /run/penstock/ours.got
"$penstock" cp "$(at kernel)" "$(at copy)"
cmp "$data" copy
# A listing that needs more than one message.
long=$(printf 'n%.0s' {1..200})
for name in $(seq 60); do : >"$name-$long"; done
[ "$("$penstock" ls "$(at "")" | wc -l)" = 63 ]
"$penstock" mkdir "$(at directory)"
"$penstock" stat "$(at directory)"
"$penstock" rm -r "$(at directory)"
[ ! -e directory ]

bench() { "$penstock" bench "$(at "")" --quiet --json "$@" >/run/penstock/ours.json; tail -c 400 /run/penstock/ours.json; }
file_size=4MiB
for workload in "read -b 1MiB -q 8" "randread -b 4KiB -q 32 -c 2" "write -b 256KiB -q 8" "randwrite -b 4KiB -q 32" "getattr -q 64 -c 4" \
    "create-remove -q 8" "null -q 32"; do
    read -ra words <<<"$workload"
    bench -w "${words[@]}" --file-size $file_size --duration "${seconds}s" --warm-up 0s
done
