#!/usr/bin/env python3
"""Line charts as SVG.

    benches/compare/plot.py < CHARTS

Draws what stands in a JSON list of charts: {"path", "title", "labels", "lines": [{"name", "colour", "points"}]}; a point may be null.
"""

import json
import sys


def draw(path, title, labels, lines, colours):
    """A line chart as SVG: categories along the bottom, from zero upwards, and below it where there are such points."""
    width, height, left, bottom, top = 640, 360, 60, 40, 40
    points = [point for points in lines.values() for point in points if point is not None]
    most, least = max(points, default=1) * 1.1 or 1, min([0, *points]) * 1.1
    place = lambda index: left + (width - left - 130) * (index / max(1, len(labels) - 1))  # noqa: E731
    level = lambda value: height - bottom - (height - bottom - top) * (value - least) / (most - least)  # noqa: E731
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="20" font-size="14">{title}</text>']
    for step in range(5):
        value = least + (most - least) * step / 4
        parts.append(f'<line x1="{left}" x2="{width - 130}" y1="{level(value):.1f}" y2="{level(value):.1f}" stroke="#d0d7de"/>'
                     f'<text x="{left - 6}" y="{level(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for index, label in enumerate(labels):
        parts.append(f'<text x="{place(index):.1f}" y="{height - bottom + 18}" text-anchor="middle">{label}</text>')
    for number, (name, points) in enumerate(lines.items()):
        dots = [(place(index), level(point)) for index, point in enumerate(points) if point is not None]
        path_text = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(f'<polyline points="{path_text}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in dots]
        parts.append(f'<text x="{width - 120}" y="{top + 18 * number}" fill="{colours[name]}">{name}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


def main():
    for chart in json.load(sys.stdin):
        lines = {line["name"]: line["points"] for line in chart["lines"]}
        colours = {line["name"]: line["colour"] for line in chart["lines"]}
        draw(chart["path"], chart["title"], chart["labels"], lines, colours)


if __name__ == "__main__":
    main()
