"""What is measured: one row each, a load, the servers it is put on, and what is asked of the result."""

from dataclasses import dataclass


@dataclass
class Row:
    name: str
    # Arguments of `penstock bench`.
    load: list
    # The ceiling's options; none: there is no raw program for this row here.
    ceiling: list = None
    # Bytes of one operation, for costs per GiB; 0: costs per operation.
    block_bytes: int = 0
    # Which of the server's exports: buffered or direct.
    io: str = "buffered"
    peers: bool = True
    # Least share of the ceiling's rate, most of the ceiling's CPU, most of Ganesha's CPU.
    rate_min: float = None
    cpu_max: float = None
    ganesha_cpu_max: float = None
    # As a share of the rate reached first: the open loop at that rate is measured for its latency.
    open_loop: float = None


def read(size, depth, **more):
    return Row(f"READ {size}", ["-w", "randread", "-b", size, "-q", str(depth)], ["--read", "splice"],
               block_bytes=bytes_of(size), rate_min=0.85, cpu_max=1.5, ganesha_cpu_max=0.35, **more)


def bytes_of(size):
    units = {"KiB": 1 << 10, "MiB": 1 << 20}
    return int(size[:-3]) * units[size[-3:]]


ROWS = [
    read("256KiB", 8),
    read("1MiB", 4),
    Row("READ 1MiB direct", ["-w", "randread", "-b", "1MiB", "-q", "8"], ["--read", "direct"], block_bytes=1 << 20,
        io="direct", peers=False, rate_min=0.9),
    Row("READ 64KiB", ["-w", "randread", "-b", "64KiB", "-q", "16"], ["--read", "splice"], block_bytes=1 << 16),
    Row("READ 16KiB", ["-w", "randread", "-b", "16KiB", "-q", "32"], ["--read", "copy"], block_bytes=1 << 14),
    Row("READ 4KiB", ["-w", "randread", "-b", "4KiB", "-q", "32"], ["--read", "copy"], rate_min=0.6,
        ganesha_cpu_max=0.2),
    Row("WRITE 1MiB", ["-w", "write", "-b", "1MiB", "-q", "8"], ["--write", "ring"], block_bytes=1 << 20, rate_min=0.9,
        ganesha_cpu_max=0.6),
    Row("WRITE 1MiB direct", ["-w", "write", "-b", "1MiB", "-q", "8"], ["--write", "direct"], block_bytes=1 << 20,
        io="direct", peers=False, rate_min=0.9),
    Row("WRITE 64KiB", ["-w", "randwrite", "-b", "64KiB", "-q", "16"], ["--write", "copy"], block_bytes=1 << 16),
    Row("WRITE 4KiB", ["-w", "randwrite", "-b", "4KiB", "-q", "32"], ["--write", "copy"]),
    Row("GETATTR single", ["-w", "getattr", "-q", "32", "--send", "single"], ["--read", "copy"], rate_min=0.75,
        ganesha_cpu_max=0.2),
    Row("GETATTR batched", ["-w", "getattr", "-q", "32"], ["--read", "copy"]),
    Row("NULL batched", ["-w", "null", "-q", "32"], ["--read", "copy"]),
    Row("READ 4KiB half load", ["-w", "randread", "-b", "4KiB", "-q", "32"], ["--read", "copy"], open_loop=0.5),
] + [
    Row(f"GETATTR {count} connections", ["-w", "getattr", "-q", "64", "-c", str(count)], ["--read", "copy"], peers=False)
    for count in (1, 10, 100, 1000)
]

# Beside plain loops of system calls: the workload, and what the loop does.
PLAIN = [
    ("CREATE", ["-w", "create", "-q", "1", "-n", "{count}"], "create"),
    ("MKDIR", ["-w", "mkdir", "-q", "1", "-n", "{count}"], "mkdir"),
    ("REMOVE", ["-w", "remove", "-q", "1", "-n", "{count}"], "remove"),
    ("COMMIT serial", ["-w", "commit", "-b", "4KiB", "-q", "1", "--files", "16", "--file-size", "1MiB", "-n", "{count}"], "commit"),
    ("COMMIT x16", ["-w", "commit", "-b", "4KiB", "-q", "16", "--files", "16", "--file-size", "1MiB", "-n", "{count}"], "commit"),
]
