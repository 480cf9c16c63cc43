"""The kernel's first-use compilation: done once on a machine, announced, then read from its cache."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from relu_shallow.domain import Box
from relu_shallow.network import from_layers


def compile_kernel(announce: Callable[[str], None]) -> float:
    """Runs the search on a network of two neurons, which compiles or loads all of it; returns the seconds taken."""
    start = time.perf_counter()
    from relu_shallow.regions.kernel import search
    from relu_shallow.regions.search import enumerate_regions

    if not any(search.stats.cache_path and _cached(search) for _ in (0,)):
        announce("compiling the search for this machine, once; about 20 s")
    one = np.ones((1, 1))
    network = from_layers([(one, np.zeros(1)), (one, -np.ones(1)), (one, np.zeros(1))])
    enumerate_regions(network, Box(-2.0, 2.0))
    return time.perf_counter() - start


def _cached(function: object) -> bool:
    """Whether numba's cache folder holds an index for the function."""
    from pathlib import Path

    folder = Path(function.stats.cache_path)  # type: ignore[attr-defined]
    return any(folder.glob(f"kernel.{function.__name__}-*.nbi"))  # type: ignore[attr-defined]
