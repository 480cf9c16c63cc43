"""Every threshold, derived from the precision and the magnitudes at hand; no other module holds a literal tolerance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Network

UNIT = float(np.finfo(np.float64).eps) / 2  # u, the unit round-off of float64
UNIT32 = float(np.finfo(np.float32).eps) / 2


def gamma(operations: int, unit: float = UNIT) -> float:
    """k u / (1 - k u), the relative error of k roundings (Higham, Accuracy and Stability, section 3.1)."""
    return operations * unit / (1.0 - operations * unit)


def evaluation_error(
    network: Network, X: Float[np.ndarray, "rows inputs"], unit: float = UNIT
) -> Float[np.ndarray, "rows outputs"]:
    """A bound on |computed - exact| for the network's outputs at each row of X, in arithmetic of unit round-off `unit`.

    Running error analysis: magnitudes are carried beside values; a layer of k inputs adds gamma(k + 2) of its
    magnitudes, and an error passes a gate with at most its larger slope (a gate is Lipschitz).
    """
    h = np.asarray(X, dtype=np.float64)
    error = np.zeros_like(h)
    for index, layer in enumerate(network.affine):
        size = abs(layer.W)
        rounding = gamma(layer.W.shape[1] + 2, unit) * ((size @ (np.abs(h) + error).T).T + np.abs(layer.b))
        error = (size @ error.T).T + rounding
        h = (layer.W @ h.T).T + layer.b
        if index < len(network.gates):
            gate = network.gates[index]
            steepest = np.maximum(np.abs(gate.active), np.abs(gate.inactive))
            h = h * np.where(h > 0, gate.active, gate.inactive)
            error = error * steepest + unit * np.abs(h)
    return error
