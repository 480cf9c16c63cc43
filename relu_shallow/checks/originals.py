"""Is a model the one that was converted? Its numbers, its names, its file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relu_shallow.checks.record import Check
from relu_shallow.network import Network, dense


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
    for what, own, others, letter in (
        ("feature", stored.feature_names, given.feature_names, "x"),
        ("output", stored.output_names, given.output_names, "y"),
    ):
        if others == tuple(f"{letter}{index}" for index in range(len(others))) or len(own) != len(others):
            continue
        differing = [f"{a!r} is {b!r} in the model" for a, b in zip(own, others, strict=True) if a != b]
        detail = f"{len(differing)} of {len(own)} differ: {differing[0]}" if differing else f"{len(own)} names agree"
        yield Check(f"same {what} names", not differing, detail)


def other_file(stored: Network, given: Network) -> list[str]:
    """A note where the model was read from a file with other bytes than the one converted."""
    a, b = stored.source.sha256, given.source.sha256
    if not (a and b) or a == b:
        return []
    return ["same file: the model's file is not the one that was converted (SHA-256 differs); its numbers are compared"]
