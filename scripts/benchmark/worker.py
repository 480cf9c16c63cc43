"""One measurement in a process of its own: worker.py SYSTEM PROBLEM.npz LIMIT prints a JSON object."""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmark.problem import read_problem
from benchmark.systems import SYSTEMS

REPEAT_FOR = 0.2  # seconds: a run shorter than this is repeated in the process, and the median taken
MOST_REPEATS = 101
STATUS = Path("/proc/self/status")


def memory(what: str) -> int:
    """Bytes in memory now (VmRSS) or at most since the last reset (VmHWM); where there is no /proc, the peak so far."""
    if STATUS.exists():
        return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(what))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Sets the peak to what is in memory now (Linux)."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def measure(system: str, problem: Path, limit: float) -> dict[str, object]:
    """Seconds, peak bytes and outcome of one run, after imports and compilation."""
    run = SYSTEMS[system].ready(read_problem(problem), limit)
    gc.collect()
    forget_peak()
    before = memory("VmRSS")
    started = time.perf_counter()
    outcome = run()
    seconds = [time.perf_counter() - started]
    peak = memory("VmHWM")
    while sum(seconds) < REPEAT_FOR and len(seconds) < MOST_REPEATS:
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return {**asdict(outcome), "seconds": statistics.median(seconds), "peak": peak, "before": before}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
