"""Each region's inscribed radius against the rows of its pattern: no less than the witness's own ball, no more."""

from __future__ import annotations

import numpy as np

from relu_shallow.checks.counting import free_inputs
from relu_shallow.checks.flips import largest_radius
from relu_shallow.checks.walls import cells_of, pieces
from relu_shallow.domain import Box, Domain
from relu_shallow.precision import RADIUS, general_lp_margin
from relu_shallow.shallow.table import Table

MOST = 200  # regions whose witness is not the ball's centre, put to a linear program each


def check_radii(table: Table, domain: Domain) -> tuple[bool, str]:
    """(whether they hold, figures).

    The ball around the witness fits among all N rows and the domain's, so the radius is no less. Where it is more, the
    centre is another point, and a linear program says whether so large a ball fits. Errors count in units of the domain
    (a box) or of the witnesses' own distances. Infinite radii of unbounded domains are taken as they are.
    """
    free = free_inputs(domain, table.network.inputs)
    if not free.any():
        return True, "does not apply: the domain is a point"
    box = isinstance(domain, Box)
    size = float(np.max(domain.hi - domain.lo)) if isinstance(domain, Box) else float(np.abs(table.witnesses).max())
    margin = general_lp_margin(int(free.sum())) * size
    wrong = tried = larger = 0
    for regions in pieces(table, table.network.neurons):
        cells, radius = cells_of(table, domain, regions), table.radii[regions]
        bounding = np.asarray(cells.A.any(axis=2))
        reach = np.where(bounding, cells.b, np.inf).min(axis=1, initial=np.inf)
        small = radius < reach * (1 - RADIUS) - margin
        thin = np.isin(regions, list(table.exact_witnesses)) & (radius == 0)  # thinner than floats show
        bad: np.ndarray = ~((radius > 0) | thin) | small | (np.isinf(radius) & box)
        doubtful = np.flatnonzero(~bad & np.isfinite(radius) & (radius > reach * (1 + RADIUS) + margin))
        larger += len(doubtful)
        for place in doubtful[: MOST - tried]:
            rows, claimed = bounding[place], radius[place]
            largest = claimed * largest_radius(-cells.A[place, rows], cells.b[place, rows] / claimed, 2.0)
            bad[place] = claimed > largest * (1 + RADIUS) + margin
            tried += 1
        wrong += int(bad.sum())
    return wrong == 0, (
        f"{wrong} of {table.regions} are not those of the largest ball; of {larger} whose centre is not the witness, "
        f"{tried} were put to a linear program"
    )
