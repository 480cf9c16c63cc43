"""Whether a network gives what its source gives: outputs compared within the rounding of the source's arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from relu_shallow.load.graph import Bend, Graph, Linear, Scale, Select, Shift, Stack, Step, split_head
from relu_shallow.network import Matrix, Network, apply_head
from relu_shallow.precision import gamma

ROWS = 16  # at each of the scales
SCALES = (1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3)
ROUNDINGS = 8  # of one value by a constant: a normalisation's is itself computed from four


def checked_by(network: Network, what: str) -> Network:
    """The network with a note of the program that ran its source and agreed."""
    return replace(network, source=replace(network.source, checked=what))


def rows_to_compare(inputs: int) -> Float[np.ndarray, "rows inputs"]:
    """Random inputs of several sizes, which every precision holds exactly."""
    draw = np.random.default_rng(0).normal(size=(len(SCALES), ROWS, inputs))
    draw *= np.array(SCALES)[:, None, None]
    return draw.reshape(-1, inputs).astype(np.float16).astype(np.float64)


def difference(network: Network, graph: Graph, X: np.ndarray, own: np.ndarray, unit: float) -> str:
    """How a source's own outputs `own`, in arithmetic of round-off `unit`, differ beyond rounding; "" if not."""
    ours = predicted(network, X)
    if own.shape != ours.shape:
        return f"in shape, {own.shape}"
    far = ~(np.abs(own - ours) <= rounding(graph, X, unit))
    return f"by up to {np.abs(own - ours)[far].max():.3g}" if far.any() else ""


def predicted(network: Network, X: Float[np.ndarray, "rows inputs"]) -> Float[np.ndarray, "rows outputs"]:
    """Outputs after the head."""
    return apply_head(network, network(X))


def rounding(graph: Graph, X: Float[np.ndarray, "rows inputs"], unit: float) -> Float[np.ndarray, "rows outputs"]:
    """A bound on how far a framework's outputs, in arithmetic of round-off `unit`, are from the network's.

    Step by step as the framework runs them, since multiplying out can cancel. Every head is Lipschitz with constant at
    most 2 in the largest component, and computing it adds about the number of outputs in roundings of numbers no
    larger than |y| + its size.
    """
    graph, head = split_head(graph)
    values, errors = [np.asarray(X, dtype=np.float64).T], [np.zeros_like(X, dtype=np.float64).T]
    for made in graph.made:
        value, error = _after(made.step, [values[place] for place in made.takes],
                              [errors[place] for place in made.takes], unit)  # fmt: skip
        values.append(value)
        errors.append(error)
    Y, error = values[graph.output].T, errors[graph.output].T
    if head == "identity":
        return error
    largest = 2.0 * error.max(axis=1, keepdims=True)
    size = Y.shape[1]
    bound = largest + gamma(size + ROUNDINGS, unit) * (np.abs(Y).max(axis=1, keepdims=True) + np.log(size) + 1.0)
    return np.broadcast_to(bound, Y.shape)


def _after(
    step: Step, values: list[np.ndarray], errors: list[np.ndarray], unit: float
) -> tuple[np.ndarray, np.ndarray]:
    """(the exact value, the bound on the computed one's error) after a step; columns are rows of data."""
    value, error = values[0], errors[0]
    size = np.abs(value) + error
    if isinstance(step, Linear):
        longest = _longest(step.W)
        return step.W @ value, abs(step.W) @ (error + gamma(longest + ROUNDINGS, unit) * size)
    if isinstance(step, Scale):
        d = step.d[:, None]
        return d * value, np.abs(d) * (error + gamma(ROUNDINGS, unit) * size)
    if isinstance(step, Shift):
        b = step.b[:, None]
        return value + b, error + gamma(ROUNDINGS, unit) * (size + np.abs(b))
    if isinstance(step, Select):
        return value[step.index], error[step.index]
    if isinstance(step, Bend):
        low, high = step.inactive[:, None], step.active[:, None]
        unsure = np.abs(value) <= error
        slope = np.where(value > 0, np.abs(high), np.abs(low))
        steepest = np.where(unsure, np.maximum(np.abs(low), np.abs(high)), slope)
        return value * np.where(value > 0, high, low), steepest * (error + gamma(ROUNDINGS, unit) * size)
    if isinstance(step, Stack):
        return np.concatenate(values), np.concatenate(errors)
    sizes = sum(np.abs(value) + error for value, error in zip(values, errors, strict=True))
    return np.sum(values, axis=0), np.sum(errors, axis=0) + gamma(len(values) + ROUNDINGS, unit) * sizes


def _longest(W: Matrix) -> int:
    """The most products in one of its sums."""
    return int(W.shape[1]) if isinstance(W, np.ndarray) else int(np.diff(W.indptr).max(initial=0))
