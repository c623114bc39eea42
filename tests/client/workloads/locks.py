#!/usr/bin/env python3
"""Two mounts of one folder by two NFS clients: locks, closes, exclusive creates.

locks.py FOLDER-OF-ONE FOLDER-OF-TWO VERSION
"""

import errno
import fcntl
import os
import struct
import sys
import time
import traceback

# The holder keeps the lock so long that a client that only polls (after 1, 3, 7, 15 s) would come several seconds late.
# A notified one tries again at once; the bound leaves room for an emulated machine that stalls.
HOLD_SECONDS = 8.5
GRANT_SECONDS_MAX = 4.0
LOCK_FORMAT = "hhqqi"
# Version 3 is mounted without locks.
LOCKLESS = ("close_to_open", "exclusive_create")


def denied(fd, kind, length=0, start=0):
    """True if the lock is refused, False if it is granted."""
    try:
        fcntl.lockf(fd, kind | fcntl.LOCK_NB, length, start)
        return False
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.EACCES), error
        return True


def in_child(function):
    """Starts a function in a child; returns what waits for it and asserts that it went well."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def wait():
        assert os.waitpid(pid, 0)[1] == 0, "the other client failed"

    return wait


def check_ranges(one, two):
    a = os.open(f"{one}/ranges", os.O_RDWR | os.O_CREAT, 0o644)
    b = os.open(f"{two}/ranges", os.O_RDWR)
    fcntl.lockf(a, fcntl.LOCK_EX, 100, 50)
    assert denied(b, fcntl.LOCK_EX, 10, 100), "an overlapping lock of another client was granted"
    assert denied(b, fcntl.LOCK_SH, 1, 149)
    assert not denied(b, fcntl.LOCK_EX, 50, 0) and not denied(b, fcntl.LOCK_EX, 10, 150)
    query = struct.pack(LOCK_FORMAT, fcntl.F_WRLCK, 0, 120, 1, 0)
    kind, _, start, length, _ = struct.unpack(LOCK_FORMAT, fcntl.fcntl(b, fcntl.F_GETLK, query)[:28])
    assert (kind, start, length) == (fcntl.F_WRLCK, 50, 100), (kind, start, length)
    fcntl.lockf(a, fcntl.LOCK_UN, 50, 50)
    assert not denied(b, fcntl.LOCK_EX, 50, 50) and denied(b, fcntl.LOCK_EX, 50, 100)
    os.close(a)
    assert not denied(b, fcntl.LOCK_EX, 50, 100), "a close did not free the lock"
    os.close(b)
    a, b = os.open(f"{one}/ranges", os.O_RDWR), os.open(f"{two}/ranges", os.O_RDWR)
    assert not denied(a, fcntl.LOCK_SH) and not denied(b, fcntl.LOCK_SH), "shared locks exclude each other"
    assert denied(a, fcntl.LOCK_EX), "an upgrade against another client's shared lock was granted"
    os.close(b)
    assert not denied(a, fcntl.LOCK_EX)
    os.close(a)


def check_flock(one, two):
    a, b = os.open(f"{one}/flock", os.O_RDWR | os.O_CREAT, 0o644), os.open(f"{two}/flock", os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)
    try:
        fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise AssertionError("flock was granted to two clients")
    except BlockingIOError:
        pass
    fcntl.flock(a, fcntl.LOCK_UN)
    fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(a)
    os.close(b)


def check_blocking(one, two):
    a = os.open(f"{one}/blocking", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.lockf(a, fcntl.LOCK_EX)

    def waiter():
        b = os.open(f"{two}/blocking", os.O_RDWR)
        started = time.monotonic()
        fcntl.lockf(b, fcntl.LOCK_EX)
        waited = time.monotonic() - started
        assert os.pread(b, 10, 0) == b"first", "the data written under the lock is not there after it"
        print(f"  granted after {waited:.1f} s, {waited - HOLD_SECONDS:.1f} s after the unlock", flush=True)
        assert waited > HOLD_SECONDS - 1, "granted while the other client held it"
        assert waited < HOLD_SECONDS + GRANT_SECONDS_MAX, "granted too late: the waiter polled, nobody notified it"

    wait = in_child(waiter)
    time.sleep(HOLD_SECONDS)
    os.pwrite(a, b"first", 0)
    fcntl.lockf(a, fcntl.LOCK_UN)
    wait()
    os.close(a)


def check_counter_under_lock(one, two):
    """Both clients add to one number under a lock; no addition may be lost."""
    turns = 25
    with open(f"{one}/counter", "w", encoding="ascii") as file:
        file.write("0")

    def add(folder):
        fd = os.open(f"{folder}/counter", os.O_RDWR)
        for _ in range(turns):
            while denied(fd, fcntl.LOCK_EX):
                time.sleep(0.01)
            value = int(os.pread(fd, 20, 0))
            os.pwrite(fd, b"%d" % (value + 1), 0)
            fcntl.lockf(fd, fcntl.LOCK_UN)
        os.close(fd)

    wait = in_child(lambda: add(two))
    add(one)
    wait()
    with open(f"{two}/counter", "rb") as file:
        found = int(file.read())
    assert found == 2 * turns, f"{found} of {2 * turns} additions"


def check_close_to_open(one, two):
    for turn in range(20):
        writer, reader = (one, two) if turn % 2 == 0 else (two, one)
        data = b"%d " % turn * (turn * 300 + 1)
        with open(f"{writer}/shared", "wb") as file:
            file.write(data)
        with open(f"{reader}/shared", "rb") as file:
            found = file.read()
        assert found == data, f"turn {turn}: {len(found)} bytes instead of {len(data)} after the other's close"


def check_exclusive_create(one, two):
    def create(folder):
        won = 0
        for number in range(40):
            try:
                os.close(os.open(f"{folder}/won-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                won += 1
            except FileExistsError:
                pass
        with open(f"{folder}/score-{os.path.basename(os.path.dirname(folder))}", "w", encoding="ascii") as file:
            file.write(str(won))

    wait = in_child(lambda: create(two))
    create(one)
    wait()
    scores = [int(open(f"{one}/{name}", encoding="ascii").read()) for name in os.listdir(one) if name.startswith("score-")]
    assert sum(scores) == 40, f"exclusive creates won: {scores}"


def main():
    one, two, version = sys.argv[1:4]
    failed = []
    for name, function in [(name[6:], function) for name, function in globals().items() if name.startswith("check_")]:
        if version == "3" and name not in LOCKLESS:
            continue
        try:
            function(one, two)
            print(f"ok   {name}", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)


main()
