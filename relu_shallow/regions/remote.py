"""What is sent to the workers of a cluster: bytes, read there only once the versions on both sides are found to agree.

A message or a network that a worker cannot read ends the worker, or makes it hang, and a scheduler reads messages too.
So all that travels is bytes and functions of the standard library: the task is

    functools.reduce(operator.call, [task, network], pickle.loads)  =  pickle.loads(task)(network)

and what goes wrong while they are read is an error of the task.
"""

from __future__ import annotations

import pickle
import platform
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

import relu_shallow
from relu_shallow.errors import EngineError
from relu_shallow.regions.task import Allowance, Problem, Result, Task, search_task

TASKS = 1  # the version of what is sent: the fields of Problem, Task, Allowance and Result

KEPT = 8  # networks on charts that a worker keeps read


@dataclass(frozen=True, eq=False)
class Errand:
    """A task and its allowance, to be called with the network."""

    task: Task
    allowance: Allowance

    def __call__(self, network: bytes) -> Result:
        """What comes of the task."""
        return search_task(_problem(network), self.task, self.allowance)


@dataclass(frozen=True, eq=False)
class Sealed:
    """Something that is pickled with the versions it needs; unpickled it is the thing itself, or an error."""

    content: object

    def __reduce__(self) -> tuple[Any, ...]:
        return opened, (versions_here(), pickle.dumps(self.content, protocol=5))


def errand_of(task: Task, allowance: Allowance) -> bytes:
    """A task and its allowance as they are sent."""
    return pickle.dumps(Sealed(Errand(task, allowance)))


def network_of(problem: Problem) -> bytes:
    """A network on a chart as it is sent, without what it has worked out for itself since it was laid out."""
    return pickle.dumps(Sealed(replace(problem)))


@lru_cache(KEPT)
def _problem(network: bytes) -> Problem:
    return pickle.loads(network)


@cache
def versions_here() -> tuple[str, ...]:
    """What must be the same where a task is made and where it runs; of Python two numbers matter, of NumPy one.

    Not Numba: another version may round another way, but certified decisions do not depend on rounding.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    numpy = version("numpy").partition(".")[0]
    return (f"relu-shallow {relu_shallow.__version__}", f"tasks {TASKS}", f"Python {python}", f"NumPy {numpy}")


def opened(versions: tuple[str, ...], content: bytes) -> Any:
    """What was sealed; raises EngineError where it was by other versions than those here."""
    if versions != versions_here():
        raise EngineError(f"a worker of the cluster runs {', '.join(versions_here())}; this side runs "
                          f"{', '.join(versions)}; install the same on both")  # fmt: skip
    return pickle.loads(content)
