"""relucent on one problem, in the environment that has it: hard_relucent.py PROBLEM.npz LIMIT prints a JSON object.

It is given the network on a box scaled to [-1, 1]^d, or everywhere, a start at a random point near the centre (its own
start, the origin, lies on a hyperplane of many hard networks), and its defaults otherwise: its own verification is on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmark.problem import on_unit_box, read_problem


class TimeIsUp(BaseException):
    """Raised in the middle of a search that knows no limit of its own."""


def main() -> None:
    import relucent

    problem = read_problem(Path(sys.argv[1]))
    layers = on_unit_box(problem)
    network = relucent.convert(layers)
    start = np.random.default_rng(0).normal(size=layers[0][0].shape[1]) * 0.1  # well inside [-1, 1]^d
    box = {"cube_radius": 1.0, "cube_mode": "intersect"} if problem.bounded else {}
    signal.signal(signal.SIGALRM, _time_is_up)
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]), 1.0)
    began, said, done, found = cpu_seconds(), "", False, relucent.Complex(network)
    try:
        result = found.bfs(start, nworkers=1, verbose=0, **box)
        done = bool(result.complete and result.verified)
    except TimeIsUp:
        said = "stopped"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = cpu_seconds() - began
    print(json.dumps({"regions": len(found), "complete": done, "seconds": seconds, "said": said}))


def cpu_seconds() -> float:
    """User and system time of this process and of those it has waited for."""
    return sum(os.times()[:4])


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


if __name__ == "__main__":
    main()
