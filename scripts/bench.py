"""Measures this project beside other ways to find the linear regions, on the same networks, and prints the tables.

    python scripts/bench.py --quick        about a minute
    python scripts/bench.py --write        everything but the cases of --large, into docs/benchmarks.md
    python scripts/bench.py --part threads what a second thread brings
    python scripts/bench.py --part limit   how far above the machine's limit the cases are
    python scripts/bench.py --part growth  time per region from a thousand regions to ten million
    python scripts/bench.py --large        the cases of ten and a hundred million regions, minutes each

relucent (AGPL, never a dependency) is measured where it can be imported: here, or in the environment whose Python is
given by --relucent-python. Real networks are looked for in the folder RELU_SHALLOW_DATA.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from benchmark.cases import CASES, LARGE, QUICK, ROOT, MissingData, plane_network
from benchmark.growth import HALF_WIDTHS, HALF_WIDTHS_QUICK, Point, count, grow
from benchmark.growth import draw as draw_growth
from benchmark.limit import limit_of
from benchmark.measure import Rows, Settings, measure_all, python_with_relucent
from benchmark.problem import Problem
from benchmark.report import draw, growth_section, large_section, limit_section, page, surroundings, threads_section
from benchmark.start import measure_start
from benchmark.systems import SYSTEMS
from benchmark.threads import threads_of

T = TypeVar("T")
PARTS = ("cases", "threads", "limit", "growth", "neurons", "start")
NEURONS = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40)
NEURONS_QUICK = (4, 12)
LIMIT, LIMIT_QUICK = 60.0, 2.0  # seconds after which a run stops
ROUNDS, ROUNDS_QUICK = 3, 1


def main() -> None:
    given = _arguments()
    settings = Settings(
        tuple(given.system or SYSTEMS),
        given.runs or (ROUNDS_QUICK if given.quick else ROUNDS),
        given.limit or (LIMIT_QUICK if given.quick else LIMIT),
        python_with_relucent(given.relucent_python) if not given.system or "relucent" in given.system else "",
    )
    parts = given.part or (() if given.large else PARTS)
    about = surroundings(_command(given), settings)
    say(about)
    names = given.case or (QUICK if given.quick else CASES)
    tables = _cases(names, settings) if "cases" in parts else {}
    threads = _each(names, threads_of, settings) if "threads" in parts else {}
    limits = _each(names, limit_of, settings) if "limit" in parts else {}
    points = _growth(HALF_WIDTHS_QUICK if given.quick else HALF_WIDTHS) if "growth" in parts else []
    large = _large() if given.large else {}
    neurons = _neurons(NEURONS_QUICK if given.quick else NEURONS, settings) if "neurons" in parts else {}
    start = measure_start(settings.rounds, not given.quick, say) if "start" in parts else []
    sections = [threads_section(threads), limit_section(limits), large_section(large), growth_section(points)]
    text = page(tables, neurons, start, settings, about, sections)
    print(text)
    if given.write:
        given.write.parent.mkdir(parents=True, exist_ok=True)
        given.write.write_text(text)
        if neurons:
            draw(neurons, given.write.parent / "images" / "neurons.png")
        if points:
            draw_growth(points, given.write.parent / "images" / "growth.png")


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _cases(names: Iterable[str], settings: Settings) -> dict[str, Rows | str]:
    """The rows of each case, or the reason why a case is left out."""
    tables: dict[str, Rows | str] = {}
    for name in names:
        say(CASES[name].title)
        try:
            tables[name] = measure_all(CASES[name].problem(), settings, say)
        except MissingData as missing:
            tables[name] = str(missing)
    return tables


def _each(
    names: Iterable[str], measure: Callable[[Problem, Settings], T], settings: Settings
) -> dict[str, T | str]:
    """What is measured of each case, or the reason why it is left out."""
    measured: dict[str, T | str] = {}
    for name in names:
        say(f"{measure.__name__.replace('_', ' ')} {CASES[name].title}")
        try:
            measured[name] = measure(CASES[name].problem(), settings)
        except MissingData as missing:
            measured[name] = str(missing)
    return measured


def _growth(half_widths: tuple[float, ...]) -> list[Point]:
    say("time per region")
    try:
        return grow(half_widths, say)
    except MissingData as missing:
        say(f"  {missing}")
        return []


def _large() -> dict[str, tuple[int, float] | str]:
    """Regions and processor seconds of each large case, counted once and not kept."""
    counted: dict[str, tuple[int, float] | str] = {}
    for name, case in LARGE.items():
        say(case.title)
        try:
            counted[name] = count(case.problem())
        except MissingData as missing:
            counted[name] = str(missing)
    return counted


def _neurons(counts: Iterable[int], settings: Settings) -> dict[int, Rows]:
    rows = {}
    for neurons in counts:
        say(f"{neurons} neurons")
        rows[neurons] = measure_all(plane_network(neurons), settings, say)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a subset of about a minute")
    parser.add_argument("--write", nargs="?", type=Path, const=ROOT / "docs" / "benchmarks.md", metavar="PAGE",
                        help="write the page too (docs/benchmarks.md), the figure in images/ beside it")  # fmt: skip
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (repeatable)")
    parser.add_argument("--large", action="store_true", help="the largest cases, counted by one thread; minutes each")
    parser.add_argument("--case", action="append", choices=tuple(CASES), help="only this case (repeatable)")
    parser.add_argument("--system", action="append", choices=tuple(SYSTEMS), help="only this system (repeatable)")
    parser.add_argument("--runs", type=int, metavar="K", help=f"rounds of measurement; by default {ROUNDS}")
    parser.add_argument("--limit", type=float, metavar="S", help=f"seconds before a run stops; by default {LIMIT:g}")
    parser.add_argument("--relucent-python", default="", metavar="PATH", help="the Python that has relucent")
    return parser.parse_args()


def _command(given: argparse.Namespace) -> str:
    """The command without the paths of this machine."""
    words, skip = [], False
    for word in sys.argv[1:]:
        hidden = skip or word.startswith("--relucent-python=")
        words += [] if skip else ["--relucent-python ..."] if hidden or word == "--relucent-python" else [word]
        skip = word == "--relucent-python"
    if given.write:
        words = [word for word in words if word != str(given.write)]
    return " ".join(["python scripts/bench.py", *words])


if __name__ == "__main__":
    main()
