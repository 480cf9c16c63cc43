"""Measures this project beside other ways to find the linear regions, on the same networks, and prints the tables.

    python scripts/bench.py --quick        about a minute
    python scripts/bench.py --write        everything, into docs/benchmarks.md

relucent (AGPL, never a dependency) is measured where it can be imported: here, or in the environment whose Python is
given by --relucent-python. Real networks are looked for in the folder RELU_SHALLOW_DATA.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmark.cases import CASES, QUICK, ROOT, MissingData, plane_network
from benchmark.measure import Rows, Settings, measure_all, python_with_relucent
from benchmark.report import draw, page, surroundings
from benchmark.start import measure_start
from benchmark.systems import SYSTEMS

PARTS = ("cases", "neurons", "start")
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
    parts = given.part or PARTS
    about = surroundings(_command(given), settings)
    say(about)
    tables = _cases(given.case or (QUICK if given.quick else CASES), settings) if "cases" in parts else {}
    neurons = _neurons(NEURONS_QUICK if given.quick else NEURONS, settings) if "neurons" in parts else {}
    start = measure_start(settings.rounds, not given.quick, say) if "start" in parts else []
    text = page(tables, neurons, start, settings, about)
    print(text)
    if given.write:
        given.write.parent.mkdir(parents=True, exist_ok=True)
        given.write.write_text(text)
        if neurons:
            draw(neurons, given.write.parent / "images" / "neurons.png")


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


def _neurons(counts: Iterable[int], settings: Settings) -> dict[int, Rows]:
    rows = {}
    for count in counts:
        say(f"{count} neurons")
        rows[count] = measure_all(plane_network(count), settings, say)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a subset of about a minute")
    parser.add_argument("--write", nargs="?", type=Path, const=ROOT / "docs" / "benchmarks.md", metavar="PAGE",
                        help="write the page too (docs/benchmarks.md), the figure in images/ beside it")  # fmt: skip
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part (repeatable)")
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
