"""The first-use compilation: done once on a machine, announced, then read from its cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

import numpy as np

from relu_shallow.checks.closure import Closure, check_closure, exact_cell, lay_out_cells, states_of
from relu_shallow.checks.counting import free_inputs
from relu_shallow.checks.exact import witness_of
from relu_shallow.checks.files import neighbours_listed, sample_of
from relu_shallow.domain import Box, WholeSpace, fit
from relu_shallow.network import from_layers
from relu_shallow.questions.decomposed import compile_bounds
from relu_shallow.questions.nearest import compile_search
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, Table

READING = 2.0  # seconds; the cache is read in well under one, so what takes longer compiles


def ensure_compiled(announce: Callable[[str], None], *, bounded: bool = True) -> float:
    """Compiles what a conversion runs, or loads it from its cache; returns the seconds it took.

    Converts a network of two neurons on a box or, where `bounded` is false, on the whole space, which needs more.
    `announce` is told when it turns out to be a compilation.
    """
    start = time.perf_counter()
    with _told(announce, "compiling the search for this machine, once; this takes about 20 s"):
        one = np.ones((1, 1))
        network = from_layers([(one, np.zeros(1)), (one, -np.ones(1)), (one, np.zeros(1))])
        shallow_network(enumerate_regions(network, Box(-2.0, 2.0) if bounded else WholeSpace()))
    return time.perf_counter() - start


def ensure_check_compiled(shallow: ShallowNetwork | StoredNetwork, announce: Callable[[str], None]) -> None:
    """Compiles the exact check, or loads it from its cache; `announce` is told when it is a compilation."""
    with _told(announce, "compiling the exact check for this machine, once; this takes about 15 s"):
        tables = shallow.tables if isinstance(shallow, ShallowNetwork) else _one_region(shallow)
        for table in tables:
            domain = fit(shallow.domain, table.network.inputs)
            check_closure(table, domain, np.arange(0))
            if table.network.neurons and free_inputs(domain, table.network.inputs).any():
                cells = lay_out_cells(table, domain)
                states_of(cells, exact_cell(cells, 0, witness_of(table, 0)), Closure())


def ensure_nearest_compiled(announce: Callable[[str], None]) -> None:
    """Compiles the search of nearest points, or loads it from its cache; `announce` is told of a compilation."""
    with _told(announce, "compiling the search for nearest points for this machine, once; this takes about 20 s"):
        compile_search()


def ensure_bounds_compiled(announce: Callable[[str], None]) -> None:
    """Compiles the bounds of sums from their modules, or loads them from the cache; announces a compilation."""
    with _told(announce, "compiling the bounds of sums for this machine, once; this takes about 5 s"):
        compile_bounds()


SMALL = 12  # inputs up to which values are exact without a doubt, so that nothing else need be compiled


def ensure_explanation_compiled(
    method: str, inputs: int, time_limit: float | None, announce: Callable[[str], None]
) -> None:
    """Compiles what a method of explanation runs, or loads it from its cache; `announce` is told of a compilation.

    The default method is compiled for what it may fall back to as well, where there are more than a few inputs or the
    time is limited.
    """
    from relu_shallow.explanation import explain_rows

    methods: tuple[str, ...] = (method,)
    if method == "auto":
        methods = ("exact", "bounds", "estimate") if inputs > SMALL or time_limit is not None else ("exact",)
    with _told(announce, "compiling the explanation for this machine, once; this takes about 20 s"):
        one = np.ones((1, 1))
        network = from_layers([(one, np.zeros(1)), (one, -np.ones(1)), (one, np.zeros(1))])
        for name in methods:
            explain_rows(network, np.full((1, 1), 2.0), background=np.zeros((1, 1)), method=name, workers=1)


def _one_region(stored: StoredNetwork) -> tuple[Table, ...]:
    """A table of one region of a folder, whose neighbours are looked up too."""
    if not stored.regions:
        return ()
    table = sample_of(stored, 1, np.random.default_rng(0))
    neighbours_listed(stored, table.bits)
    return (table,)


@contextmanager
def _told(announce: Callable[[str], None], message: str) -> Iterator[None]:
    """Tells the message where what is inside takes longer than reading a cache."""
    notice = Timer(READING, announce, (message,))
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()
