"""The load inside the guest: guest_load.py ROUNDS NAME... Each is mounted at /run/mnt/NAME. Prints a line `RESULT {...}` for every run."""

import json
import mmap
import os
import random
import sys
import threading
import time

import condition

BLOCK_BYTES = 1 << 20
FILE_BYTES = 128 << 20
READERS = 4
SMALL_BYTES = 4 << 10
SMALL_OPERATIONS = 2000


def read(path):
    """READs past the client's cache, so that every byte crosses the wire."""
    def part(first):
        buffer = mmap.mmap(-1, BLOCK_BYTES)
        file = os.open(path, os.O_RDONLY | os.O_DIRECT)
        for offset in range(first * BLOCK_BYTES, FILE_BYTES, READERS * BLOCK_BYTES):
            if os.preadv(file, [buffer], offset) != BLOCK_BYTES:
                raise OSError(f"a short read at {offset}")
        os.close(file)

    together(part)


def write(path):
    """WRITEs as the client gathers them in its cache, and a COMMIT."""
    block = os.urandom(BLOCK_BYTES)
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    for _ in range(FILE_BYTES // BLOCK_BYTES):
        os.write(file, block)
    os.fsync(file)
    os.close(file)


def small(path, flags, operation):
    """Operations of 4 KiB at random places, past the client's cache."""
    def part(_):
        buffer = mmap.mmap(-1, SMALL_BYTES)
        file = os.open(path, flags | os.O_DIRECT)
        for _ in range(SMALL_OPERATIONS // READERS):
            if operation(file, [buffer], random.randrange(FILE_BYTES // SMALL_BYTES) * SMALL_BYTES) != SMALL_BYTES:
                raise OSError("a short operation")
        os.close(file)

    together(part)


def together(part):
    failures = []

    def guarded(number):
        try:
            part(number)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# Each with the bytes that it moves.
LOADS = {
    "READ 1MiB": (read, FILE_BYTES),
    "WRITE 1MiB": (write, FILE_BYTES),
    "READ 4KiB": (lambda path: small(path, os.O_RDONLY, os.preadv), SMALL_BYTES * SMALL_OPERATIONS),
    "WRITE 4KiB": (lambda path: small(path, os.O_WRONLY, os.pwritev), SMALL_BYTES * SMALL_OPERATIONS),
}


def measured(load, path):
    begun, busy = time.monotonic(), condition.busy_seconds()
    run, moved = LOADS[load]
    run(path)
    return {"seconds": time.monotonic() - begun, "busy_seconds": condition.busy_seconds() - busy, "bytes": moved}


def main():
    rounds, servers = int(sys.argv[1]), sys.argv[2:]
    paths = {server: f"/run/mnt/{server}/file" for server in servers}
    # Makes the files, and brings them into the servers' page caches.
    for path in paths.values():
        write(path)
        read(path)
    for number in range(1, rounds + 1):
        runs = [(load, server) for load in LOADS for server in paths]
        for load, server in random.sample(runs, len(runs)):
            result = measured(load, paths[server])
            print("RESULT", json.dumps({"round": number, "load": load, "server": server, **result}), flush=True)


if __name__ == "__main__":
    main()
