"""Medians, ratios within a round, the table and what is plotted."""

import os
import statistics

from condition import OTHERS_MAX
from plot import draw
from rows import NFS3, PARALLEL, SERIAL

GIB = 1 << 30
# The ceiling with half of the load that it can bear itself, beside that with the load of the server.
RAW_AT_ITS_OWN = "ceiling at half of its own"
# What is asked for: how much longer than the ceiling's the slowest hundredth may take at half load, how much more than the
# ceiling's an operation's cost may grow with connections, the least share of a plain loop's rate, the least gain of 16 COMMITs at
# the same time, and resident memory beside the sum that the server prints.
TAIL_MORE_US = 50
GROWTH_MAX = 1.1
PLAIN_MIN = 0.6
GAIN_MIN = 4
MEMORY_MAX = 1.1


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def cost(row, run):
    """CPU per GiB, or in microseconds per operation."""
    if row.block_bytes:
        return run["cpu_seconds"] / (run["bytes"] / GIB) if run["bytes"] else None
    return run["cpu_seconds"] * 1e6 / run["operations"] if run["operations"] else None


def comparable(runs):
    """Whether runs succeeded while the cores were at the same distance all the time and nobody else used them."""
    places = {run.get("placement", "moving") for run in runs}
    return len(places) == 1 and "moving" not in places and all(run["others"] <= OTHERS_MAX for run in runs)


def ratio(rounds, ours, theirs, value):
    """Median of the ratios in the rounds in which both can be compared."""
    pairs = [(done[ours], done[theirs]) for done in rounds if ours in done and theirs in done]
    ratios = [value(first) / value(second) for first, second in pairs if comparable((first, second)) and value(second)]
    return median(ratios), len(ratios)


def shown(value, form="{:.2f}"):
    return "-" if value is None else form.format(value)


def rate_of(row, rate):
    return f"{rate * row.block_bytes / 1e9:.2f} GB/s" if row.block_bytes else f"{rate / 1e3:.1f} k/s"


def verdict(row, rate_ratio, cpu_ratio, ganesha_ratio):
    """Which targets hold; nothing where there are none."""
    checks = [(row.rate_min, rate_ratio, lambda limit, value: value >= limit), (row.cpu_max, cpu_ratio, lambda limit, value: value <= limit),
              (row.ganesha_cpu_max, ganesha_ratio, lambda limit, value: value <= limit)]
    checks = [(limit, value, holds) for limit, value, holds in checks if limit is not None]
    if not checks:
        return ""
    if any(value is not None and not holds(limit, value) for limit, value, holds in checks):
        return "NO"
    return "unmeasured" if any(value is None for _, value, _ in checks) else "yes"


def good_runs(rounds, name):
    return [done[name] for done in rounds if "error" not in done.get(name, {"error": 1})]


def text(rows, results, plain, counted, memory):
    """All tables that there is something for."""
    parts = []
    for version in sorted({row.version for row in rows}, reverse=True):
        same = [row for row in rows if row.version == version]
        parts += [table([row for row in same if not row.half_load], results), tails([row for row in same if row.half_load], results),
                  connections([row for row in same if row.connections], results), counts_table(same, counted)]
    parts += [plain_table(plain), memory_table(memory)]
    return "\n".join(part for part in parts if part)


def lines_of(heading, lines):
    """A table; nothing without lines."""
    columns = heading.count("|") - 1
    return "\n".join([heading, "|---" * columns + "|", *lines]) + "\n" if lines else ""


def table(rows, results):
    lines = []
    for row in rows:
        rounds = results.get(row.name, [])
        good = good_runs(rounds, row.ours)
        if not good:
            errors = [done[row.ours]["error"] for done in rounds if row.ours in done]
            lines.append(f"| {row.name} | failed: {errors[:1]} | | | | | | | | 0 | NO |")
            continue
        rate_ratio, count = ratio(rounds, row.ours, "ceiling", lambda run: run["rate"])
        cpu_ratio, _ = ratio(rounds, row.ours, "ceiling", lambda run: cost(row, run))
        ganesha_ratio, _ = ratio(rounds, row.ours, "ganesha", lambda run: cost(row, run))
        peer = good_runs(rounds, "ganesha")
        peer_rate = rate_of(row, median([run["rate"] for run in peer])) if peer else "-"
        peer_p99 = shown(median([run["latency_us"]["p99"] for run in peer]), "{:.0f}")
        latency = "/".join(shown(median([run["latency_us"][key] for run in good]), "{:.0f}") for key in ("p50", "p99", "p99_9"))
        unit = "s/GiB" if row.block_bytes else "us"
        lines.append(f"| {row.name} | {rate_of(row, median([run['rate'] for run in good]))} "
                     f"| {shown(median([cost(row, run) for run in good]), '{:.3f}')} {unit} | {latency} | {shown(rate_ratio)} | {shown(cpu_ratio)} "
                     f"| {shown(ganesha_ratio)} | {peer_rate} | {peer_p99} | {count} "
                     f"| {verdict(row, rate_ratio, cpu_ratio, ganesha_ratio)} |")
    return lines_of("| load | penstock | CPU | p50/p99/p99.9 us | rate / ceiling | CPU / ceiling | CPU / ganesha | ganesha | its p99 us "
                    "| rounds | target |", lines)


def counts_table(rows, counted):
    """What the servers do for an operation that is no time."""
    lines = []
    for row in rows:
        found = counted.get(row.name)
        if not found:
            continue
        ours, raw, peer = [found.get(name, {}) for name in (row.ours, "ceiling", "ganesha")]
        lines.append(f"| {row.name} | {shown(ours.get('system_calls'))} | {shown(raw.get('system_calls'))} | {shown(peer.get('system_calls'))} "
                     f"| {shown(ours.get('allocations'))} | {shown(peer.get('allocations'))} | {shown(ours.get('copied_bytes'), '{:.1f}')} |")
    return lines_of("| for an operation | system calls | ceiling's | ganesha's | allocations | ganesha's | payload copied, bytes |", lines)


def answer(holds):
    return "unmeasured" if holds is None else "yes" if holds else "NO"


def tails(rows, results):
    """The slowest hundredth when calls come at half the rate that could be reached: beside the ceiling at that rate, and beside the ceiling
    at half the rate that it could reach itself."""
    lines = []
    for row in rows:
        rounds = results.get(row.name, [])
        same, own = [tail_beside(rounds, row.ours, name) for name in ("ceiling", RAW_AT_ITS_OWN)]
        rates = [median([run["rate"] for run in good_runs(rounds, name)]) for name in (row.ours, RAW_AT_ITS_OWN)]
        lines.append(f"| {row.name} | {shown(rates[0], '{:.0f}')}/s | {shown(same[0], '{:.0f}')} us | {shown(same[1], '{:.0f}')} us "
                     f"| {shown(same[2], '{:+.0f}')} us | {same[3]} | {answer(None if same[2] is None else same[2] <= TAIL_MORE_US)} "
                     f"| {shown(rates[1], '{:.0f}')}/s | {shown(own[1], '{:.0f}')} us | {shown(own[2], '{:+.0f}')} us |")
    return lines_of(f"| half load | rate | p99 | ceiling's p99 | difference (target: at most {TAIL_MORE_US} us) | rounds | target "
                    "| half of the ceiling's own | its p99 | difference |", lines)


def tail_beside(rounds, ours, other):
    """Of rounds in which both can be compared: the p99 of each, by how much the first is more, and how many they are."""
    pairs = [(done.get(ours, {}), done.get(other, {})) for done in rounds]
    pairs = [[run["latency_us"]["p99"] for run in pair] for pair in pairs if comparable(pair)]
    first, second = [median(values) for values in zip(*pairs)] if pairs else (None, None)
    return first, second, median([mine - others for mine, others in pairs]), len(pairs)


def connections(rows, results):
    """What an operation costs over more and more connections, and how much more than over one, beside the ceiling."""
    if len(rows) < 2 or rows[0].connections != 1:
        return ""
    lines, first = [], rows[0]
    for row in rows:
        growths = []
        for one, many in zip(results.get(first.name, []), results.get(row.name, [])):
            runs = [done.get(name, {}) for name in ("penstock", "ceiling") for done in (many, one)]
            if comparable(runs):
                ours, ours_one, raw, raw_one = [cost(row, run) for run in runs]
                growths.append((ours / ours_one, raw / raw_one, ours / ours_one / (raw / raw_one)))
        ours, raw, more = [median(values) for values in zip(*growths)] if growths else (None, None, None)
        costs = [median([cost(row, run) for run in good_runs(results.get(row.name, []), name)]) for name in ("penstock", "ceiling")]
        target = "" if row is first else answer(None if more is None else more <= GROWTH_MAX)
        lines.append(f"| {row.connections} | {shown(costs[0], '{:.2f}')} us | {shown(costs[1], '{:.2f}')} us | {shown(ours)} | {shown(raw)} "
                     f"| {shown(more)} | {len(growths)} | {target} |")
    return lines_of(f"| connections | CPU per operation | ceiling's | growth | ceiling's | growth / ceiling's (target: at most {GROWTH_MAX}) | rounds "
                    "| target |", lines)


def plain_table(plain):
    """Beside plain loops of system calls; and what 16 COMMITs at the same time gain over one after the other."""
    lines = []
    for name, rounds in plain.items():
        good = [done for done in rounds if "error" not in done["penstock"]]
        value = median([done["penstock"]["rate"] / done["plain"]["rate"] for done in good])
        ours = [done["penstock"] for done in good]
        used = median([run["cpu_seconds"] * 1e6 / run["operations"] for run in ours])
        limit = None if "COMMIT" in name else PLAIN_MIN
        target = "" if limit is None else answer(None if value is None else value >= limit)
        lines.append(f"| {name} | {shown(median([run['rate'] for run in ours]), '{:.0f}')}/s | {shown(used, '{:.1f}')} us "
                     f"| {shown(median([done['plain']['rate'] for done in good]), '{:.0f}')}/s | {shown(value)} | {len(good)} | {target} |")
    for prefix in ("", NFS3):
        gains = [(many["penstock"]["rate"] / one["penstock"]["rate"], many["plain"]["rate"] / one["plain"]["rate"])
                 for one, many in zip(plain.get(prefix + SERIAL, []), plain.get(prefix + PARALLEL, []))
                 if "error" not in one["penstock"] and "error" not in many["penstock"]]
        if gains:
            ours, raw = [median(values) for values in zip(*gains)]
            lines.append(f"| {prefix}{PARALLEL} / {SERIAL} (target: at least {GAIN_MIN}) | {ours:.2f} | | {raw:.2f} | {ours / raw:.2f} "
                         f"| {len(gains)} | {answer(ours >= GAIN_MIN)} |")
    return lines_of(f"| load | penstock | CPU | plain loop | penstock / plain loop (target for names: at least {PLAIN_MIN}) | rounds | target |", lines)


def memory_table(memory):
    lines = []
    for name, found in memory.items():
        bound = found["bound_bytes"]
        target = "" if bound is None else answer(found["peak_bytes"] <= MEMORY_MAX * bound)
        lines.append(f"| {name} | {found['peak_bytes'] >> 20} MiB | {'-' if bound is None else f'{bound >> 20} MiB'} | {target} |")
    return lines_of(f"| server | most resident memory | bound printed at start | at most {MEMORY_MAX} of it |", lines)


COLOURS = {"penstock": "#1f6feb", "penstock direct": "#8250df", "ceiling": "#57606a", "ganesha": "#cf222e"}


def plots(rows, results, out):
    """Throughput and CPU against block size, depth and connections, by NFSv4."""
    rows = [row for row in rows if row.version != "3"]
    for kind in ("READ", "WRITE"):
        chosen = [row for row in rows if row.name.startswith(kind) and row.block_bytes and row.io == "buffered"]
        chosen.sort(key=lambda row: row.block_bytes)
        pair(out, kind.lower(), f"{kind} by block size", chosen, [row.name.split()[1] for row in chosen], results)
    chosen = sorted((row for row in rows if row.depth), key=lambda row: row.depth)
    pair(out, "depth", "READ of 4 KiB by depth", chosen, [row.depth for row in chosen], results)
    chosen = [row for row in rows if row.connections]
    pair(out, "connections", "GETATTR by connections", chosen, [row.connections for row in chosen], results)


def pair(out, name, title, rows, labels, results):
    """The two plots of some rows, if there are enough for a line."""
    if len(rows) < 2:
        return
    by_bytes = rows[0].block_bytes > 0
    rates = series(rows, results, lambda row, run: run["bytes_rate"] / 1e9 if by_bytes else run["rate"] / 1e3)
    draw(os.path.join(out, f"{name}-throughput.svg"), f"{title}: {'GB/s' if by_bytes else 'thousand per second'}", labels, rates, COLOURS)
    unit = "seconds per GiB" if by_bytes else "us per operation"
    draw(os.path.join(out, f"{name}-cpu.svg"), f"{title}: the server's CPU, {unit}", labels, series(rows, results, cost), COLOURS)


def series(rows, results, value):
    lines = {}
    for name in COLOURS:
        points = [median([value(row, run) for run in good_runs(results.get(row.name, []), name)]) for row in rows]
        if any(point is not None for point in points):
            lines[name] = points
    return lines
