#!/usr/bin/env python3
"""Work that must not notice a server's restart: restart.py FOLDER RIVAL-FOLDER EAGER-FOLDER SHARED TIMES VERSION

Asks for each restart by a file in SHARED. One process holds a lock over all of them and writes under it, others read,
write and verify, lock and unlock, create and rename; the rival client tries for the held lock after each restart. Version 3
is mounted without locks: there is no rival then. Data that was written through the eager mount and not yet synced is lost
with each restart.
"""

import errno
import fcntl
import os
import sys
import time
import traceback

RESTART_SECONDS_MAX = 90
# How long the work goes on between two restarts.
WORK_SECONDS = 4
UNSYNCED_BYTES = 4 << 20


def worker(function, stop):
    """Runs a function again and again in a child until the file `stop` is there; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            turn = 0
            while not os.path.exists(stop):
                function(turn)
                turn += 1
            print(f"  {function.__name__}: {turn} turns", flush=True)
            os._exit(0 if turn else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return pid


def write_and_verify(folder):
    def writes(turn):
        data = (b"%08d" % turn) * 2000
        fd = os.open(f"{folder}/data-{turn % 5}", os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, data, 0)
        if turn % 3 == 0:
            os.fsync(fd)
        os.close(fd)
        fd = os.open(f"{folder}/data-{turn % 5}", os.O_RDONLY)
        assert os.read(fd, len(data)) == data
        os.close(fd)
    return writes


def append_log(folder):
    fd = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def appends(turn):
        os.write(fd, b"%09d\n" % turn)
        os.fsync(fd)
        assert os.fstat(fd).st_size == 10 * (turn + 1)
    return appends


def read_random(folder):
    block = bytes(range(256)) * 64
    with open(f"{folder}/fixed", "wb") as file:
        for _ in range(64):
            file.write(block)
    fd = os.open(f"{folder}/fixed", os.O_RDONLY)

    def reads(turn):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(fd, len(block), (turn * 7 % 64) * len(block)) == block
    return reads


def lock_and_unlock(folder):
    fd = os.open(f"{folder}/cycled", os.O_RDWR | os.O_CREAT, 0o644)

    def locks(turn):
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, turn % 100)
        os.pwrite(fd, b"locked", 0)
        fcntl.lockf(fd, fcntl.LOCK_UN, 10, turn % 100)
    return locks


def change_names(folder):
    """A retry across a restart may find its own work done (the reply cache does not outlive the server), so each name is
    new and only an unexpected state of the folder is a fault."""
    def renames(turn):
        name = f"{folder}/name-{turn}"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
        for call, done in ((lambda: os.rename(name, name + "-moved"), lambda: os.path.exists(name + "-moved")),
                           (lambda: os.unlink(name + "-moved"), lambda: not os.path.exists(name + "-moved"))):
            try:
                call()
            except FileNotFoundError:
                assert done(), "a name is gone"
    return renames


def restart(shared, number, lost):
    # Named with the mount's version and connections too: one guest may run this workload several times.
    name = f"{shared}/restart.{os.environ['VERS']}-{os.environ['NCONNECT']}-{number}"
    # By a rename: whoever waits for the file takes it away at once, which an open over a shared folder may notice.
    with open(f"{name}.new", "w", encoding="ascii") as file:
        file.write(lost)
    os.rename(f"{name}.new", f"{name}.request")
    deadline = time.monotonic() + RESTART_SECONDS_MAX
    while not os.path.exists(f"{name}.done"):
        assert time.monotonic() < deadline, "the server was not restarted"
        time.sleep(0.2)


def rival_is_refused(rival):
    fd = os.open(f"{rival}/held", os.O_RDWR)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        assert error.errno in (errno.EAGAIN, errno.EACCES), error
        os.close(fd)
        return
    raise AssertionError("another client got a lock that is held")


def main():
    folder, rival, eager, shared, times, version = *sys.argv[1:5], int(sys.argv[5]), sys.argv[6]
    stop = "/run/penstock/restart.stop"
    if os.path.exists(stop):
        os.unlink(stop)
    held = os.open(f"{folder}/held", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.lockf(held, fcntl.LOCK_EX)
    refused = (lambda _: None) if version == "3" else rival_is_refused
    refused(rival)
    work = (write_and_verify, append_log, read_random, lock_and_unlock, change_names)
    children = [worker(kind(folder), stop) for kind in work]
    try:
        for number in range(times):
            time.sleep(WORK_SECONDS)
            started = time.monotonic()
            # The server has this when the call returns, but need not keep it.
            data = os.urandom(UNSYNCED_BYTES)
            unsynced = os.open(f"{eager}/unsynced", os.O_RDWR | os.O_CREAT, 0o644)
            os.pwrite(unsynced, data, 0)
            restart(shared, number, f"{os.path.basename(folder)}/unsynced")
            os.fsync(unsynced)
            os.posix_fadvise(unsynced, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.pread(unsynced, len(data), 0) == data, "what was lost with the server was not sent again"
            os.close(unsynced)
            os.pwrite(held, b"%04d" % number, number * 4)
            os.fsync(held)
            resumed = time.monotonic() - started
            refused(rival)
            print(f"  restart {number}: writing again after {resumed:.1f} s, "
                  f"done after {time.monotonic() - started:.1f} s", flush=True)
        time.sleep(WORK_SECONDS)
    finally:
        open(stop, "w", encoding="ascii").close()
        statuses = [os.waitpid(pid, 0)[1] for pid in children]
    assert not any(statuses), f"a worker saw an error: {statuses}"
    assert os.pread(held, 4 * times, 0) == b"".join(b"%04d" % number for number in range(times))
    fcntl.lockf(held, fcntl.LOCK_UN)
    os.close(held)
    with open(f"{folder}/log", "rb") as file:
        lines = file.read().split()
    assert lines == [b"%09d" % turn for turn in range(len(lines))], "the log has a gap"
    if version != "3":
        fd = os.open(f"{rival}/held", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)


main()
