"""What runs on the machines of a cluster: the functions that its scheduler and workers call, by name.

This module imports nothing heavy, since a scheduler imports it too. What it is sent is bytes, read only after the
versions on both sides are found to agree.
"""

from __future__ import annotations

import pickle
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import relu_shallow
from relu_shallow.errors import EngineError

if TYPE_CHECKING:
    from relu_shallow.regions.task import Problem, Result

TASKS = 1  # the version of what is sent: the fields of Problem, Task, Allowance and Result


@dataclass(frozen=True)
class Versions:
    """What must be the same where a task is made and where it runs.

    Not Numba's version: another one may round another way, but certified decisions do not depend on rounding.
    """

    package: str
    tasks: int
    python: str
    numpy: str


@cache
def versions_here() -> Versions:
    """The versions of this process; of Python the first two numbers matter, of NumPy the first."""
    python = ".".join(platform.python_version_tuple()[:2])
    return Versions(relu_shallow.__version__, TASKS, python, version("numpy").partition(".")[0])


def problem_of(sent: tuple[Versions, bytes]) -> Problem:
    """The network on a chart, laid out, as a worker keeps it."""
    return _opened(*sent)


def result_of(problem: Problem, sent: tuple[Versions, bytes]) -> Result:
    """What comes of a task and its allowance."""
    from relu_shallow.regions.task import search_task

    task, allowance = _opened(*sent)
    return search_task(problem, task, allowance)


def sealed(content: object) -> tuple[Versions, bytes]:
    """Content as it is sent, with the versions it needs."""
    return versions_here(), pickle.dumps(content, protocol=5)


def _opened(versions: Versions, content: bytes):  # noqa: ANN202 (whatever was sealed)
    here = versions_here()
    if versions != here:
        raise EngineError(
            f"a worker of the cluster runs {_words(here)}, this side {_words(versions)}; install the same on both"
        )
    return pickle.loads(content)


def _words(versions: Versions) -> str:
    return (f"relu-shallow {versions.package} (tasks of version {versions.tasks}), Python {versions.python} and "
            f"NumPy {versions.numpy}")  # fmt: skip
