"""What a server does for an operation that is no time: system calls, allocations, payload that it copies.

Counting costs time, so it has runs of its own: a short one and a longer one, of which the difference is told. What makes and ends the
sessions is the same in both."""

import os
import re
import shutil
import subprocess
import tempfile
import urllib.request

from condition import RUN_SECONDS_MAX

# How many times as long the longer run is.
LONGER = 3
SYSTEM_CALLS = "raw_syscalls:sys_enter"
# The group of the kernel's probes that are set, and removed at the end.
PROBES = "penstock_compare"
# Where memory comes from: a library whose name begins so, else the program itself; and the functions that hand it out.
C_FUNCTIONS = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"]
ALLOCATORS = [("libjemalloc", C_FUNCTIONS), ("libtcmalloc", C_FUNCTIONS), ("libmimalloc", C_FUNCTIONS), ("libc.so", C_FUNCTIONS)]
OWN_FUNCTIONS = ["mi_malloc", "mi_zalloc", "mi_calloc", "mi_realloc", "mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"]
# Metrics of Penstock that count payload which its code moves from one place to another.
COPIED = re.compile(r"^penstock_(?:copied_\w+|tcp_payload_(?:caught|caught_first|short)_bytes)_total\{.*\} (\d+)", re.MULTILINE)


def perf(*words):
    return subprocess.run(["perf", *words], capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)


class Counter:
    """Sets probes where servers allocate, once for each server."""

    def __init__(self):
        self.can_count = shutil.which("perf") is not None
        self.events = {}

    def allocations(self, server):
        """The events that tell of an allocation of this server; none where they cannot be told."""
        if server.name not in self.events:
            program = os.path.realpath(f"/proc/{server.process.pid}/exe")
            events = probes(program, OWN_FUNCTIONS, len(self.events))
            if not events:
                path, functions = library(server.process.pid)
                events = probes(path, functions, len(self.events)) if path else []
            self.events[server.name] = events
        return self.events[server.name]

    def run(self, server, command):
        """What is done in a run: `system_calls`, `allocations` and `copied_bytes`, each where it can be told."""
        before = copied_bytes(server)
        done = self.with_events(server, command) if self.can_count else None
        if done is None:
            return {}
        after = copied_bytes(server)
        counts = {"system_calls": done.pop(SYSTEM_CALLS)}
        if done:
            counts["allocations"] = sum(done.values())
        if before is not None and after is not None:
            counts["copied_bytes"] = after - before
        return counts

    def with_events(self, server, command):
        """How often each event took place while a command ran; nothing where they cannot be counted."""
        names = [SYSTEM_CALLS, *self.allocations(server)]
        with tempfile.NamedTemporaryFile("r") as told:
            options = [option for name in names for option in ("-e", name)]
            done = perf("stat", "-x", ",", "-o", told.name, *options, "-p", str(server.process.pid), "--", *command)
            found = {name: count for count, name in re.findall(r"^(\d+),[^,]*,([^,]+),", told.read(), re.MULTILINE)}
        if done.returncode != 0 or SYSTEM_CALLS not in found:
            return None
        return {name: int(count) for name, count in found.items()}

    def stop(self):
        if self.events:
            perf("probe", "-q", "-d", f"{PROBES}:*")


def for_one(short, long, operations):
    """The same for one operation, of two runs that differ by so many of them."""
    return {name: (long[name] - short[name]) / operations for name in long if name in short}


def library(pid):
    """The library that hands out memory to a process, and by which functions."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        paths = sorted({line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")})
    for name, functions in ALLOCATORS:
        for path in paths:
            if os.path.basename(path).startswith(name):
                return path, functions
    return None, []


def probes(path, functions, number):
    """Sets a probe at each of these functions that a program has; answers their names."""
    events = []
    for function in functions:
        event = f"{function}_{number}"
        if perf("probe", "-q", "-x", path, "--add", f"{PROBES}:{event}={function}").returncode == 0:
            events.append(f"{PROBES}:{event}")
    return events


def copied_bytes(server):
    """Payload that Penstock has copied since it began; nothing of others, which do not tell."""
    if server.metrics_port is None:
        return None
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as answer:
        return sum(int(count) for count in COPIED.findall(answer.read().decode()))
