"""Numba's compiler, with a cache that is left aside when any of the compiled files has changed.

Compiled code holds the code of what it calls, but Numba looks only at the file of the function itself: after a change
in another file it would take the old code of both out of its cache, and crash where they no longer fit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

PACKAGE = Path(__file__).parents[1]
COMPILED = (  # a test holds this to the files that compile
    "checks/facets.py",
    "checks/lookup.py",
    "checks/neighbours.py",
    "checks/simplex.py",
    "explanation/cube.py",
    "explanation/intervals.py",
    "explanation/path_kernel.py",
    "explanation/sampling_kernel.py",
    "explanation/shares.py",
    "explanation/splitting.py",
    "export/climb.py",
    "lp/kernel.py",
    "questions/boxed_kernel.py",
    "questions/cell_kernel.py",
    "questions/norm_kernel.py",
    "regions/ball.py",
    "regions/kernel.py",
    "regions/maps.py",
    "shallow/maps.py",
)


@cache
def stamp() -> tuple[tuple[int, int], ...]:
    """Time and size of every compiled file."""
    found = [(PACKAGE / name).stat() for name in COMPILED]
    return tuple((status.st_mtime_ns, status.st_size) for status in found)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with that cache."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if kept is not None:
            kept._source_stamp = stamp()
        return dispatcher

    return compiled
