"""Whether the machine is fit to be measured on: how far its two cores are apart now, and who else uses them."""

import os
import resource
import subprocess
import time

# One way of a word between two cores, in microseconds: below it they share a cache ("near"). Virtual cores that their host moves
# about cost the same program twice to eight times as much when they are far apart.
NEAR_US = 0.15
# Share of one core that others may use during a run, from the generator's start to its end.
OTHERS_MAX = 0.2
# Between two looks at what a server has used; and how long a run may take.
LOOK_SECONDS = 0.02
RUN_SECONDS_MAX = 120


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


def own_seconds():
    """CPU time of this process and those it has waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def process_seconds(pid):
    """CPU time of a process, its ended threads and the kernel's workers for it included, to the nanosecond."""
    # clock_getcpuclockid(3): the clock of another process.
    return time.clock_gettime(~pid << 3 | 2)


class TooLong(Exception):
    """A load did not end."""


class CpuWatch:
    """What a process has used, looked at again and again, so that what belongs to a measurement can be told from what was before it
    and behind."""

    def __init__(self, pid):
        self.pid, self.looks = pid, []
        self.look()

    def look(self):
        self.looks.append((time.time(), process_seconds(self.pid)))

    def until_over(self, child):
        """Looks until a child has ended; answers what it has said."""
        deadline = time.monotonic() + RUN_SECONDS_MAX
        while True:
            try:
                said = child.communicate(timeout=LOOK_SECONDS)
                self.look()
                return said
            except subprocess.TimeoutExpired:
                self.look()
                if time.monotonic() > deadline:
                    raise TooLong from None

    def at(self, moment):
        """What was used by then, steadily between two looks."""
        for (earlier, before), (later, after) in zip(self.looks, self.looks[1:]):
            if moment <= later:
                share = min(1.0, max(0.0, (moment - earlier) / (later - earlier)))
                return before + share * (after - before)
        return self.looks[-1][1]

    def between(self, start, end):
        return self.at(end) - self.at(start)


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
