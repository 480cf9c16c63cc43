"""The benchmark as one Markdown page, and the figure of seconds against neurons."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmark.cases import CASES, LARGE, ROOT, SECONDS_IN_PAPER, Case, Target
from benchmark.growth import Point
from benchmark.limit import Limit
from benchmark.measure import Row, Rows, Settings
from benchmark.start import Start
from benchmark.systems import SYSTEMS
from benchmark.threads import ROUNDS, TARGET, Threads

BASELINE = "straightforward"
UNCERTIFIED = "uncertified"
COST = 1.3  # what certification may cost, as a factor, on ordinary networks
MEASURED = "kernel"  # the system that the targets are about

HOW = """\
**The systems.** *relu-shallow*: this project's search, its kernel compiled beforehand; *not certified*: with
`--no-certify`, where errors are estimated and nothing is decided exactly. *straightforward*: the same
depth-first search with one `scipy.optimize.linprog` (HiGHS) call per test (`relu_shallow.regions.plain`).
*all 2^N patterns*: every activation pattern tried by one `linprog` call, as readers describe the paper (up to 16
neurons). *relucent*: the public package, breadth-first over the cells that meet the box, one worker process, without
its certification; it is given the same network on a box scaled to [-1,1]^d. *SplineCam's way*: boxes of two dimensions
cut layer by layer as SplineCam's paper says (CVPR 2023), written anew in Python, in floats.

**The numbers.** Seconds are of the enumeration alone, after imports, and medians of the runs counted in the last
column; each run is a process of its own (a run under 0.2 s is repeated in it and its median taken), systems take turns,
and numerical libraries have one thread. A run above 10 s is not repeated. *Peak* is the largest resident memory of that
process (for relucent, of its main process); *besides the result* is the peak less what the process held after imports
and compilation and less the arrays of the result (of relucent, whose result is objects, nothing is taken off).
*Faster than straightforward* is that system's time divided by this one's.

**Extrapolated.** A run stops after {limit:g} s. A time marked ~ is what the whole would take if the rest goes as the
part did: the seconds divided by the part of the 2^N patterns tried, or, of a search, by the part of the regions found
(their number is known from the system that finished)."""


def page(
    tables: dict[str, Rows | str],
    neurons: dict[int, Rows],
    start: Sequence[Start],
    settings: Settings,
    about: str,
    sections: Sequence[str] = (),
) -> str:
    """The whole page; `sections` are put before the figure of the paper."""
    parts = ["# Benchmarks", about, HOW.format(limit=settings.limit)]
    parts += [_targets(tables, start)]
    parts += [f"## {CASES[name].title}\n\n{_table(CASES[name], rows)}" for name, rows in tables.items()]
    parts += sections
    if any(sections):
        parts.append(TRIED.read_text().strip())
    if neurons:
        parts.append(_neurons(neurons, settings.systems))
    return "\n\n".join(part for part in parts if part) + "\n"


def surroundings(command: str, settings: Settings) -> str:
    """The command, the commit, the machine and the versions."""
    commit = _said("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _said("git", "status", "--porcelain", "--untracked-files=no", "--", "relu_shallow", "scripts")
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = [f"{name} {metadata.version(name)}" for name in ("relu-shallow", "numpy", "scipy", "numba")]
    if settings.relucent_python:
        asked = "import importlib.metadata as m; print(m.version('relucent'))"
        versions.append(f"relucent {_said(settings.relucent_python, '-c', asked)}")
    return "\n".join([
        f"- Command: `{command}`",
        f"- Commit: {commit}{' with uncommitted changes' if changed else ''}",
        f"- Machine: {_processor()}, {os.cpu_count()} cores, {platform.system()}; load average at the start {load}",
        f"- Versions: Python {platform.python_version()}, {', '.join(versions)}",
    ])  # fmt: skip


TRIED = Path(__file__).with_name("tried.md")  # written by hand
THREADS = f"""\
## Two threads

One thread, two processes that share nothing, and two threads, by turns, {ROUNDS} times or more, with the libraries' own
threads as they come: medians, the ratios those of each round. What two processes do not gain over one, the machine does
not give: then other programs on it share its cores. *Cores busy* is the processor time on two threads over the seconds;
what is missing to 2 is waiting. Every benchmark network of more than 100,000 regions."""
LIMIT = """\
## The limit

What a region costs at the very least: between a region and the next one in the list, the lowest neuron that flips
changes the affine map of each layer above its own, the output's among them, by a term of rank one, which takes
2 (d + 1) x width flops (d + 1: the coordinates and the constant); and its packed pattern, witness and radius are
written. Both are measured as plain compiled loops over the very list, in the same process as the search, by turns, one
thread, in processor time, the best of the rounds. Not in the limit: finding out which regions there are."""


def threads_section(measured: dict[str, Threads | str]) -> str:
    """A line for each case of enough regions."""
    lines = [
        [CASES[name].title, f"{row.regions:,}", seconds(row.one), seconds(row.two), f"{row.times:.2f}",
         "met" if row.times >= TARGET else "**missed**", f"{row.processes:.2f}", f"{row.busy:.2f}"]
        for name, row in measured.items() if not isinstance(row, str)
    ]  # fmt: skip
    head = ["network", "regions", "one thread", "two threads", "times the rate", f"at least {TARGET}",
            "two processes", "cores busy"]  # fmt: skip
    return f"{THREADS}\n\n{_markdown(head, lines)}" if lines else ""


def limit_section(limits: dict[str, Limit | str]) -> str:
    """The definition and a line for each case."""
    lines = []
    for name, limit in limits.items():
        if isinstance(limit, str):
            lines.append([CASES[name].title, limit, *["-"] * 7])
            continue
        times = [f"{value * 1e9:.0f} ns" for value in (limit.arithmetic, limit.writing, limit.search)]
        lines.append([CASES[name].title, f"{limit.regions:,}", f"{limit.flops:.0f}", f"{limit.bytes:.0f}", *times,
                      f"{limit.rate:,.0f}", f"{limit.times:.0f}"])  # fmt: skip
    head = ["network", "regions", "flops", "bytes", "arithmetic", "writing", "search", "limit, regions/s",
            "times above the limit"]  # fmt: skip
    return f"{LIMIT}\n\n{_markdown(head, lines)}" if lines else ""


def growth_section(points: Sequence[Point]) -> str:
    """The table of the figure of time per region."""
    lines = [[f"{p.half_width:g}", f"{p.regions:,}", seconds(p.seconds), f"{p.seconds / p.regions * 1e6:.2f} us"]
             for p in points]  # fmt: skip
    return (
        "## Growth\n\nACAS Xu 1_1 over boxes [-h, h]^5 of its normalised inputs, counted by one thread in "
        "processor time, nothing kept.\n\n![time per region against regions](images/growth.png)\n\n"
        + _markdown(["h", "regions", "seconds", "per region"], lines)
    ) if lines else ""  # fmt: skip


def large_section(large: dict[str, tuple[int, float] | str]) -> str:
    """A line for each of the largest cases."""
    lines = [
        [LARGE[name].title, counted, "-", "-"] if isinstance(counted, str)
        else [LARGE[name].title, f"{counted[0]:,}", seconds(counted[1]), f"{counted[1] / counted[0] * 1e6:.2f} us"]
        for name, counted in large.items()
    ]  # fmt: skip
    return (
        "## The largest cases\n\nCounted by one thread in processor time, nothing kept (`--large`).\n\n"
        + _markdown(["network", "regions", "seconds", "per region"], lines)
    ) if lines else ""  # fmt: skip


def draw(neurons: dict[int, Rows], path: Path) -> None:
    """Seconds against neurons, in logarithmic scale: measured points filled, extrapolated ones hollow."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for number, (name, system) in enumerate(SYSTEMS.items()):
        points = [(n, row) for n, rows in neurons.items() if isinstance(row := rows.get(name), Row)]
        points = [(n, row) for n, row in points if math.isfinite(row.seconds)]
        if not points:
            continue
        (line,) = axes.plot([n for n, _ in points], [row.seconds for _, row in points], lw=1.2, label=system.title,
                            color=mpl.colormaps["tab10"](number))  # fmt: skip
        for n, row in points:
            face = "white" if row.extrapolated else line.get_color()
            axes.plot(n, row.seconds, "o", ms=5, mfc=face, mec=line.get_color())
    axes.plot(12, SECONDS_IN_PAPER, "*", ms=12, color="black", ls="none", label="the paper, about 10 minutes")
    axes.set(yscale="log", xlabel="hidden neurons", ylabel="seconds to find all regions",
             title="2 inputs, three hidden layers, random weights (hollow: extrapolated)")  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _targets(tables: dict[str, Rows | str], start: Sequence[Start]) -> str:
    """Every target beside its measured value."""
    lines = []
    for name, rows in tables.items():
        if isinstance(rows, str):  # no data
            lines += [[CASES[name].title, "-", target.what, "not measured"] for target in CASES[name].targets]
        elif MEASURED in rows:
            row = rows[MEASURED]
            for target in CASES[name].targets:
                value = row if isinstance(row, str) else METRICS[target.metric](getattr(row, target.metric))
                lines.append([CASES[name].title, value, target.what, _verdict(_met(row, target))])
            lines += _cost(CASES[name].title, row, rows.get(UNCERTIFIED))
    lines += [[item.title, seconds(item.seconds), f"under {item.target:g} s", _verdict(item.seconds < item.target)]
              for item in start]  # fmt: skip
    if not lines:
        return ""
    return "## Targets\n\n" + _markdown(["what (one thread)", "measured", "target", "verdict"], lines)


def _cost(title: str, row: Row | str, uncertified: Row | str | None) -> list[list[str]]:
    """What certification costs, where both runs are complete and long enough to be compared."""
    if not (isinstance(row, Row) and isinstance(uncertified, Row) and row.complete and uncertified.complete):
        return []
    ratio = row.seconds / uncertified.seconds
    return [[f"Certification: {title}", f"{ratio:.2f} times", f"at most {COST} times", _verdict(ratio <= COST)]]


def _met(row: Row | str, target: Target) -> bool:
    """Whether a complete run met a target; one that failed did not."""
    return isinstance(row, Row) and row.complete and target.met(getattr(row, target.metric))


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _table(case: Case, rows: Rows | str) -> str:
    if isinstance(rows, str):
        return f"Not measured: {rows}."
    base = rows.get(BASELINE)
    ours = rows.get(MEASURED)
    lines = [_line(case, name, row, base, ours) for name, row in rows.items()]
    return _markdown(COLUMNS, lines)


COLUMNS = ["system", "regions", "LPs", "seconds", "regions/s", "peak, MB", "besides the result, MB",
           "faster than straightforward", "target", "runs"]  # fmt: skip


def _line(case: Case, name: str, row: Row | str, base: Row | str | None, ours: Row | str | None) -> list[str]:
    if isinstance(row, str):
        return [SYSTEMS[name].title, row, *["-"] * (len(COLUMNS) - 2)]
    goals = [f"{target.what}: {_verdict(_met(row, target))}"
             for target in case.targets] if name == MEASURED else []  # fmt: skip
    return [
        SYSTEMS[name].title,
        _regions(row, ours),
        "-" if row.lps is None else f"{row.lps:,}",
        _time(row),
        f"{row.rate:,.0f}" if row.rate >= 10 else f"{row.rate:.2g}",
        f"{row.peak / 1e6:,.0f}",
        f"{row.besides / 1e6:,.1f}",
        _ratio(row, base),
        "; ".join(goals),
        str(row.runs),
    ]


def _regions(row: Row, ours: Row | str | None) -> str:
    """The number found, and by how many it differs from this project's where both say that they are done."""
    if row.extrapolated:
        return f"{row.regions:,} so far"
    return f"{row.regions:,}" + _difference(row, ours) + ("" if row.complete else " (said to be incomplete)")


def _difference(row: Row, other: Row | str | None) -> str:
    """How many more or fewer regions a search found than another, unless either stopped early."""
    if row.extrapolated or not (isinstance(other, Row) and other.complete) or row.regions == other.regions:
        return ""
    return f" ({abs(row.regions - other.regions):,} regions {'more' if row.regions > other.regions else 'fewer'})"


def _time(row: Row) -> str:
    if not row.extrapolated:
        return seconds(row.seconds)
    return f"~ {seconds(row.seconds)}" if math.isfinite(row.seconds) else f"more than {seconds(row.measured)}"


def _ratio(row: Row, base: Row | str | None) -> str:
    if not isinstance(base, Row) or not math.isfinite(base.seconds / row.seconds):
        return "-"
    ratio = base.seconds / row.seconds
    marked = "~ " if row.extrapolated or base.extrapolated else ""
    return marked + (f"{ratio:,.3g}" if ratio < 1000 else f"{ratio:,.0f}")


def _neurons(neurons: dict[int, Rows], systems: Sequence[str]) -> str:
    """The table of the figure."""
    lines = []
    for count, rows in neurons.items():
        done = next((row for row in rows.values() if isinstance(row, Row) and row.complete), None)
        times = [_time(row) + _difference(row, done) if isinstance(row := rows[name], Row) else row for name in systems]
        lines.append([str(count), f"{done.regions:,}" if done else "-", *times])
    return (
        "## Seconds against neurons\n\nThe paper's own figure: 2 inputs, random networks of three hidden layers as "
        "even as can be (seed 0), over [-1,1]^2. The star is the paper's own time, about 10 minutes for 12 neurons.\n\n"
        "![seconds against neurons](images/neurons.png)\n\n"
        + _markdown(["neurons", "regions", *(SYSTEMS[name].title for name in systems)], lines)
    )


def seconds(value: float) -> str:
    """A duration with three digits, in the unit that suits it."""
    if not math.isfinite(value):
        return "-"
    if value < 1e-3:
        return f"{value * 1e6:.0f} us"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 600:
        return f"{value:.3g} s"
    unit, size = ("min", 60) if value < 6000 else ("h", 3600) if value < 360_000 else ("days", 86400)
    return f"{value / size:,.0f} {unit}"


METRICS = {
    "seconds": seconds,
    "rate": lambda value: f"{value:,.0f} regions/s",
    "besides": lambda value: f"{value / 1e6:,.0f} MB",
}


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up in plain text too."""
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    rows = [head, ["-" * width for width in widths], *lines]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
                     for row in rows)  # fmt: skip


def _said(*command: str) -> str:
    """What a command prints, or "" where it fails or is not there."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
