#!/usr/bin/env python3
"""A client limited to 1 MB/s that has much to write: throttled.py FOLDER SECOND-FOLDER OTHER-EXPORT SHARED MEBIBYTES

Limits are set by files in SHARED. What the client's kernel counts of its calls tells how many were put off
(NFS4ERR_DELAY, NFS3ERR_JUKEBOX). A lock is held all the time, which the second client would get if the lease were lost.
"""

import errno
import fcntl
import hashlib
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor, wait

RATE = 1_000_000
BLOCK = 1 << 20
# The part of the data that is the first burst: in full size as many calls as a Linux client has slots, all of them under way
# before any reply tells it of the limit.
BURST_PART = 1 / 4
DELAYED_PART_MAX = 0.001
# How long the second client may take to write a little and read it again: two times a request's longest hold, and something.
SECOND_SECONDS_MAX = 60
SECOND_BYTES = 4096
SECOND_PLACES = 16
OTHER_BYTES = 4 << 20
OTHER_FREE_TURNS = 5
# Of the other export's speed while nothing is limited, in a guest where everything stalls at times.
OTHER_PART_MIN = 0.4
ASK_SECONDS_MAX = 30
# Calls that limits can make wait, or be put off.
CHARGED = ("READ", "WRITE", "OPEN", "OPEN_NOATTR", "CREATE", "REMOVE", "SETATTR", "GETATTR", "LOOKUP", "ACCESS")
COMPLAINTS = re.compile(r"not responding|timed out|lease|reclaim|lost \d+ locks|error", re.IGNORECASE)
FORKING = multiprocessing.get_context("fork")
OVER = FORKING.Event()


def ask(shared, words):
    """Has the server's administrator run `penstock qos`."""
    name = f"{shared}/qos.{os.environ['VERS']}-{os.environ['NCONNECT']}-{time.monotonic_ns()}"
    with open(f"{name}.new", "w", encoding="ascii") as file:
        file.write(words + "\n")
    os.rename(f"{name}.new", f"{name}.request")
    deadline = time.monotonic() + ASK_SECONDS_MAX
    while not os.path.exists(f"{name}.done"):
        assert time.monotonic() < deadline, f"nobody answers: qos {words}"
        time.sleep(0.1)
    with open(f"{name}.done", encoding="utf-8") as file:
        answer = file.read()
    assert not answer.startswith("penstock:"), f"qos {words}: {answer}"


def metrics():
    """What the server counts, by name with labels."""
    with urllib.request.urlopen(os.environ["METRICS"], timeout=ASK_SECONDS_MAX) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def complaints():
    """What the client's kernel says of its servers."""
    lines = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if re.search(r"nfs|rpc", line, re.IGNORECASE) and COMPLAINTS.search(line)]


def counts(mount_point):
    """By operation: how many calls the kernel made on a mount, and how many came back with an error."""
    with open("/proc/self/mountstats", encoding="utf-8") as file:
        text = file.read()
    part = re.search(rf"mounted on {re.escape(mount_point)} with fstype.*?(?=\ndevice |\Z)", text, re.DOTALL).group()
    rows = re.findall(r"^\s+([A-Z_0-9]+): ((?:\d+ ?)+)$", part.split("per-op statistics")[1], re.MULTILINE)
    numbers = {name: [int(word) for word in words.split()] for name, words in rows}
    return {name: (numbers[name][0], numbers[name][8]) for name in CHARGED if name in numbers}


def put_off(what, before, after):
    """Says which part of the calls between two counts was put off."""
    calls = {name: [now - then for now, then in zip(after[name], before[name])] for name in after}
    done, failed = (sum(column) for column in zip(*calls.values()))
    kinds = ", ".join(f"{row[1]} of {row[0]} {name}" for name, row in calls.items() if row[1])
    print(f"  {what}: {done} calls, {failed} put off ({failed / max(done, 1):.2%}){': ' + kinds if kinds else ''}", flush=True)
    return failed / max(done, 1)


def mount_point_of(path):
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def content(number, mebibytes):
    """Data that is the same for the same number; no two blocks are alike."""
    data = hashlib.shake_128(b"%d" % number).digest(BLOCK)
    for block in range(mebibytes):
        cut = block * 4099 % BLOCK
        yield data[cut:] + data[:cut]


def make_dirty(path, number, mebibytes):
    """Writes into the page cache, and no further. The file stays open."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for block, data in enumerate(content(number, mebibytes)):
        os.pwrite(fd, data, block * BLOCK)
    return fd


def sync(path):
    """How long it takes until all of it is stable."""
    started = time.monotonic()
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)
    return time.monotonic() - started


def verify(path, number, mebibytes, size_bytes):
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    fd = os.open(path, os.O_RDONLY)
    for block, data in enumerate(content(number, mebibytes)):
        assert os.pread(fd, BLOCK, block * BLOCK) == data, f"block {block} is not what was written"
    # Nothing has changed what the second client wrote behind it.
    assert os.fstat(fd).st_size == size_bytes, "the file is not as long as it was made"
    os.close(fd)


def refused_lock(path):
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.EACCES), error
    else:
        raise AssertionError("another client got a lock that is held: the lease was lost")
    finally:
        os.close(fd)


def second_client(path, size_bytes):
    """Writes and reads behind what the first client writes: both have the file open, neither has the other's bytes."""
    seconds = []
    while not OVER.is_set():
        started = time.monotonic()
        place, data = size_bytes + len(seconds) % SECOND_PLACES * SECOND_BYTES, os.urandom(SECOND_BYTES)
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, data, place)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(fd, len(data), place) == data, "the second client reads something else than it wrote"
        os.close(fd)
        if os.environ["VERS"] != "3":
            refused_lock(f"{os.path.dirname(path)}/held")
        seconds.append(time.monotonic() - started)
    return seconds


def other_export(folder, turns=None):
    """Bytes a second of one small file after the other, until there were enough or it is over."""
    speeds, data = [], os.urandom(OTHER_BYTES)
    while len(speeds) < turns if turns else not OVER.is_set():
        started = time.monotonic()
        fd = os.open(f"{folder}/file", os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, data, 0)
        os.fsync(fd)
        os.close(fd)
        os.unlink(f"{folder}/file")
        speeds.append(OTHER_BYTES / (time.monotonic() - started))
    return speeds


def compare_other(speeds, free):
    """Whether the other export is as fast beside the limited one as alone."""
    usual, median = statistics.median(free), statistics.median(speeds)
    print(f"  the other export: {usual / 1e6:.1f} MB/s free; beside it {len(speeds)} turns, the first "
          f"{speeds[0] / 1e6:.2f} MB/s, median {median / 1e6:.2f}, slowest {min(speeds) / 1e6:.2f}", flush=True)
    return median > OTHER_PART_MIN * usual


def of_limit(entity, name, before, after):
    """By how much the server has counted more for a limit."""
    key = f'penstock_limit_{name}_total{{entity="{entity}"}}'
    return after[key] - before[key]


def throttled(entity, number, folder, second, other, shared, mebibytes):
    """Answers what was not as it should be. With another export, the second half of the time is spent beside it."""
    path, size_bytes, mount_point = f"{folder}/data-{number}", mebibytes * BLOCK, mount_point_of(folder)
    OVER.clear()
    free = other_export(other, OTHER_FREE_TURNS) if other else []
    fd = make_dirty(path, number, mebibytes)
    ask(shared, f"set {entity} --bytes 1MB/s")
    start, told_before = counts(mount_point), metrics()
    with ProcessPoolExecutor(3, mp_context=FORKING) as pool:
        try:
            writing = pool.submit(sync, path)
            at_second = pool.submit(second_client, f"{second}/data-{number}", size_bytes)
            wait([writing], timeout=size_bytes / RATE * BURST_PART)
            settled = counts(mount_point)
            wait([writing], timeout=size_bytes / RATE * (1 / 2 - BURST_PART) if other else None)
            halfway = counts(mount_point)
            at_other = pool.submit(other_export, other) if other else None
            seconds = writing.result()
            end, told = counts(mount_point), metrics()
        finally:
            OVER.set()
    turns = at_second.result()
    written, waits, refused = (of_limit(entity, name, told_before, told) for name in ("written_bytes", "waits", "refused"))
    ask(shared, f"rm {entity}")
    print(f"  {entity}: {written / BLOCK:.1f} MiB in {seconds:.1f} s, {written / seconds / 1e6:.3f} MB/s, {waits:.0f} waited, "
          f"{refused:.0f} refused; the second client: {len(turns)} turns, the longest {max(turns):.1f} s", flush=True)
    put_off("first burst", start, settled)
    right = {
        "it was dirty when the limit was set": written > 0.9 * size_bytes,
        "the rate is what the limit allows": 0.9 * RATE < written / seconds < 1.1 * RATE,
        "the second client goes on": max(turns) < SECOND_SECONDS_MAX,
        "nearly nothing is put off": put_off("afterwards", settled, halfway) < DELAYED_PART_MAX,
        "all clients are still there": told["penstock_state_clients"] == told_before["penstock_state_clients"],
    }
    if other:
        # Slots and connection are shared with what waits for the limit, so that some of that has to be put off: it is told,
        # not judged.
        put_off("beside the other export", halfway, end)
        right["what is not limited keeps its speed"] = compare_other(at_other.result(), free)
    os.close(fd)
    verify(path, number, mebibytes, size_bytes + SECOND_BYTES * min(len(turns), SECOND_PLACES))
    os.unlink(path)
    return [f"{entity}: {what}" for what, is_so in right.items() if not is_so]


def main():
    folder, second, other, shared, mebibytes = *sys.argv[1:5], int(sys.argv[5])
    before = complaints()
    held = os.open(f"{folder}/held", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.lockf(held, fcntl.LOCK_EX)
    wrong = throttled("client:127.0.0.1", 1, folder, second, None, shared, mebibytes)
    wrong += throttled("export:/data", 2, folder, second, other, shared, mebibytes)
    assert not wrong, f"not so: {wrong}"
    assert complaints() == before, complaints()


main()
