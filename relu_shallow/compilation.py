"""The first-use compilation: done once on a machine, announced, then read from its cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Timer

import numpy as np

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network

READING = 2.0  # seconds; the cache is read in well under one, so what takes longer compiles


def ensure_compiled(announce: Callable[[str], None], *, bounded: bool = True) -> float:
    """Compiles what a conversion runs, or loads it from its cache; returns the seconds it took.

    Converts a network of two neurons on a box or, where `bounded` is false, on the whole space, which needs more.
    `announce` is told when it turns out to be a compilation.
    """
    start = time.perf_counter()
    notice = Timer(READING, announce, ("compiling the search for this machine, once; this takes about 20 s",))
    notice.daemon = True
    notice.start()
    try:
        one = np.ones((1, 1))
        network = from_layers([(one, np.zeros(1)), (one, -np.ones(1)), (one, np.zeros(1))])
        shallow_network(enumerate_regions(network, Box(-2.0, 2.0) if bounded else WholeSpace()))
    finally:
        notice.cancel()
    return time.perf_counter() - start
