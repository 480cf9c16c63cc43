"""Repeats the experiments on modular networks, one after the other; what was done is never done again.

    OMP_NUM_THREADS=1 python scripts/reproduce_modular.py [--only digits] [--seeds 3] [--minutes 30]
    python scripts/reproduce_modular.py --table [--write]

Every run (task, way, number of modules, seed) appends one line to scripts/reproduction/results.jsonl, which may be
stopped at any moment and started again. `--table` prints docs/modular-tables.md from it and names what is missing;
`--write` writes that page. The images are looked for in the folder RELU_SHALLOW_DATA.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from reproduction.page import PAGE, page
from reproduction.results import Key, append, missing, read
from reproduction.tasks import ROOT, TASKS, Task, data_folder
from reproduction.ways import WAYS, wanted

RESULTS = ROOT / "scripts" / "reproduction" / "results.jsonl"
LIMIT, QUICK_LIMIT = 120.0, 5.0  # seconds for a conversion


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.seeds < 1:
        parser().error(f"--seeds is 1 or more, got {options.seeds}")
    tasks = chosen(options)
    keys = [(task.name, way, k, seed, options.quick) for task in tasks for seed in range(options.seeds)
            for way, k in wanted(task) if not options.way or way in options.way]  # fmt: skip
    results = read(options.results)
    if results.torn:
        print(f"lines of {options.results.name} that are no results and were left out: {results.torn}", file=sys.stderr)
    if not options.table:
        go_on(tasks, missing(keys, results), options)
        return 0
    text = page(tasks, keys, results)
    if options.write:
        PAGE.write_text(text)
    else:
        print(text, end="")
    for key in missing(keys, results):
        print("missing: " + describe(key), file=sys.stderr)
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    made.add_argument("--only", action="append", choices=TASKS, help="a task; may be given several times")
    made.add_argument("--way", action="append", choices=WAYS, help="a way of training; may be given several times")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--minutes", type=float, default=float("inf"), help="start no run after so many")
    made.add_argument("--quick", action="store_true", help="hardly trained, for tests; kept apart from real results")
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--table", action="store_true", help="print the page instead of running anything")
    made.add_argument("--write", action="store_true", help="with --table: write docs/modular-tables.md")
    return made


def chosen(options: argparse.Namespace) -> list[Task]:
    tasks = [TASKS[name] for name in (options.only or TASKS)]
    return [task.quick() for task in tasks] if options.quick else tasks


def go_on(tasks: list[Task], todo: list[Key], options: argparse.Namespace) -> None:
    """Does what is left, and says what each run took."""
    import torch
    from reproduction.figures import run

    from relu_shallow.compilation import ensure_compiled

    torch.set_num_threads(1)
    ensure_compiled(lambda message: print(message, file=sys.stderr), bounded=True)
    began, by_name = perf_counter(), {task.name: task for task in tasks}
    for number, key in enumerate(todo, start=1):
        if perf_counter() - began > 60 * options.minutes:
            print(f"{len(todo) - number + 1} runs are left; start again to go on", file=sys.stderr)
            return
        name, way, k, seed, quick = key
        try:
            result = run(by_name[name], way, k, seed, quick=quick, limit=QUICK_LIMIT if quick else LIMIT)
        except FileNotFoundError as error:
            sys.exit(f"{name} needs {error.filename}, which is not there: set RELU_SHALLOW_DATA to the folder of "
                     f"data sets (now {data_folder()}), or choose other tasks with --only")  # fmt: skip
        append(options.results, result)
        print(f"{number}/{len(todo)} {describe(key)}: accuracy {result['accuracy']:.3f}, "
              f"{result['all_seconds']:.0f} s", file=sys.stderr, flush=True)  # fmt: skip


def describe(key: Key) -> str:
    name, way, k, seed, quick = key
    return f"{name}, {way}{f' in {k}' if k > 1 else ''}, seed {seed}{', quick' if quick else ''}"


if __name__ == "__main__":
    sys.exit(main())
