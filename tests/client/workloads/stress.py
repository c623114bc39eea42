#!/usr/bin/env python3
"""Random file operations by several processes on one tree: stress.py DIRECTORY PROCESSES SECONDS VERSION

Names are drawn from a small set, so the processes meet: what one opens another renames or removes. An operation may
fail only with an error that such a meeting explains. Beside the shared tree every process keeps files that nobody else
touches, with a model of their bytes in memory, and compares them.
"""

import errno
import os
import random
import sys
import time

# What a name that another process just took away, put there or changed the kind of may lead to.
RACES = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL, errno.ELOOP, errno.ESTALE,
         errno.EBUSY, errno.ENXIO, errno.EMLINK, errno.EACCES, errno.EPERM, errno.ENODATA, errno.ESPIPE}
# How often a name at the top, one below and two below: the deeper, the more often something above is not a folder.
DEPTH_WEIGHTS = (5, 3, 1)
NAMES = 8
FILE_BYTES_MAX = 1 << 18


class Worker:
    """One process: its random numbers, its part of the tree that is private, and the model of that."""

    def __init__(self, root, number, version):
        self.root = root
        self.random = random.Random(1000 + number)
        self.version = version
        self.private = os.path.join(root, f"private{number}")
        os.mkdir(self.private)
        self.model = {}
        self.counts = {}

    def path(self):
        depth = self.random.choices((1, 2, 3), DEPTH_WEIGHTS)[0]
        parts = [f"n{self.random.randrange(NAMES)}" for _ in range(depth)]
        return os.path.join(self.root, *parts)

    def create(self):
        fd = os.open(self.path(), os.O_CREAT | os.O_RDWR | self.random.choice([0, os.O_EXCL, os.O_TRUNC, os.O_APPEND]), 0o644)
        os.write(fd, self.random.randbytes(self.random.randrange(1, 20000)))
        os.close(fd)

    def read(self):
        fd = os.open(self.path(), os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.pread(fd, 65536, self.random.randrange(FILE_BYTES_MAX))
        finally:
            os.close(fd)

    def write(self):
        fd = os.open(self.path(), os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.pwrite(fd, self.random.randbytes(self.random.randrange(1, 40000)), self.random.randrange(FILE_BYTES_MAX))
            if self.random.random() < 0.2:
                os.fsync(fd)
        finally:
            os.close(fd)

    def mkdir(self):
        os.mkdir(self.path())

    def rmdir(self):
        os.rmdir(self.path())

    def unlink(self):
        os.unlink(self.path())

    def rename(self):
        os.rename(self.path(), self.path())

    def link(self):
        os.link(self.path(), self.path(), follow_symlinks=False)

    def symlink(self):
        os.symlink(f"n{self.random.randrange(NAMES)}", self.path())

    def readlink(self):
        os.readlink(self.path())

    def mkfifo(self):
        os.mkfifo(self.path())

    def truncate(self):
        os.truncate(self.path(), self.random.randrange(FILE_BYTES_MAX))

    def chmod(self):
        os.chmod(self.path(), self.random.choice([0o600, 0o644, 0o755, 0o700]))

    def utime(self):
        os.utime(self.path(), ns=(self.random.randrange(10**18), self.random.randrange(10**18)))

    def stat(self):
        os.lstat(self.path())

    def listing(self):
        names = os.listdir(os.path.dirname(self.path()))
        assert len(names) == len(set(names)), f"a name twice in one listing: {sorted(names)}"

    def walk(self):
        for _ in os.walk(self.root):
            pass

    def xattr(self):
        path = self.path()
        os.setxattr(path, f"user.x{self.random.randrange(3)}", self.random.randbytes(50))
        os.listxattr(path)

    def copy(self):
        source = os.open(self.path(), os.O_RDONLY | os.O_NONBLOCK)
        try:
            target = os.open(self.path(), os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o644)
            try:
                os.copy_file_range(source, target, 30000)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def model_write(self):
        name = f"m{self.random.randrange(4)}"
        data = self.model.setdefault(name, bytearray())
        offset, new = self.random.randrange(60000), self.random.randbytes(self.random.randrange(1, 9000))
        with open(os.open(os.path.join(self.private, name), os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), new, offset)
        if len(data) < offset:
            data.extend(bytes(offset - len(data)))
        data[offset:offset + len(new)] = new

    def model_truncate(self):
        if self.model:
            name = self.random.choice(sorted(self.model))
            data, size = self.model[name], self.random.randrange(60000)
            os.truncate(os.path.join(self.private, name), size)
            del data[size:]
            data.extend(bytes(size - len(data)))

    def model_move(self):
        if self.model:
            old, new = self.random.choice(sorted(self.model)), f"m{self.random.randrange(4)}"
            os.rename(os.path.join(self.private, old), os.path.join(self.private, new))
            self.model[new] = self.model.pop(old)

    def model_check(self):
        assert sorted(os.listdir(self.private)) == sorted(self.model)
        for name, data in self.model.items():
            with open(os.path.join(self.private, name), "rb") as file:
                assert file.read() == bytes(data), f"{name} is not what was written"

    def run(self, deadline):
        shared = [self.create] * 4 + [self.read] * 3 + [self.write] * 3 + [self.mkdir] * 2 + [self.unlink] * 2 + [
            self.rename] * 2 + [self.rmdir, self.link, self.symlink, self.readlink, self.mkfifo, self.truncate, self.chmod,
                                self.utime, self.stat, self.listing, self.walk]
        if self.version == "4.2":
            shared += [self.xattr, self.copy]
        private = [self.model_write] * 3 + [self.model_truncate, self.model_move, self.model_check]
        while time.monotonic() < deadline:
            if self.random.random() < 0.2:
                self.random.choice(private)()
                continue
            operation = self.random.choice(shared)
            outcome = "ok"
            try:
                operation()
            except OSError as error:
                if error.errno not in RACES:
                    raise
                outcome = "met"
            key = (operation.__name__, outcome)
            self.counts[key] = self.counts.get(key, 0) + 1
        self.model_check()


def main():
    root, processes, seconds, version = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    deadline = time.monotonic() + seconds
    children = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            worker = Worker(root, number, version)
            worker.run(deadline)
            print(f"process {number}:", " ".join(f"{name}/{outcome}={count}" for (name, outcome), count in
                                                 sorted(worker.counts.items())), flush=True)
            os._exit(0)
        children.append(pid)
    failed = [pid for pid in children if os.waitpid(pid, 0)[1] != 0]
    sys.exit(f"{len(failed)} of {processes} processes failed" if failed else 0)


main()
