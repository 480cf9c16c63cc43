"""Is a model the one that was converted? Its numbers, its names, its file; on a slice, its values there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from relu_shallow.checks.record import Check
from relu_shallow.network import Network, dense, evaluate
from relu_shallow.slices import restrict_by, slice_error


def same_network(stored: Network, given: Network) -> Check:
    """Whether the model given has exactly the stored weights."""
    name = "same network"
    if (stored.inputs, stored.widths, stored.outputs) != (given.inputs, given.widths, given.outputs):
        return Check(name, False, f"converted from widths {stored.inputs, *stored.widths, stored.outputs}, "
                     f"the model has {given.inputs, *given.widths, given.outputs}")  # fmt: skip
    pairs = [(dense(a.W), dense(b.W)) for a, b in zip(stored.affine, given.affine, strict=True)]
    pairs += [(a.b, b.b) for a, b in zip(stored.affine, given.affine, strict=True)]
    pairs += [(a.active, b.active) for a, b in zip(stored.gates, given.gates, strict=True)]
    pairs += [(a.inactive, b.inactive) for a, b in zip(stored.gates, given.gates, strict=True)]
    differing = sum(int((a != b).sum()) for a, b in pairs)
    largest = max(float(np.abs(a - b).max()) for a, b in pairs)
    total = sum(a.size for a, _ in pairs)
    detail = (
        f"{differing} of {total} numbers differ, by at most {largest:.3g}" if differing else f"{total} numbers agree"
    )
    if stored.head != given.head:
        detail += f"; the head was {stored.head}, the model's is {given.head}"
    return Check(name, differing == 0 and stored.head == given.head, detail)


def same_names(stored: Network, given: Network) -> Iterator[Check]:
    """Whether the features and outputs are called what the model calls them, where it calls them anything."""
    features = stored.feature_names if stored.slice is None else stored.slice.feature_names
    for what, own, others, letter in (
        ("feature", features, given.feature_names, "x"),
        ("output", stored.output_names, given.output_names, "y"),
    ):
        if others == tuple(f"{letter}{index}" for index in range(len(others))) or len(own) != len(others):
            continue
        differing = [f"{a!r} is {b!r} in the model" for a, b in zip(own, others, strict=True) if a != b]
        detail = f"{len(differing)} of {len(own)} differ: {differing[0]}" if differing else f"{len(own)} names agree"
        yield Check(f"same {what} names", not differing, detail)


def on_its_slice(stored: Network, given: Network) -> Network:
    """The model given on the slice that the stored network is of, where it is of one and the model has its inputs."""
    if stored.slice is None or len(stored.slice.v) != given.inputs or given.slice is not None:
        return given
    return restrict_by(given, stored.slice, stored.feature_names)


def equal_on_slice(stored: Network, given: Network, U: Float[np.ndarray, "points d"]) -> Check:
    """Whether the stored network, at points of its slice, says what the model says at the inputs x = M u + v."""
    name = "equal to the original at embedded points"
    assert stored.slice is not None
    if not len(U):
        return Check(name, True, "does not apply: no such point")
    bound = slice_error(given, stored, U)
    difference = np.abs(evaluate(stored, U) - evaluate(given, stored.slice.at(U)))
    differing = int((~(difference <= bound)).any(axis=1).sum())
    worst = float((difference / np.maximum(bound, np.finfo(float).tiny)).max())
    detail = f"{len(U)} points, largest difference {difference.max():.3g}, {worst:.2g} times the rounding bound"
    return Check(name, differing == 0, f"{differing} of {detail}" if differing else detail)


def other_file(stored: Network, given: Network) -> list[str]:
    """A note where the model was read from a file with other bytes than the one converted."""
    a, b = stored.source.sha256, given.source.sha256
    if not (a and b) or a == b:
        return []
    return ["same file: the model's file is not the one that was converted (SHA-256 differs); its numbers are compared"]
