"""How many linear regions a network has on a box: listed where that ends in time, else estimated, and bounded."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from relu_shallow.conversion import convert_timed
from relu_shallow.domain import Box
from relu_shallow.errors import OutputError
from relu_shallow.estimation import estimate
from relu_shallow.modules import addend, modules_of
from relu_shallow.network import Network
from relu_shallow.relaxation import preactivation_bounds

SMALL = 20_000  # regions: where there cannot be more, a listing is tried at once
MOST_INPUTS = 100  # an estimate among more takes minutes whatever time it is given (784 inputs: more than three)
TRIED = 1_000_000  # regions: where there may be more, and no estimate says how many, a listing is not tried
GUESSING = 1 / 12  # of the time limit goes into the estimates of all modules
NOT_LISTED = {"ended": False, "regions": None, "seconds": None}
PER_MODULE = 0.5  # seconds, and at least so many for each


def regions(network: Network, lo: np.ndarray, hi: np.ndarray, limit: float, seed: int) -> dict[str, Any]:
    """The figures of a conversion in modules, on one thread, with a time limit.

    `regions` were found in `seconds`, all of them where `ended`. `most` is a proved bound. Where more than a few
    may be, `estimate` is their estimated number with a 95 % interval, `hours` what listing them would take, and a
    listing that would take more than twice the limit at the lower end is not tried (`regions` and `seconds` are null,
    as where the limit came before the first region of a module).
    """
    parts = [addend(network, module) for module in modules_of(network)]
    most = sum(most_regions(part, lo, hi) for part in parts)
    known: dict[str, Any] = {"modules": len(parts), "most": float(most), "estimate": None}
    if (hi > lo).sum() > MOST_INPUTS:
        if most > TRIED:
            return known | NOT_LISTED
    elif most > SMALL:
        known |= _estimated(parts, Box(lo, hi), limit, seed)
        if known.pop("hopeless"):
            return known | NOT_LISTED
    try:
        shallow, took = convert_timed(network, Box(lo, hi), modular=True, workers=1, time_limit=limit)
    except OutputError:  # a module without a single region within its share of the time
        return known | NOT_LISTED
    return known | {"ended": shallow.completeness.complete, "regions": shallow.regions,
                    "seconds": round(took.enumerate + took.build, 3)}  # fmt: skip


def most_regions(network: Network, lo: np.ndarray, hi: np.ndarray) -> int:
    """A bound on the regions in a box: the product over layers of sum_{i <= d} C(n, i).

    n are a layer's neurons that can bend in the box, d is the least of the input's dimension and all widths before it
    (Montufar, "Notes on the number of linear regions of deep neural networks", SampTA 2017).
    """
    bounds = preactivation_bounds(network, lo, hi)
    most, d = 1, int((hi > lo).sum())
    for gate, low, high in zip(network.gates, bounds.lower, bounds.upper, strict=False):
        n = int(((low < 0) & (high > 0) & (gate.active != gate.inactive)).sum())
        most *= sum(comb(n, i) for i in range(min(n, d) + 1))
        d = min(d, len(low))
    return most


def _estimated(parts: list[Network], box: Box, limit: float, seed: int) -> dict[str, Any]:
    time = max(GUESSING * limit / len(parts), PER_MODULE)
    found = [estimate(part, box, time_limit=time, workers=1, seed=seed) for part in parts]
    least = sum(one.cpu_seconds * one.low / one.regions for one in found if one.regions)
    numbers = {name: float(sum(getattr(one, name) for one in found)) for name in ("regions", "low", "high")}
    return {"estimate": {name: round(number, 1) if np.isfinite(number) else None for name, number in numbers.items()}
            | {"hours": round(sum(one.cpu_seconds for one in found) / 3600, 3)},
            "hopeless": bool(least > 2 * limit)}  # fmt: skip
