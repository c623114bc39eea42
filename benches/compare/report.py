"""Medians, ratios within a round, the table and the plots."""

import os
import statistics

GIB = 1 << 30


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def cost(row, run):
    """CPU per GiB, or in microseconds per operation."""
    if row.block_bytes:
        return run["cpu_seconds"] / (run["bytes"] / GIB) if run["bytes"] else None
    return run["cpu_seconds"] * 1e6 / run["operations"] if run["operations"] else None


def ratio(rounds, ours, theirs, value):
    """Median of the ratios in the rounds in which both were measured at the same distance of the cores."""
    ratios = []
    for done in rounds:
        if ours in done and theirs in done and "error" not in done[ours] and "error" not in done[theirs]:
            first, second = done[ours], done[theirs]
            if first.get("placement") == second.get("placement") and value(second):
                ratios.append(value(first) / value(second))
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
    if any(value is None for _, value, _ in checks):
        return "unmeasured"
    return "yes" if all(holds(limit, value) for limit, value, holds in checks) else "NO"


def table(rows, results, plain):
    lines = ["| load | penstock | CPU | p50/p99/p99.9 us | rate / ceiling | CPU / ceiling | CPU / ganesha | rounds | target |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        rounds = results.get(row.name, [])
        ours = "penstock direct" if row.io == "direct" else "penstock"
        good = [done[ours] for done in rounds if "error" not in done.get(ours, {"error": 1})]
        if not good:
            errors = [done[ours]["error"] for done in rounds if ours in done]
            lines.append(f"| {row.name} | failed: {errors[:1]} | | | | | | 0 | NO |")
            continue
        rate_ratio, count = ratio(rounds, ours, "ceiling", lambda run: run["rate"])
        cpu_ratio, _ = ratio(rounds, ours, "ceiling", lambda run: cost(row, run))
        ganesha_ratio, _ = ratio(rounds, ours, "ganesha", lambda run: cost(row, run))
        latency = "/".join(shown(median([run["latency_us"][key] for run in good]), "{:.0f}") for key in ("p50", "p99", "p99_9"))
        unit = "s/GiB" if row.block_bytes else "us"
        lines.append(f"| {row.name} | {rate_of(row, median([run['rate'] for run in good]))} "
                     f"| {shown(median([cost(row, run) for run in good]), '{:.3f}')} {unit} | {latency} | {shown(rate_ratio)} | {shown(cpu_ratio)} "
                     f"| {shown(ganesha_ratio)} | {count} | {verdict(row, rate_ratio, cpu_ratio, ganesha_ratio)} |")
    for name, rounds in plain.items():
        good = [done for done in rounds if "error" not in done["penstock"]]
        value = median([done["penstock"]["rate"] / done["plain"]["rate"] for done in good])
        rate = median([done["penstock"]["rate"] for done in good])
        lines.append(f"| {name} | {shown(rate, '{:.0f}')}/s | | | {shown(value)} of a plain loop | | | {len(good)} | |")
    return "\n".join(lines) + "\n"


COLOURS = {"penstock": "#1f6feb", "penstock direct": "#8250df", "ceiling": "#57606a", "ganesha": "#cf222e"}


def plots(rows, results, out):
    """Throughput and CPU against block size, for reading and writing; rates against connections."""
    for kind in ("READ", "WRITE"):
        chosen = [row for row in rows if row.name.startswith(kind) and row.block_bytes and row.io == "buffered"]
        chosen.sort(key=lambda row: row.block_bytes)
        if len(chosen) > 1:
            labels = [row.name.split()[1] for row in chosen]
            draw(os.path.join(out, f"{kind.lower()}-throughput.svg"), f"{kind}: GB/s by block size", labels,
                 series(chosen, results, lambda row, run: run["bytes_rate"] / 1e9))
            draw(os.path.join(out, f"{kind.lower()}-cpu.svg"), f"{kind}: the server's CPU seconds per GiB by block size", labels,
                 series(chosen, results, cost))
    chosen = [row for row in rows if row.name.endswith("connections")]
    if len(chosen) > 1:
        draw(os.path.join(out, "connections-cpu.svg"), "GETATTR: the server's CPU us per operation by connections",
             [row.name.split()[1] for row in chosen], series(chosen, results, cost))


def series(rows, results, value):
    lines = {}
    for name in COLOURS:
        points = [median([value(row, done[name]) for done in results.get(row.name, []) if "error" not in done.get(name, {"error": 1})])
                  for row in rows]
        if any(point is not None for point in points):
            lines[name] = points
    return lines


def draw(path, title, labels, lines):
    """A line chart as SVG: categories along the bottom, from zero upwards."""
    width, height, left, bottom, top = 640, 360, 60, 40, 40
    most = max((point for points in lines.values() for point in points if point is not None), default=1) * 1.1 or 1
    place = lambda index: left + (width - left - 130) * (index / max(1, len(labels) - 1))  # noqa: E731
    level = lambda value: height - bottom - (height - bottom - top) * value / most  # noqa: E731
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="20" font-size="14">{title}</text>']
    for step in range(5):
        value = most * step / 4
        parts.append(f'<line x1="{left}" x2="{width - 130}" y1="{level(value):.1f}" y2="{level(value):.1f}" stroke="#d0d7de"/>'
                     f'<text x="{left - 6}" y="{level(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for index, label in enumerate(labels):
        parts.append(f'<text x="{place(index):.1f}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>')
    for number, (name, points) in enumerate(lines.items()):
        dots = [(place(index), level(point)) for index, point in enumerate(points) if point is not None]
        path_text = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline points="{path_text}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"/>' for x, y in dots]
        parts.append(f'<text x="{width - 120}" y="{top + 18 * number}" fill="{COLOURS[name]}">{name}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n</svg>\n")
