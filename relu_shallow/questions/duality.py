"""What multipliers prove about a linear function over rows and a box: weak duality, with every rounding paid for.

For any mu (mu >= 0 for rows >= 0, of any sign for equations), c.v + c0 <= c0 + mu.r + (c + R^T mu).v wherever the rows
R v + r hold; over a box the right side is largest at its ends. So multipliers may come from any solver: a poor one
makes the bound worse, never wrong (Neumaier and Shcherbina 2004).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.precision import TINY, gamma

Array = np.ndarray


def proved_bound(
    c: Float[Array, " variables"],
    constant: float,
    rows: tuple[Float[Array, "rows variables"], Float[Array, " rows"]],
    mu: Float[Array, " rows"],
    box: tuple[Float[Array, " variables"], Float[Array, " variables"]],
    row_error: Float[Array, " rows"],
    error: float,
) -> float:
    """A number that c.v + constant does not exceed, in exact arithmetic, where the rows R v + r hold within the box.

    `row_error` bounds what each row may be off anywhere in the box, `error` what c.v + constant may. All terms are
    bounded in magnitudes over the box, and k roundings cost gamma(k) of them.
    """
    (R, r), (lo, hi) = rows, box
    reach = np.maximum(np.abs(lo), np.abs(hi))
    size = (np.abs(c) + np.abs(mu) @ np.abs(R)) @ reach + abs(constant) + np.abs(mu) @ np.abs(r)
    unsure = np.abs(mu) @ row_error + error
    rest = c + mu @ R
    top = constant + mu @ r + np.maximum(rest * lo, rest * hi).sum()
    return float(top + gamma(4 * (len(mu) + len(c)) + 32) * (size + unsure) + unsure + TINY)
