"""What of a network is not needed: inputs without weights, neurons that repeat others, neurons that never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Affine, Gate, Network, dense, switching


@dataclass(frozen=True)
class Structure:
    """Counts of what could be left out without changing the function.

    `rank` is the rank of the first layer: its regions vary in so many directions only, whatever the number of inputs.
    `repeated` neurons have the weights, bias and slopes of one before them in their layer; `constant` ones have no
    weights; `carriers` have two equal slopes. Numbers of the rank are those of singular values in floats.
    """

    dead_inputs: tuple[int, ...]
    rank: int
    repeated: int
    constant: int
    carriers: int


def structure_of(network: Network) -> Structure:
    """What of a network is not needed, read off its weights."""
    hidden = list(zip(network.affine[:-1], network.gates, strict=True))
    first = dense(network.affine[0].W)
    return Structure(
        tuple(np.flatnonzero(~first.any(axis=0)).tolist()),
        int(np.linalg.matrix_rank(first)),
        sum(int(len(rows) - len(np.unique(rows, axis=0))) for rows in (_rows(*layer) for layer in hidden)),
        sum(int((~rows.any(axis=1)).sum()) for rows in (dense(layer.W) for layer, _ in hidden)),
        network.neurons - int(switching(network).sum()),
    )


def _rows(layer: Affine, gate: Gate) -> Float[np.ndarray, "neurons numbers"]:
    """All that tells the neurons of a layer apart."""
    return np.column_stack([dense(layer.W), layer.b, gate.inactive, gate.active])
