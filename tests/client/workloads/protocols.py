#!/usr/bin/env python3
"""One export mounted by two versions of the protocol: protocols.py CACHED-ONE CACHED-TWO FRESH-ONE FRESH-TWO

Folders of two versions each. Through the first pair files are shared from close to open, as every mount does. The second
pair keeps no attributes, so that what one does to names and modes is seen by the other at once.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
import time
import traceback

MIB = 1 << 20


def put(path, data=b"", mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)


def get(path):
    with open(path, "rb") as file:
        return file.read()


def fails_with(expected, function, *arguments):
    """Asserts that the call fails with exactly this errno."""
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == expected, f"{errno.errorcode[error.errno]} instead of {errno.errorcode[expected]}"
        return
    raise AssertionError(f"succeeded instead of {errno.errorcode[expected]}")


def links_and_size(descriptor):
    """Of an open file, by the system call. The C library's `fstat` looks an empty name up, which Linux before 6.11 refuses
    with ESTALE for an NFS file that has lost its last name, whatever the server says of it."""
    if platform.machine() != "x86_64":
        status = os.fstat(descriptor)
        return status.st_nlink, status.st_size
    fstat, status = 5, ctypes.create_string_buffer(144)
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(fstat, descriptor, status) != 0:
        raise OSError(ctypes.get_errno(), "fstat")
    return struct.unpack_from("Q", status, 16)[0], struct.unpack_from("q", status, 48)[0]


def cached_writes(one, two):
    """What is written before a close is there after an open: new, overwritten in place, grown and cut."""
    for turn in range(12):
        writer, reader = (one, two) if turn % 2 == 0 else (two, one)
        data = b"%d " % turn * (turn * 9000 + 1)
        put(f"{writer}/shared", data)
        assert get(f"{reader}/shared") == data, f"turn {turn}: rewritten"
        with open(f"{writer}/shared", "r+b") as file:
            file.seek(len(data) // 2)
            file.write(b"HERE")
            file.seek(0, os.SEEK_END)
            file.write(b"tail" * 1000)
        data = data[:len(data) // 2] + b"HERE" + data[len(data) // 2 + 4:] + b"tail" * 1000
        assert get(f"{reader}/shared") == data, f"turn {turn}: changed in place and grown"
        os.truncate(f"{writer}/shared", 7)
        assert get(f"{reader}/shared") == data[:7], f"turn {turn}: cut"
        os.truncate(f"{writer}/shared", 5000)
        assert get(f"{reader}/shared") == data[:7] + bytes(4993), f"turn {turn}: grown by its size alone"


def cached_large(one, two):
    """Bulk data, through both paths of payload."""
    data = os.urandom(8 * MIB + 123)
    put(f"{one}/large", data)
    assert get(f"{two}/large") == data
    os.rename(f"{two}/large", f"{two}/moved")
    with open(f"{two}/moved", "r+b") as file:
        file.seek(3 * MIB)
        file.write(data[:MIB])
    with open(f"{one}/large", "rb") as file:
        assert file.read() == data[:3 * MIB] + data[:MIB] + data[4 * MIB:], "a name that one still knows is the same file"


def fresh_same_file(one, two):
    """Both name one file alike: number, links, times, owner, space."""
    put(f"{one}/same", b"x" * 10000)
    os.chown(f"{two}/same", 1234, 5678)
    os.utime(f"{one}/same", ns=(1234567890123456789, 987654321987654321))
    os.link(f"{two}/same", f"{two}/link")
    os.symlink("same", f"{one}/symbolic")
    os.mknod(f"{two}/device", 0o640 | stat.S_IFCHR, os.makedev(1, 3))
    os.mkfifo(f"{one}/pipe", 0o600)
    names = ("same", "link", "symbolic", "device", "pipe", ".")
    told = [[getattr(os.lstat(f"{side}/{name}"), field) for name in names for field in (
        "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_mtime_ns", "st_ctime_ns", "st_rdev")]
        for side in (one, two)]
    assert told[0] == told[1], told
    assert os.readlink(f"{two}/symbolic") == "same"
    one_space, two_space = os.statvfs(one), os.statvfs(two)
    assert one_space.f_blocks * one_space.f_frsize == two_space.f_blocks * two_space.f_frsize


def fresh_names(one, two):
    """Names that come, move and go."""
    for mine, other in ((one, two), (two, one)):
        fails_with(errno.ENOENT, os.stat, f"{other}/a")
        put(f"{mine}/a", b"a")
        put(f"{mine}/b", b"b")
        assert get(f"{other}/a") == b"a"
        os.rename(f"{mine}/a", f"{mine}/b")
        fails_with(errno.ENOENT, os.stat, f"{other}/a")
        assert get(f"{other}/b") == b"a", "replaced by a rename"
        fails_with(errno.EEXIST, os.open, f"{other}/b", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.mkdir(f"{mine}/d")
        put(f"{other}/d/inside")
        fails_with(errno.ENOTEMPTY, os.rmdir, f"{mine}/d")
        assert os.listdir(f"{mine}/d") == ["inside"]
        os.rename(f"{other}/d/inside", f"{other}/out")
        os.rmdir(f"{mine}/d")
        fails_with(errno.ENOENT, os.listdir, f"{other}/d")
        assert sorted(os.listdir(other)) == ["b", "out"]
        os.unlink(f"{other}/b")
        os.unlink(f"{mine}/out")
        assert os.listdir(mine) == os.listdir(other) == []


def fresh_removed_while_open(one, two):
    """What the other removes is gone for who had it open: the server keeps no file for a client of version 3, and for one
    of version 4 as long as it is open."""
    put(f"{one}/by-two", b"data")
    held = os.open(f"{one}/by-two", os.O_RDONLY)
    os.unlink(f"{two}/by-two")
    fails_with(errno.ENOENT, os.stat, f"{one}/by-two")
    fails_with(errno.ESTALE, os.fstat, held)
    os.close(held)
    put(f"{two}/by-one", b"data")
    held = os.open(f"{two}/by-one", os.O_RDWR)
    os.unlink(f"{one}/by-one")
    os.posix_fadvise(held, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(held, 10, 0) == b"data" and links_and_size(held) == (0, 4)
    os.pwrite(held, b"more", 4)
    os.fsync(held)
    assert links_and_size(held) == (0, 8)
    os.close(held)


def fresh_modes(one, two):
    """Modes and owners decide for both, from the next call on."""
    def as_user(function):
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(1000)
                os.setuid(1000)
                function()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0, "failed as another user"

    for mine, other in ((one, two), (two, one)):
        put(f"{mine}/f", b"secret", 0o644)
        as_user(lambda side=other: get(f"{side}/f"))
        os.chmod(f"{mine}/f", 0o600)
        assert stat.S_IMODE(os.stat(f"{other}/f").st_mode) == 0o600
        as_user(lambda side=other: fails_with(errno.EACCES, get, f"{side}/f"))
        os.chown(f"{mine}/f", 1000, 1000)
        as_user(lambda side=other: get(f"{side}/f"))
        os.unlink(f"{mine}/f")


def fresh_large_folder(one, two):
    """One lists while the other makes and removes; what stays is there exactly once."""
    os.mkdir(f"{one}/many")
    for number in range(300):
        put(f"{one if number % 2 else two}/many/entry-{number:04}")
    expected = {f"entry-{number:04}" for number in range(300)}
    assert set(os.listdir(f"{one}/many")) == set(os.listdir(f"{two}/many")) == expected
    seen, removed = [], set()
    with os.scandir(f"{one}/many") as listing:
        for position, entry in enumerate(listing):
            seen.append(entry.name)
            if position % 3 == 0:
                os.unlink(f"{two}/many/{entry.name}")
                removed.add(entry.name)
    assert len(seen) == len(set(seen)) and expected - removed <= set(seen)
    assert set(os.listdir(f"{two}/many")) == set(os.listdir(f"{one}/many")) == expected - removed


def fresh_appends(one, two):
    """Each appends where the other ended."""
    for turn in range(20):
        with open(f"{one if turn % 2 else two}/log", "ab") as file:
            file.write(b"%04d\n" % turn)
    assert get(f"{one}/log") == get(f"{two}/log") == b"".join(b"%04d\n" % turn for turn in range(20))


def main():
    pairs = {"cached": sys.argv[1:3], "fresh": sys.argv[3:5]}
    os.umask(0o022)
    failed = []
    for name, function in list(globals().items()):
        kind = name.split("_")[0]
        if kind not in pairs or not callable(function):
            continue
        one, two = (f"{side}/{name}" for side in pairs[kind])
        started = time.monotonic()
        try:
            os.mkdir(one)
            function(one, two)
            print(f"ok   {name} {time.monotonic() - started:.1f}", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)


main()
