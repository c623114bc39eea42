# What the real-client scripts share: where things are kept, messages, booting a guest. Sourced, never run.
# shellcheck shell=bash

client_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$client_dir/../.." && pwd)
# Kernels, tools and disk images live outside the tree: they are large, and the same for every checkout.
cache=${PENSTOCK_CACHE:-$HOME/.cache/penstock}

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Of which cargo profile the programs are: `release`, or `dev`, where arithmetic and assertions are checked.
profile=${PENSTOCK_PROFILE:-release}

# Where cargo puts a program.
built() {
    local folder=$profile
    if [ "$profile" = dev ]; then folder=debug; fi
    echo "${CARGO_TARGET_DIR:-$top/target}/$folder/$1"
}

# The binary under test: PENSTOCK_BIN, else where cargo puts it.
penstock_binary() {
    local binary=${PENSTOCK_BIN:-$(built penstock)}
    [ -x "$binary" ] || die "no server at $binary; run: cargo build --profile $profile -p server"
    realpath "$binary"
}

# The library for RDMA: PENSTOCK_VERBS, else where cargo puts it, which is beside the server.
verbs_library_path() { echo "${PENSTOCK_VERBS:-${CARGO_TARGET_DIR:-$top/target}/release/libpenstock_verbs.so}"; }
verbs_library() {
    local library
    library=$(verbs_library_path)
    [ -e "$library" ] || die "no library for RDMA at $library; run: make rdma"
    realpath "$library"
}

# A TCP port that nobody listens on at the moment.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until somebody listens on a local port, as long as a process lives (0: the kernel): port, seconds, process.
wait_for_port() {
    local deadline=$((SECONDS + $2))
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        if [ $SECONDS -ge $deadline ] || ! kill -0 "$3" 2>/dev/null; then return 1; fi
        sleep 0.2
    done
}

# Continues as root where the caller is not.
need_root() {
    if [ "$(id -u)" != 0 ]; then
        say "$(basename "$0"): serving, and the guest's modules, need root: continuing with sudo"
        exec sudo --preserve-env=PATH,CARGO_TARGET_DIR,PENSTOCK_BIN,PENSTOCK_PROFILE,XFSTESTS \
            env PENSTOCK_CACHE="$cache" PENSTOCK_KVM="${PENSTOCK_KVM:-off}" "$0" "$@"
    fi
}

# Boots a guest and runs a command in it as root: kernel (oldest|newest), folder shared read-write, extra options of
# QEMU, command. The guest sees the machine's files copy on write and the machine's loopback as 10.0.2.2.
#
# virtme-ng's own `--rw` is not used: it lets the guest write to the machine's real files. Its output goes through a
# pipe, since QEMU opens a plain file by name and writes over what stands there.
boot_guest() {
    local kernel=$1 share=$2 qemu_options=$3 command=$4 image options
    image=$(find "$cache/kernel/$kernel" -name 'vmlinuz*' | head -n 1)
    [ -n "$image" ] || die "no kernel '$kernel' (oldest or newest) in $cache/kernel; run: tests/client/setup"
    # An emulated machine that is away for a moment finds its clock unreliable, and with another one everything takes three times
    # as long.
    options=(--append tsc=reliable --append clocksource=tsc)
    options+=(--run "$image" --cpus 2 --memory 2G --user root --cwd "$share" --rwdir="$share" --qemu-opts="$qemu_options")
    # Emulation is the default: a hypervisor that answers but cannot boot an ordinary kernel is worse than a slow one.
    if [ "${PENSTOCK_KVM:-off}" != on ]; then options+=(--disable-kvm); fi
    PATH="$cache/venv/bin:$PATH" "$cache/venv/bin/vng" "${options[@]}" -- "$command" </dev/null 2>&1 | cat
    return "${PIPESTATUS[0]}"
}

# Puts what a guest runs into a folder that it shares: these scripts and the server. The guest sees most of the machine's
# files, but not its /tmp, where a checkout may well be.
guest_files() {
    local share=$1 binary=${2:-}
    rm -rf "$share/client"
    cp -r "$client_dir" "$share/client"
    if [ -n "$binary" ]; then cp "$binary" "$share/penstock"; fi
}

# QEMU's options for a guest's network, the machine's loopback being 10.0.2.2 inside: forwards (comma-separated), or none.
guest_network() {
    echo "-netdev user,id=wire${1:+,$1} -device virtio-net-pci,netdev=wire"
}
