#!/usr/bin/python3
"""Writes the allocator's section of docs/performance.md and the plot beside it.

  report.py FIGURES    FIGURES holds the lines of a whole run of the allocator's benchmarks

The section is what lies between two marks in the file; all else is left alone.
"""

import collections
import datetime
import math
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "allocator_cost.svg"
BEGIN = "<!-- The lines up to the next mark are written by make bench-allocator. -->"
END = "<!-- End of what make bench-allocator writes. -->"

LINE = re.compile(r"^figure allocator\.(\S+)\.(\d+)x(\d+) (\S+) (\S+)$")

# What the allocator is to reach: figure, size, bound, what the bound is on.
TARGETS = [
    ("cycle", (1000, 200), 1, "full run that makes 1,000 offers"),
    ("cycle", (20000, 2000), 30, "full run that makes 20,000 offers"),
    ("quota", (3000, 3000), 50, "full run with a quota for each role"),
    ("quota_empty", (3000, 3000), 1, "the same with nothing left"),
    ("change", (50000, 2000), 20, "one agent becomes free and is offered"),
    ("memory", (50000, 2000), 1024, "resident set of the cluster"),
    ("steady.heap_allocations_per_change", (50000, 2000), 0.01, "allocations of memory a change"),
    ("stream_latency.p99", (1000, 200), 10, "from free to allocated over gRPC, p99"),
    ("offer_latency.p99", (1000, 200), 10, "from free to the master's next offer, p99"),
]

# Mesos's workloads by the first part of our names.
WORKLOADS = [
    ("AddAndUpdateSlave", ["add_frameworks", "add_agents", "update_agents"]),
    ("DeclineOffers", ["decline."]),
    ("ResourceLabels", ["labels."]),
    ("SuppressOffers", ["suppress."]),
    ("ExtremeSuppressOffers", ["suppress99"]),
    ("Metrics (quota)", ["quota_roles.", "metrics"]),
    ("AllocatorBacklog", ["backlog."]),
    ("PersistentVolumes", ["volumes."]),
    ("LargeAndSmallQuota", ["large_and_small."]),
    ("NonQuotaVsQuota", ["nonquota.", "withquota."]),
]

COLOURS = ["#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd"]


def read(lines):
    """{(what, (agents, frameworks)): (value, unit)}, in the order of the lines."""
    figures = {}
    for line in lines:
        match = LINE.match(line.strip())
        if match:
            what, agents, frameworks, value, unit = match.groups()
            figures[what, (int(agents), int(frameworks))] = (float(value), unit)
    return figures


def number(value):
    """Three digits that count, thousands apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, digits):,.{min(digits, 4)}f}"


def size_name(size):
    return f"{size[0]:,} x {size[1]:,}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def targets(figures):
    rows = []
    for what, size, bound, meaning in TARGETS:
        if (what, size) not in figures:
            continue
        value, unit = figures[what, size]
        shown_unit = "" if unit == "allocations" else f" {unit}"
        verdict = "met" if value <= bound else "**not met**"
        shown = [f"{number(value)}{shown_unit}", f"{bound:,}{shown_unit}"]
        rows.append([meaning, size_name(size), *shown, verdict])
    return table(["what", "agents x frameworks", "measured", "at most", ""], rows)


def best(figures, what, size):
    """The best round; where there was one round only, that one."""
    return figures.get((what + ".min", size), figures.get((what, size)))[0]


def belongs(what, prefixes):
    """`what` is one of the prefixes, or begins with one that ends in a dot."""
    return any(what == p or (p[-1] == "." and what.startswith(p)) for p in prefixes)


def comparison(figures):
    """One table a workload: the best round in milliseconds, and how many times faster it is."""
    ratios = collections.defaultdict(dict)
    for (what, size), (value, _) in figures.items():
        if what.endswith(".times_faster"):
            ratios[what.removesuffix(".times_faster")][size] = value
    lines = []
    for title, prefixes in WORKLOADS:
        steps = [what for what in ratios if belongs(what, prefixes)]
        if not steps:
            continue
        sizes = sorted({size for step in steps for size in ratios[step]})
        rows = []
        for step in steps:
            cells = [
                f"{number(best(figures, step, size))} ({number(ratios[step][size])}x)"
                if size in ratios[step]
                else ""
                for size in sizes
            ]
            rows.append([f"`{step}`", *cells])
        lines += table([title, *map(size_name, sizes)], rows) + [""]
    return lines


def below(figures, factor):
    """Cells in which the allocator is less than `factor` times faster."""
    cells = [
        (what.removesuffix(".times_faster"), size, value)
        for (what, size), (value, _) in figures.items()
        if what.endswith(".times_faster")
    ]
    return len(cells), [cell for cell in cells if cell[2] < factor]


def grid(figures):
    sizes = [size for what, size in figures if what == "cycle"]
    frameworks = sorted({f for _, f in sizes if (1000, f) in sizes and (50000, f) in sizes})
    agents = sorted({a for a, f in sizes if all((a, other) in sizes for other in frameworks)})
    rows = [
        [f"{a:,} agents", *(number(figures["cycle", (a, f)][0]) for f in frameworks)]
        for a in agents
    ]
    return table(["one full run, ms", *(f"{f:,} frameworks" for f in frameworks)], rows)


def others(figures):
    told = {what for what, _, _, _ in TARGETS} | {"cycle"}
    rows = []
    for (what, size), (value, unit) in figures.items():
        compared = (what.removesuffix(".min") + ".times_faster", size) in figures
        if what.endswith((".min", ".times_faster")) or compared or what in told:
            continue
        if any(belongs(what, prefixes) for _, prefixes in WORKLOADS):
            continue
        rows.append([f"`{what}`", size_name(size), f"{number(value)} {unit}"])
    return table(["figure", "agents x frameworks", "median"], rows)


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%-d %B %Y")
    return f"{day}, {os.cpu_count()} processors ({model}), load average {load} at the end."


def section(figures):
    count, slow = below(figures, 50)
    verdict = f"{count - len(slow)} of {count} cells are at least 50 times faster than Mesos."
    if slow:
        names = ", ".join(f"`{what}` {size_name(size)} ({number(v)}x)" for what, size, v in slow)
        verdict += f" Not so: {names}."
    return "\n".join(
        [
            BEGIN,
            "",
            machine(),
            "",
            *targets(figures),
            "",
            "![Cost of a run against size](allocator_cost.svg)",
            "",
            *grid(figures),
            "",
            "**Beside Mesos's own allocator** on its own workloads, at the same sizes: best round",
            "in milliseconds; in brackets how many times faster that is than Mesos's best round.",
            verdict,
            "",
            *comparison(figures),
            *others(figures),
            "",
            END,
        ]
    )


def put_section(page, text):
    """The page with what lies between the marks replaced."""
    begin, end = page.find(BEGIN), page.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f"the marks of the allocator's section are missing: {BEGIN}")
    return page[:begin] + text + page[end + len(END) :]


def svg(figures):
    """Milliseconds of a full run against agents, both logarithmic; a line for each number of
    frameworks, and Mesos's first cycle of DeclineOffers for the eye."""
    series = collections.defaultdict(list)
    for (what, (agents, frameworks)), (value, _) in figures.items():
        if what == "cycle" and frameworks in (1, 200, 2000, 6000):
            series[f"{frameworks:,} frameworks"].append((agents, value))
    mesos = [
        (size[0], best(figures, "decline.cycle0", size) * value)
        for (what, size), (value, _) in figures.items()
        if what == "decline.cycle0.times_faster" and size[1] == 200
    ]
    width, height, left, right, top, bottom = 720, 440, 70, 190, 30, 50
    x_low, x_high, y_low, y_high = 3.0, 5.0, -1.0, 3.0

    def at(agents, ms):
        x = left + (math.log10(agents) - x_low) / (x_high - x_low) * (width - left - right)
        y = height - bottom - (math.log10(ms) - y_low) / (y_high - y_low) * (height - top - bottom)
        return f"{x:.1f}", f"{y:.1f}"

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="18" font-size="14">One full run of the allocator, ms</text>',
    ]
    for tick in (1000, 2000, 5000, 10000, 20000, 50000, 100000):
        (x, y0), (_, y1) = at(tick, 10**y_low), at(tick, 10**y_high)
        out.append(f'<line x1="{x}" y1="{y0}" x2="{x}" y2="{y1}" stroke="#ddd"/>')
        out.append(f'<text x="{x}" y="{height - 30}" text-anchor="middle">{tick:,}</text>')
    for tick in (0.1, 1, 10, 100, 1000):
        (x0, y), (x1, _) = at(10**x_low, tick), at(10**x_high, tick)
        out.append(f'<line x1="{x0}" y1="{y}" x2="{x1}" y2="{y}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 8}" y="{y}" text-anchor="end" dy="4">{tick:,g}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}">agents</text>')
    lines = [(name, points, colour, "") for (name, points), colour in zip(series.items(), COLOURS)]
    if mesos:
        lines.append(("Mesos, 200 frameworks", mesos, "#d62728", ' stroke-dasharray="6 4"'))
    for i, (name, points, colour, dash) in enumerate(lines):
        path = " ".join(",".join(at(*point)) for point in sorted(points))
        style = f'stroke="{colour}" stroke-width="2"{dash}'
        out.append(f'<polyline points="{path}" fill="none" {style}/>')
        for point in points:
            x, y = at(*point)
            out.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
        y = 60 + 20 * i
        x = width - right + 15
        out.append(f'<line x1="{x}" y1="{y}" x2="{x + 20}" y2="{y}" {style}/>')
        out.append(f'<text x="{x + 26}" y="{y}" dy="4">{name}</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        figures = read(lines)
    page = put_section(PAGE.read_text(encoding="utf-8"), section(figures))
    PAGE.write_text(page, encoding="utf-8")
    PLOT.write_text(svg(figures), encoding="utf-8")
    print(f"# wrote {PAGE.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
