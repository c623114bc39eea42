"""Whether the machine is fit to be measured on: how far its two cores are apart now, and who else uses them."""

import os
import subprocess

# One way of a word between two cores, in microseconds: below it they share a cache ("near"). Virtual cores that their host moves
# about cost the same program twice to eight times as much when they are far apart.
NEAR_US = 0.15
# Share of one core that others may use during a run.
OTHERS_MAX = 0.2


def handover_us(floor):
    done = subprocess.run([floor, "handover"], capture_output=True, text=True, timeout=30, check=True)
    return None if done.stdout.strip() == "none" else float(done.stdout)


def placement(before, after):
    if before is None or after is None:
        return "one core"
    if max(before, after) < NEAR_US:
        return "near"
    return "far" if min(before, after) >= NEAR_US else "moving"


def busy_seconds():
    """CPU time that everybody on the machine has used (user, nice, system, interrupts)."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(field) for field in stat.readline().split()[1:]]
    return sum(fields[index] for index in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    """CPU time of a process, its ended threads and the kernel's workers for it included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
