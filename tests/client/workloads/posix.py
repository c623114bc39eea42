#!/usr/bin/env python3
"""POSIX file semantics on a mount, one function per subject: posix.py DIRECTORY VERSION ENTRIES

Every function whose name starts with `check_` runs in a folder of its own. A failed assertion is printed with its
subject, the others go on, and the exit status tells. Subjects that the minor version lacks are told apart from
failures by the version, never by the error.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
import sys
import time
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
FICLONE = 0x40049409
MIB = 1 << 20


def fails_with(expected, function, *arguments, **keywords):
    """Asserts that the call fails with exactly this errno."""
    try:
        function(*arguments, **keywords)
    except OSError as error:
        assert error.errno == expected, f"{errno.errorcode[error.errno]} instead of {errno.errorcode[expected]}"
        return
    raise AssertionError(f"succeeded instead of {errno.errorcode[expected]}")


def put(path, data=b"", mode=0o644):
    """Writes a file as a whole."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, data)
    os.close(fd)


def get(path):
    """Reads a file as a whole."""
    with open(path, "rb") as file:
        return file.read()


def fallocate(fd, mode, offset, length):
    """fallocate(2), which Python does not have."""
    if LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def check_hard_links():
    put("a", b"one")
    os.link("a", "b")
    assert os.stat("a").st_nlink == 2 and os.stat("a").st_ino == os.stat("b").st_ino
    put("b", b"two")
    assert get("a") == b"two"
    fails_with(errno.EEXIST, os.link, "a", "b")
    os.mkdir("d")
    fails_with(errno.EPERM, os.link, "d", "e")
    os.unlink("a")
    assert get("b") == b"two" and os.stat("b").st_nlink == 1


def check_symbolic_links():
    put("target", b"t")
    os.symlink("target", "link")
    assert os.readlink("link") == "target" and get("link") == b"t" and stat.S_ISLNK(os.lstat("link").st_mode)
    # As long as every Linux file system allows: xfs ends at 1,024 bytes.
    os.symlink("x" * 1000, "long")
    assert os.readlink("long") == "x" * 1000
    os.symlink("nowhere", "dangling")
    fails_with(errno.ENOENT, os.stat, "dangling")
    fails_with(errno.EEXIST, os.symlink, "y", "link")
    os.symlink("loop2", "loop1")
    os.symlink("loop1", "loop2")
    fails_with(errno.ELOOP, os.stat, "loop1")
    fails_with(errno.EINVAL, os.readlink, "target")


def check_rename():
    put("old", b"old")
    put("new", b"new")
    fd = os.open("new", os.O_RDONLY)
    os.rename("old", "new")
    assert os.read(fd, 10) == b"new", "an open file keeps its bytes when another is renamed over it"
    os.close(fd)
    assert get("new") == b"old" and not os.path.exists("old")
    os.mkdir("d")
    os.mkdir("full")
    put("full/x")
    fails_with(errno.ENOTEMPTY, os.rename, "d", "full")
    fails_with(errno.EISDIR, os.rename, "new", "d")
    fails_with(errno.ENOTDIR, os.rename, "d", "new")
    fails_with(errno.EINVAL, os.rename, "d", "d/below")
    fails_with(errno.ENOENT, os.rename, "absent", "z")
    os.rename("full", "d")
    assert os.listdir("d") == ["x"]
    os.link("new", "same")
    os.rename("new", "same")
    assert os.path.exists("new") and os.path.exists("same"), "a rename between links of one file does nothing"
    os.mkdir("other")
    os.rename("d", "other/d")
    # Some file systems (btrfs) count no links of directories.
    assert os.stat("other").st_nlink in (1, 3) and os.listdir("other/d") == ["x"]


def check_unlink_open_file():
    fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"kept")
    os.unlink("f")
    assert not os.path.exists("f")
    os.pwrite(fd, b"K", 0)
    os.fsync(fd)
    assert os.pread(fd, 10, 0) == b"Kept" and os.fstat(fd).st_size == 4
    os.close(fd)
    # A client keeps the name under another one and removes it behind the close, in its own time.
    deadline = time.monotonic() + 10
    while os.listdir(".") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert os.listdir(".") == [], f"left behind: {os.listdir('.')}"


def check_modes_and_owners():
    put("f")
    for mode in (0o000, 0o777, 0o640, 0o1644):
        os.chmod("f", mode)
        assert stat.S_IMODE(os.stat("f").st_mode) == mode
    os.chown("f", 1234, 5678)
    assert (os.stat("f").st_uid, os.stat("f").st_gid) == (1234, 5678)
    os.chown("f", -1, 99)
    assert (os.stat("f").st_uid, os.stat("f").st_gid) == (1234, 99)
    os.chown("f", 4294967290, 4294967291)
    assert (os.stat("f").st_uid, os.stat("f").st_gid) == (4294967290, 4294967291)
    previous = os.umask(0o027)
    try:
        put("masked", mode=0o666)
        os.mkdir("masked.d", 0o777)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(os.stat("masked").st_mode) == 0o640
    assert stat.S_IMODE(os.stat("masked.d").st_mode) == 0o750
    os.mkdir("shared")
    os.chown("shared", 0, 4321)
    os.chmod("shared", 0o2775)
    put("shared/inherits")
    os.mkdir("shared/below")
    assert os.stat("shared/inherits").st_gid == 4321
    assert os.stat("shared/below").st_gid == 4321 and os.stat("shared/below").st_mode & stat.S_ISGID


def as_user(user, function, groups=()):
    """Runs a function as another user in a child and asserts that it returned."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(groups))
            os.setgid(user)
            os.setuid(user)
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, f"failed as user {user}"


def check_permissions():
    put("secret", b"s", mode=0o600)
    put("group", b"g", mode=0o640)
    os.chown("group", 0, 777)
    os.mkdir("closed", 0o700)
    os.mkdir("open")
    os.chmod("open", 0o1777)
    put("open/mine")
    as_user(1000, lambda: fails_with(errno.EACCES, get, "secret"))
    as_user(1000, lambda: fails_with(errno.EACCES, get, "group"))
    as_user(1000, lambda: get("group"), groups=[5, 777])
    as_user(1000, lambda: fails_with(errno.EACCES, os.listdir, "closed"))
    as_user(1000, lambda: fails_with(errno.EACCES, put, "new"))
    as_user(1000, lambda: fails_with(errno.EPERM, os.chmod, "secret", 0o777))
    as_user(1000, lambda: fails_with(errno.EPERM, os.unlink, "open/mine"))
    as_user(1000, lambda: put("open/theirs", b"x"))
    assert os.stat("open/theirs").st_uid == 1000
    assert os.access("secret", os.R_OK)

    def write_through_a_read_only_file():
        fd = os.open("open/readonly", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        os.write(fd, b"still")
        os.fsync(fd)
        os.close(fd)
        fails_with(errno.EACCES, os.open, "open/readonly", os.O_WRONLY)

    as_user(1000, write_through_a_read_only_file)
    assert get("open/readonly") == b"still"


def check_setuid_cleared():
    os.mkdir("d")
    os.chmod("d", 0o777)
    as_user(1000, lambda: put("d/program", b"x", mode=0o755))
    os.chmod("d/program", 0o6755)

    def change():
        fd = os.open("d/program", os.O_WRONLY)
        os.write(fd, b"changed")
        os.close(fd)

    as_user(1000, change)
    assert not os.stat("d/program").st_mode & (stat.S_ISUID | stat.S_ISGID), "a write by a user clears setuid and setgid"


def check_times():
    put("f", b"x")
    os.utime("f", ns=(1234567890123456789, 987654321987654321))
    found = os.stat("f")
    assert (found.st_atime_ns, found.st_mtime_ns) == (1234567890123456789, 987654321987654321)
    before = found.st_ctime_ns
    time.sleep(0.02)
    os.chmod("f", 0o600)
    assert os.stat("f").st_ctime_ns > before and os.stat("f").st_mtime_ns == 987654321987654321
    put("f", b"yy")
    assert os.stat("f").st_mtime_ns > 987654321987654321
    os.mkdir("d")
    before = os.stat("d").st_mtime_ns
    time.sleep(0.02)
    put("d/new")
    assert os.stat("d").st_mtime_ns > before
    os.utime("f")
    assert abs(os.stat("f").st_mtime - time.time()) < 120


def check_exclusive_create():
    fd = os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    os.close(fd)
    found = os.stat("f")
    assert stat.S_IMODE(found.st_mode) == 0o640 and found.st_size == 0
    assert abs(found.st_mtime - time.time()) < 120, "the verifier of an exclusive create must not show in the times"
    fails_with(errno.EEXIST, os.open, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.symlink("absent", "link")
    fails_with(errno.EEXIST, os.open, "link", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def check_append():
    descriptors = [os.open("f", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for _ in range(2)]
    for turn in range(20):
        os.write(descriptors[turn % 2], b"%04d" % turn)
    for fd in descriptors:
        os.close(fd)
    assert get("f") == b"".join(b"%04d" % turn for turn in range(20))


def check_truncate():
    put("f", b"abcdef")
    os.truncate("f", 3)
    assert get("f") == b"abc"
    os.truncate("f", 6)
    assert get("f") == b"abc\0\0\0"
    os.truncate("f", 5 << 30)
    assert os.stat("f").st_size == 5 << 30 and os.stat("f").st_blocks * 512 < MIB
    fd = os.open("f", os.O_RDWR)
    os.pwrite(fd, b"end", (5 << 30) - 3)
    assert os.pread(fd, 10, (5 << 30) - 3) == b"end" and os.pread(fd, 4, 1 << 30) == bytes(4)
    os.close(fd)


def check_holes(version):
    fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, b"d" * MIB, 2 * MIB)
    os.ftruncate(fd, 8 * MIB)
    os.fsync(fd)
    if version == "4.2":
        assert os.lseek(fd, 0, os.SEEK_DATA) == 2 * MIB
        assert os.lseek(fd, 2 * MIB, os.SEEK_HOLE) == 3 * MIB
        fails_with(errno.ENXIO, os.lseek, fd, 4 * MIB, os.SEEK_DATA)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MIB + 65536, 65536)
        assert os.pread(fd, 65536, 2 * MIB + 65536) == bytes(65536)
        assert os.pread(fd, 1, 2 * MIB + 65535) == b"d" and os.pread(fd, 1, 2 * MIB + 131072) == b"d"
        assert os.lseek(fd, 2 * MIB, os.SEEK_HOLE) == 2 * MIB + 65536
        fallocate(fd, 0, 8 * MIB, MIB)
        assert os.fstat(fd).st_size == 9 * MIB and os.fstat(fd).st_blocks * 512 >= 2 * MIB - 65536
    else:
        fails_with(errno.EOPNOTSUPP, fallocate, fd, 0, 0, MIB)
    os.close(fd)


def check_copy_and_clone(version):
    data = os.urandom(3 * MIB)
    put("source", data)
    source, target = os.open("source", os.O_RDONLY), os.open("target", os.O_RDWR | os.O_CREAT, 0o644)
    done = 0
    while done < len(data):
        step = os.copy_file_range(source, target, len(data) - done)
        assert step > 0
        done += step
    assert get("target") == data
    assert os.copy_file_range(source, target, 1000, offset_src=5, offset_dst=77) == 1000
    assert os.pread(target, 1000, 77) == data[5:1005]
    if version == "4.2":
        try:
            fcntl.ioctl(target, FICLONE, source)
            assert get("target") == data
            print("  clone: done by the server")
        except OSError as error:
            assert error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV), error
            print(f"  clone: not on this file system ({errno.errorcode[error.errno]})")
    os.close(source)
    os.close(target)


def check_extended_attributes(version):
    put("f")
    if version != "4.2":
        fails_with(errno.EOPNOTSUPP, os.setxattr, "f", "user.a", b"1")
        return
    os.setxattr("f", "user.a", b"one")
    os.setxattr("f", "user.b", bytes(range(256)))
    assert os.getxattr("f", "user.a") == b"one" and os.getxattr("f", "user.b") == bytes(range(256))
    assert sorted(name for name in os.listxattr("f") if name.startswith("user.")) == ["user.a", "user.b"]
    fails_with(errno.EEXIST, os.setxattr, "f", "user.a", b"x", os.XATTR_CREATE)
    fails_with(errno.ENODATA, os.setxattr, "f", "user.c", b"x", os.XATTR_REPLACE)
    os.removexattr("f", "user.a")
    fails_with(errno.ENODATA, os.getxattr, "f", "user.a")
    os.mkdir("d")
    os.setxattr("d", "user.of.directory", b"yes")
    assert os.getxattr("d", "user.of.directory") == b"yes"


def check_special_files():
    os.mkfifo("pipe", 0o640)
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    os.mknod("null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    found = os.stat("null")
    assert stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)
    os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(7, 300))
    assert os.stat("disk").st_rdev == os.makedev(7, 300)
    os.mknod("socket", 0o600 | stat.S_IFSOCK)
    assert stat.S_ISSOCK(os.stat("socket").st_mode)
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("pipe", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    os.close(writer)


def check_directories(entries):
    fails_with(errno.ENOENT, os.rmdir, "absent")
    os.mkdir("d")
    fails_with(errno.EEXIST, os.mkdir, "d")
    for number in range(entries):
        os.close(os.open(f"d/entry-{number:06}", os.O_CREAT | os.O_WRONLY, 0o644))
    expected = {f"entry-{number:06}" for number in range(entries)}
    names = os.listdir("d")
    assert len(names) == entries and set(names) == expected
    fails_with(errno.ENOTEMPTY, os.rmdir, "d")
    # What is removed while it is listed may show or not; what stays must show exactly once.
    seen, removed = [], set()
    with os.scandir("d") as listing:
        for position, entry in enumerate(listing):
            seen.append(entry.name)
            if position % 3 == 0:
                os.unlink(f"d/{entry.name}")
                removed.add(entry.name)
    assert len(seen) == len(set(seen)), "a name twice in one listing"
    assert expected - removed <= set(seen), "a name missing from a listing"
    assert set(os.listdir("d")) == expected - removed
    assert all(entry.inode() == os.lstat(entry.path).st_ino for entry in list(os.scandir("d"))[:50])
    for name in expected - removed:
        os.unlink(f"d/{name}")
    os.rmdir("d")


def check_names():
    for name in ("a" * 255, "with space", "ünï-ço∂é", "*?[", "-dash", "back\\slash", "new\nline"):
        put(name, b"x")
        assert name in os.listdir(".") and get(name) == b"x"
    fails_with(errno.ENAMETOOLONG, put, "a" * 256)
    put(b"\xff\xfe not UTF-8", b"x")
    assert b"\xff\xfe not UTF-8" in os.listdir(b".")


def check_statfs():
    before = os.statvfs(".")
    assert before.f_bsize > 0 and before.f_blocks >= before.f_bavail > 0 and before.f_namemax == 255
    assert before.f_files >= before.f_ffree


def check_locks_of_one_client():
    put("f", bytes(100))
    first, second = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX)
    fails_with(errno.EAGAIN, fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(first, fcntl.LOCK_UN)
    fcntl.flock(second, fcntl.LOCK_SH)
    fcntl.flock(second, fcntl.LOCK_UN)
    os.close(first)

    fcntl.lockf(second, fcntl.LOCK_EX, 50, 10)

    def contend():
        fd = os.open("f", os.O_RDWR)
        fails_with(errno.EAGAIN, fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
        query = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 20, 5, 0)
        kind, _, start, length, _ = struct.unpack("hhqqi", fcntl.fcntl(fd, fcntl.F_GETLK, query)[:28])
        assert (kind, start, length) == (fcntl.F_WRLCK, 10, 50)

    pid = os.fork()
    if pid == 0:
        try:
            contend()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    fcntl.lockf(second, fcntl.LOCK_UN, 20, 20)
    fcntl.lockf(second, fcntl.LOCK_UN)
    os.close(second)


def check_mapping():
    import mmap
    put("f", bytes(3 * 4096))
    fd = os.open("f", os.O_RDWR)
    with mmap.mmap(fd, 3 * 4096) as mapped:
        mapped[5000:5005] = b"hello"
        mapped.flush()
        assert os.pread(fd, 5, 5000) == b"hello"
    os.close(fd)
    assert get("f")[5000:5005] == b"hello"


def check_direct_io():
    import mmap
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
    buffer = mmap.mmap(-1, 65536)
    buffer[:] = bytes(range(256)) * 256
    assert os.pwritev(fd, [buffer], 65536) == 65536
    assert os.fstat(fd).st_size == 131072
    back = mmap.mmap(-1, 65536)
    assert os.preadv(fd, [back], 65536) == 65536 and back[:] == buffer[:]
    os.close(fd)


def main():
    root, version, entries = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.umask(0o022)
    failed = []
    checks = [(name[6:], function) for name, function in globals().items() if name.startswith("check_")]
    for name, function in checks:
        folder = os.path.join(root, name)
        os.mkdir(folder)
        os.chdir(folder)
        code = function.__code__
        known = {"version": version, "entries": entries}
        started = time.monotonic()
        try:
            function(*[known[parameter] for parameter in code.co_varnames[:code.co_argcount]])
            print(f"ok   {name} {time.monotonic() - started:.1f}", flush=True)
        except Exception:
            failed.append(name)
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
        os.chdir(root)
    print(f"{len(checks)} subjects, failed: {' '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


main()
