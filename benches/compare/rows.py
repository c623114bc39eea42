"""What is measured: one row each, a load, the servers it is put on, and what is asked of the result."""

from dataclasses import dataclass, replace

# Of one session, which servers allow a few dozen; and calls outstanding over all connections together.
SESSION_CONNECTIONS = 16
CONNECTION_DEPTH = 64
# A block written and brought to the disk, in up to 16 files.
COMMIT = ["-w", "commit", "-b", "4KiB", "--files", "16", "--file-size", "1MiB"]
SERIAL, PARALLEL = "COMMIT serial", "COMMIT x16"


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
    # Calls come at half the rate that Penstock reaches in the same round, from whichever server: the row is about latency.
    half_load: bool = False
    # Calls outstanding, for rows that the plot against depth is drawn of.
    depth: int = None
    # Connections, for rows that the table and plot of connections are made of.
    connections: int = None
    version: str = "4.2"

    @property
    def ours(self):
        return "penstock direct" if self.io == "direct" else "penstock"


def read(size, depth, **more):
    return Row(f"READ {size}", ["-w", "randread", "-b", size, "-q", str(depth)], ["--read", "splice"],
               block_bytes=bytes_of(size), rate_min=0.85, cpu_max=1.5, ganesha_cpu_max=0.35, **more)


def small_read(name, depth, **more):
    return Row(name, ["-w", "randread", "-b", "4KiB", "-q", str(depth)], ["--read", "copy"], depth=depth, **more)


def half_load(name, load, ceiling):
    return Row(f"{name} half load", load, ceiling, peers=False, half_load=True)


def connections(count):
    """Each call in a segment of its own, or more connections would only mean smaller batches. A session has at most 16 of them."""
    sessions = -(-count // SESSION_CONNECTIONS)
    return Row(f"GETATTR {count} connections", ["-w", "getattr", "-q", str(CONNECTION_DEPTH), "-c", str(count), "--sessions", str(sessions),
               "--send", "single"], ["--read", "copy"], peers=False, connections=count)


def bytes_of(size):
    units = {"KiB": 1 << 10, "MiB": 1 << 20}
    return int(size[:-3]) * units[size[-3:]]


def has_target(row):
    return row.rate_min or row.cpu_max or row.ganesha_cpu_max or row.half_load or row.connections in (1, 1000)


def without_sessions(load):
    """NFSv3 knows none."""
    at = load.index("--sessions") if "--sessions" in load else len(load)
    return load[:at] + load[at + 2:]


ROWS = [
    read("256KiB", 8),
    read("1MiB", 4),
    Row("READ 1MiB direct", ["-w", "randread", "-b", "1MiB", "-q", "8"], ["--read", "direct"], block_bytes=1 << 20,
        io="direct", peers=False, rate_min=0.9),
    Row("READ 64KiB", ["-w", "randread", "-b", "64KiB", "-q", "16"], ["--read", "splice"], block_bytes=1 << 16),
    Row("READ 16KiB", ["-w", "randread", "-b", "16KiB", "-q", "32"], ["--read", "copy"], block_bytes=1 << 14),
    small_read("READ 4KiB", 32, rate_min=0.6, ganesha_cpu_max=0.2),
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
] + [
    small_read(f"READ 4KiB depth {depth}", depth) for depth in (1, 8, 64)
] + [
    half_load("READ 4KiB", ["-w", "randread", "-b", "4KiB", "-q", "32"], ["--read", "copy"]),
    half_load("READ 256KiB", ["-w", "randread", "-b", "256KiB", "-q", "8"], ["--read", "splice"]),
    half_load("WRITE 64KiB", ["-w", "randwrite", "-b", "64KiB", "-q", "16"], ["--write", "copy"]),
    half_load("GETATTR", ["-w", "getattr", "-q", "32"], ["--read", "copy"]),
] + [
    connections(count) for count in (1, 10, 100, 1000)
]

# The same by NFSv3, for the rows that have targets.
NFS3 = "NFSv3 "
ROWS += [replace(row, name=NFS3 + row.name, load=without_sessions(row.load), version="3", depth=None) for row in ROWS if has_target(row)]

# Beside plain loops of system calls: the workload, what the loop does, and how often. Each by NFSv3 too.
PLAIN = [
    ("CREATE", ["-w", "create", "-q", "1"], "create", 500),
    ("MKDIR", ["-w", "mkdir", "-q", "1"], "mkdir", 500),
    ("REMOVE", ["-w", "remove", "-q", "1"], "remove", 500),
    (SERIAL, COMMIT + ["-q", "1"], "commit", 2000),
    (PARALLEL, COMMIT + ["-q", "16"], "commits", 16000),
]
