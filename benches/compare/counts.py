"""What a server does for an operation that is no time: system calls, allocations, payload that it copies.

Counting costs time, so it has runs of its own: a short one and a longer one, of which the difference is told. What makes and ends the
sessions is the same in both."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

from condition import RUN_SECONDS_MAX

# How many times as long the longer run is.
LONGER = 3
SYSTEM_CALLS = "raw_syscalls:sys_enter"
# The group of the kernel's probes that are set, and removed at the end.
PROBES = "penstock_compare"
# Where memory comes from, unless the program brings its own: a library whose name begins so, and the functions that hand it out.
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
            if not self.events:
                # Those of a run that was killed.
                perf("probe", "-q", "-d", f"{PROBES}:*")
            path, functions = allocator(server.process.pid)
            self.events[server.name] = probes(path, functions, len(self.events))
        return self.events[server.name]

    def run(self, server, command):
        """What is done in a run: `system_calls`, `allocations` and `copied_bytes`, each where it can be told. What was measured before
        is worth more than a count, so that one that fails is none."""
        try:
            before = copied_bytes(server)
            counts = self.with_events(server, command) if self.can_count else {}
            after = copied_bytes(server)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{server.name}: nothing is counted: {error}", file=sys.stderr)
            return {}
        if counts and before is not None and after is not None:
            counts["copied_bytes"] = after - before
        return counts

    def with_events(self, server, command):
        """System calls and allocations while a command ran; nothing where they cannot be counted."""
        allocations = self.allocations(server)
        names = [SYSTEM_CALLS, *allocations]
        with tempfile.NamedTemporaryFile("r") as told:
            options = [option for name in names for option in ("-e", name)]
            done = perf("stat", "-x", ",", "-o", told.name, *options, "-p", str(server.process.pid), "--", *command)
            found = {name: int(count) for count, name in re.findall(r"^(\d+),[^,]*,([^,]+),", told.read(), re.MULTILINE)}
        if done.returncode != 0 or SYSTEM_CALLS not in found:
            return {}
        counts = {"system_calls": found[SYSTEM_CALLS]}
        if allocations and all(name in found for name in allocations):
            counts["allocations"] = sum(found[name] for name in allocations)
        return counts

    def stop(self):
        if self.events:
            perf("probe", "-q", "-d", f"{PROBES}:*")


def for_one(short, long, operations):
    """The same for one operation, of two runs that differ by so many of them."""
    return {name: (long[name] - short[name]) / operations for name in long if name in short}


def allocator(pid):
    """The program or library that hands out memory to a process, and by which functions."""
    program = os.path.realpath(f"/proc/{pid}/exe")
    if OWN_FUNCTIONS[0] in perf("probe", "-x", program, "--funcs", OWN_FUNCTIONS[0]).stdout.split():
        return program, OWN_FUNCTIONS
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        paths = sorted({line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")})
    for name, functions in ALLOCATORS:
        for path in paths:
            if os.path.basename(path).startswith(name):
                return path, functions
    return program, []


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
