"""Whether the regions fill the domain: their lengths, areas or volumes add up to its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relu_shallow.checks.counting import (
    DIMENSIONS,
    MOST_VOLUMES,
    domain_rows,
    domain_volume,
    free_inputs,
    region_volume,
)
from relu_shallow.checks.maps import chunks, maps_of
from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.network import switching
from relu_shallow.precision import LP_OPTIONS, VOLUME
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import Table


def check_volumes(table: Table, domain: Domain) -> tuple[bool | None, str]:
    """(whether they add up, figures), or (None, why the question does not arise)."""
    if isinstance(domain, WholeSpace):
        return None, "the whole space has no volume"
    dimension = int(free_inputs(domain, table.network.inputs).sum())
    if not 1 <= dimension <= DIMENSIONS:
        return None, f"they are computed in 1 to {DIMENSIONS} dimensions, the domain has {dimension}"
    if table.regions > MOST_VOLUMES and dimension > 1:
        return None, f"they are computed for up to {MOST_VOLUMES} regions, there are {table.regions}"
    if isinstance(domain, Polytope) and not _bounded(domain):
        return None, "the domain is unbounded"
    from scipy.spatial import QhullError

    try:
        whole = domain_volume(domain, table.witnesses[0])
        parts = np.array(list(_volumes(table, domain)))
    except (ValueError, QhullError) as error:  # whether it is real is for other checks to say
        return None, f"a region is too thin for floats: {str(error).splitlines()[0]}"
    if not 0 < whole < np.inf:
        return None, "the domain's volume is beyond floats"
    off = abs(float(parts.sum()) - whole) / whole
    what = {1: "lengths", 2: "areas", 3: "volumes"}[dimension]
    return bool(off <= VOLUME), f"{what} of {table.regions} regions sum to {parts.sum():.12g} of {whole:.12g}"


def _volumes(table: Table, domain: Box | Polytope) -> Iterator[float]:
    """Each region's volume; rows that are zero but for rounding bound nothing."""
    switch = switching(table.network)
    for chunk in chunks(table.network, np.arange(table.regions)):
        patterns = unpack(table.bits[chunk], table.network.neurons)
        maps = maps_of(table.network, patterns)
        blank = (np.abs(maps.rows[:, :, :-1]) <= maps.row_error[:, :, :-1]).all(axis=2)
        for place, region in enumerate(chunk):
            kept = ~blank[:, place] & switch
            rows, pattern = maps.rows[kept, place], patterns[place, kept]
            yield region_volume(rows, pattern, table.witnesses[region], domain)


def _bounded(domain: Box | Polytope) -> bool:
    """Whether no direction stays inside for ever."""
    from scipy.optimize import linprog

    A, _ = domain_rows(domain)
    n = A.shape[1]
    ends = [linprog(sign * np.eye(n)[axis], A_ub=A, b_ub=np.zeros(len(A)), bounds=(-1, 1), options=LP_OPTIONS).fun
            for axis in range(n) for sign in (-1, 1)]  # fmt: skip
    return all(end is not None and end > -0.5 for end in ends)  # an unbounded direction reaches the bound of 1
