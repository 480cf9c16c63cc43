"""Rounds of measurements, each in a fresh process, and what is made of them: medians, and extrapolated totals."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.problem import Problem, write_problem
from benchmark.systems import SYSTEMS

WORKER = Path(__file__).with_name("worker.py")
SLOW = 10.0  # seconds: a run longer than this is not repeated
GRACE = 120.0  # seconds beyond its limit after which a process is ended
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Settings:
    """How to measure: systems, rounds, seconds after which a run stops, the Python that has relucent ("" if none)."""

    systems: tuple[str, ...]
    rounds: int
    limit: float
    relucent_python: str


@dataclass(frozen=True)
class Row:
    """Medians of one system on one problem.

    `seconds` is the time of a complete run; where every run stopped at the limit it is extrapolated from `measured`
    seconds, or NaN where that cannot be done. `besides` is the peak less what was there before and the result.
    """

    regions: int
    lps: int | None
    seconds: float
    measured: float
    complete: bool
    peak: float
    besides: float
    runs: int

    @property
    def rate(self) -> float:
        """Regions found per second of running."""
        return self.regions / self.measured

    @property
    def extrapolated(self) -> bool:
        """Whether `seconds` was not measured."""
        return self.seconds != self.measured


Rows = dict[str, Row | str]  # by system; a string says why there is none


def measure_all(problem: Problem, settings: Settings, say: Callable[[str], None]) -> Rows:
    """Every system on one problem, in rounds that go through all systems, so that a busy moment falls on all alike."""
    rows: Rows = {name: reason for name in settings.systems if (reason := _refusal(name, problem, settings))}
    results: dict[str, list[dict]] = {name: [] for name in settings.systems if name not in rows}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        write_problem(problem, path)
        for _ in range(settings.rounds):
            for name, done in results.items():
                if name in rows or (done and done[0]["seconds"] > SLOW):
                    continue
                answer = _in_a_process(name, path, settings)
                if isinstance(answer, str):
                    rows[name] = answer
                    say(f"  {SYSTEMS[name].title}: {answer}")
                else:
                    done.append(answer)
                    say(f"  {SYSTEMS[name].title}: {answer['regions']:,} regions in {answer['seconds']:.4g} s")
    total = _total_regions(results)
    rows |= {name: summarise(done, total, settings.limit) for name, done in results.items() if name not in rows}
    return {name: rows[name] for name in settings.systems}


def summarise(results: Sequence[dict], total_regions: int | None, limit: float) -> Row:
    """Medians of one system's results; `total_regions` is the number there are, `limit` as in Settings."""
    measured = statistics.median(result["seconds"] for result in results)
    last = results[-1]
    stopped = not last["complete"] and last["seconds"] >= limit
    seconds = extrapolate(measured, part_done(last, total_regions)) if stopped else measured
    return Row(
        last["regions"], last["lps"], seconds, measured, last["complete"],
        statistics.median(result["peak"] for result in results),
        statistics.median(max(result["peak"] - result["before"] - result["bytes"], 0) for result in results),
        len(results),
    )  # fmt: skip


def part_done(result: dict, total_regions: int | None) -> float:
    """Of a run that stopped: the part of its patterns tried where it knows that, else the part of the regions found."""
    if result["done"] == result["done"]:
        return result["done"]
    return result["regions"] / total_regions if total_regions else float("nan")


def extrapolate(seconds: float, done: float) -> float:
    """The seconds of the whole, if the rest goes as the part did; NaN where nothing was done or the part is unknown."""
    return seconds / done if 0 < done < 1 else float("nan")


def _total_regions(results: dict[str, list[dict]]) -> int | None:
    """The number of regions according to the first system with a complete list."""
    return next((run["regions"] for done in results.values() for run in done if run["complete"]), None)


def _refusal(name: str, problem: Problem, settings: Settings) -> str:
    if name == "relucent" and not settings.relucent_python:
        return "not installed"
    return SYSTEMS[name].refuses(problem)


def _in_a_process(name: str, problem: Path, settings: Settings) -> dict | str:
    """The worker's answer, or a few words on why there is none."""
    python = settings.relucent_python if name == "relucent" else sys.executable
    command = [python, str(WORKER), name, str(problem), str(settings.limit)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=settings.limit + GRACE, check=False,
                              env={**os.environ, **ONE_THREAD})  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not stop within {settings.limit + GRACE:g} s"
    if done.returncode:
        return "failed: " + (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:100]
    return json.loads(done.stdout.splitlines()[-1])


def python_with_relucent(wanted: str) -> str:
    """The interpreter that can import relucent: the one given, else this one; "" where it cannot."""
    python = wanted or sys.executable
    done = subprocess.run([python, "-c", "import relucent"], capture_output=True, check=False)
    return python if done.returncode == 0 else ""
