#!/usr/bin/env python3
"""Changes of names while connections are cut: cuts.py FOLDER ADDRESS PORT CALLS

A call whose reply was lost with its connection comes again over the next one. Executed twice it would find its own work
done: a name that is there, or one that is gone. So every call here is made once, must succeed, and no error is excused.
It ends when so many calls were sent again.
"""

import os
import subprocess
import sys
import time
import traceback

PROCESSES = 4
CUT_PAUSE_SECONDS = 0.3
# How long it may take until one more call is sent again.
SECONDS_MAX = 5
# The calls that must not be executed twice, by their names in mountstats.
CALLS = ("CREATE", "MKDIR", "SYMLINK", "LINK", "RENAME", "REMOVE", "RMDIR", "OPEN")


def turn(folder, number):
    name = f"{folder}/{number}"
    os.mkdir(f"{name}-d", 0o755)
    os.close(os.open(f"{name}-d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    os.link(f"{name}-d/f", f"{name}-l")
    os.symlink("nowhere", f"{name}-s")
    os.rename(f"{name}-d/f", f"{name}-f")
    os.rename(f"{name}-d", f"{name}-e")
    os.rmdir(f"{name}-e")
    os.unlink(f"{name}-l")
    os.unlink(f"{name}-s")
    os.rename(f"{name}-f", f"{name}-g")
    os.unlink(f"{name}-g")


def worker(folder, stop):
    pid = os.fork()
    if pid == 0:
        try:
            os.mkdir(folder)
            turns = 0
            while not os.path.exists(stop):
                turn(folder, turns)
                turns += 1
            left = os.listdir(folder)
            print(f"  {turns} turns, left: {left}", flush=True)
            os._exit(1 if left or not turns else 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return pid


def sent_again(mount_point):
    """How often calls of the mount were sent again, by their names."""
    again, here = {}, False
    with open("/proc/self/mountstats", encoding="ascii") as stats:
        for line in stats:
            words = line.split()
            if line.startswith("device "):
                here = words[4] == mount_point
            elif here and words and words[0].rstrip(":") in CALLS:
                # Of a call: made, sent, timed out.
                again[words[0].rstrip(":")] = int(words[2]) - int(words[1])
    return again


def main():
    folder, address, port, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    mount_point, stop = os.path.dirname(folder), "/run/penstock/cuts.stop"
    if os.path.exists(stop):
        os.unlink(stop)
    before = sum(sent_again(mount_point).values())
    children = [worker(f"{folder}/{number}", stop) for number in range(PROCESSES)]
    cuts, again, deadline = 0, 0, time.monotonic() + wanted * SECONDS_MAX
    while again < wanted and time.monotonic() < deadline:
        time.sleep(CUT_PAUSE_SECONDS)
        cut = subprocess.run(["ss", "-HKtn", "state", "established", "dst", address, "dport", "=", f":{port}"],
                             capture_output=True, text=True, check=True)
        cuts += len(cut.stdout.splitlines())
        again = sum(sent_again(mount_point).values()) - before
    open(stop, "w", encoding="ascii").close()
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    print(f"  {cuts} connections cut, calls sent again: {sent_again(mount_point)}", flush=True)
    assert not any(statuses), f"a process saw an error: {statuses}"
    assert again >= wanted, "hardly a call was under way when connections were cut"


main()
