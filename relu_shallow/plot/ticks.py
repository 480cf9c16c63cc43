"""Round numbers along an axis."""

from __future__ import annotations

import math

from relu_shallow.plot.lettering import MINUS

ABOUT = 6  # ticks on an axis
ROUND = (1, 2, 5, 10)  # a step is one of these times a power of ten


def ticks(low: float, high: float, about: int = ABOUT) -> list[tuple[float, str]]:
    """Round numbers between two ends, and how each is written."""
    raw = (high - low) / about
    power = math.floor(math.log10(raw))
    step = next(factor for factor in ROUND if factor * 10.0**power >= raw) * 10.0**power
    first, last = math.ceil(low / step), math.floor(high / step)
    decimals = max(0, -math.floor(math.log10(step)))
    return [(place * step, _written(place * step, decimals)) for place in range(first, last + 1)]


def _written(value: float, decimals: int) -> str:
    most = 6  # digits before or after the point, beyond which powers of ten are shorter
    plain = f"{value:.{decimals}f}" if decimals <= most and abs(value) < 10.0**most else f"{value:.3g}"
    return plain.replace("-", MINUS)
