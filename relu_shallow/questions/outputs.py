"""Weighted sums of a network's outputs: which ones are meant, and their values with bounds on the rounding."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import UsageError
from relu_shallow.network import Network, evaluate
from relu_shallow.precision import evaluation_error, gamma, underflow_error


def weights_of(network: Network, output: int, minus: int | None) -> tuple[Float[np.ndarray, " outputs"], str]:
    """(weights of the outputs, what their sum is called) of one output, or of one minus another.

    Raises UsageError for outputs that are none, or the same.
    """
    for k in (output, *(() if minus is None else (minus,))):
        if not 0 <= k < network.outputs:
            raise UsageError(f"there is no output {k}: the network has {network.outputs}, counted from 0")
    weights = np.zeros(network.outputs)
    weights[output] = 1.0
    if minus is None:
        return weights, network.output_names[output]
    if minus == output:
        raise UsageError(f"the difference of output {output} and itself is zero everywhere; name two outputs")
    weights[minus] = -1.0
    return weights, f"{network.output_names[output]} - {network.output_names[minus]}"


def output_sums(
    network: Network, X: Float[np.ndarray, "points inputs"], C: Float[np.ndarray, "sums outputs"]
) -> tuple[Float[np.ndarray, "points sums"], Float[np.ndarray, "points sums"], Float[np.ndarray, "points sums"]]:
    """(C f(x), a bound on its rounding error, the sum in magnitudes) at each point."""
    Y = evaluate(network, X)
    size = np.abs(Y) @ np.abs(C).T
    error = (evaluation_error(network, X) + underflow_error(network)) @ np.abs(C).T + gamma(network.outputs + 4) * size
    return Y @ C.T, error * (1 + gamma(network.outputs + 4)), size
