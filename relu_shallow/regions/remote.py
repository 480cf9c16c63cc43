"""What is sent to the workers of a cluster: bytes, read there only once the versions on both sides are found to agree.

A message that a worker cannot read ends the worker, and a scheduler reads messages too. So a task is a function of the
standard library on bytes: `pickle.loads` makes a `Searcher`, `operator.call` calls it; what fails then is the task.
"""

from __future__ import annotations

import pickle
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import relu_shallow
from relu_shallow.errors import EngineError
from relu_shallow.regions.task import Problem, Result, search_task

TASKS = 1  # the version of what is sent: the fields of Problem, Task, Allowance and Result


@dataclass(frozen=True, eq=False)
class Searcher:
    """A network on a chart as a worker keeps it, waiting to be called with a task."""

    problem: Problem

    def __call__(self, sent: bytes) -> Result:
        """What comes of a task and its allowance, sent sealed."""
        task, allowance = opened(sent)
        return search_task(self.problem, task, allowance)

    def __reduce__(self) -> tuple[Any, ...]:
        return searcher, (sealed(self.problem),)


def searcher(sent: bytes) -> Searcher:
    """The searcher of a problem, sent sealed."""
    return Searcher(opened(sent))


@cache
def versions_here() -> tuple[str, ...]:
    """What must be the same where a task is made and where it runs; of Python two numbers matter, of NumPy one.

    Not Numba: another version may round another way, but certified decisions do not depend on rounding.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    numpy = version("numpy").partition(".")[0]
    return (f"relu-shallow {relu_shallow.__version__}", f"tasks {TASKS}", f"Python {python}", f"NumPy {numpy}")


def sealed(content: object) -> bytes:
    """Content as it is sent, with the versions it needs; any Python can read those."""
    return pickle.dumps((versions_here(), pickle.dumps(content, protocol=5)), protocol=4)


def opened(sent: bytes) -> Any:
    """What was sealed; raises EngineError where it was by other versions than those here."""
    there, content = pickle.loads(sent)
    if there != versions_here():
        raise EngineError(f"a worker of the cluster runs {', '.join(versions_here())}; this side runs "
                          f"{', '.join(there)}; install the same on both")  # fmt: skip
    return pickle.loads(content)
