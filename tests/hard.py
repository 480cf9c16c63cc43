"""Random small networks of the kinds that break enumerators, by seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

KINDS = (
    "plain", "zero biases", "integers", "duplicates", "negated", "parallel", "rounded", "dead", "scales", "float32",
    "float16", "zero weights", "width one", "one input", "thin", "an ulp apart", "touching a face",
)  # fmt: skip


def layers(kind: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(W, b) pairs of a network with one to three inputs, one to three hidden layers and at most nine neurons."""
    r = np.random.default_rng([seed, KINDS.index(kind)])
    n = 1 if kind == "one input" else int(r.integers(1, 4))
    hidden = [int(w) for w in r.integers(1, 5, size=int(r.integers(1, 4)))]
    while sum(hidden) > 9:
        hidden.pop()
    if kind == "width one":
        hidden[int(r.integers(len(hidden)))] = 1
    widths = [n, *hidden, 1]
    found = [(r.normal(size=(o, i)), r.normal(size=o) * 0.5) for i, o in pairwise(widths)]
    return [_spoil(kind, W, b, r) for W, b in found]


def _spoil(kind, W, b, r):
    j, k = int(r.integers(len(b))), int(r.integers(len(b)))
    if kind == "zero biases":
        b = b * 0
    elif kind == "integers":
        W, b = r.integers(-2, 3, size=W.shape).astype(float), r.integers(-1, 2, size=b.shape).astype(float)
    elif kind == "duplicates":
        W[k], b[k] = W[j], b[j]
    elif kind == "negated":
        factor = float(r.choice([-1.0, -2.0, -3.0, 0.1]))
        W[k], b[k] = factor * W[j], factor * b[j]
    elif kind == "parallel":
        W[k] = W[j]
    elif kind == "rounded":
        W, b = np.round(W * 2) / 2, np.round(b * 2) / 2
    elif kind == "dead":
        W[k], b[k] = 0.0, float(r.choice([-1.0, 0.0, 1.0]))
    elif kind == "scales":
        scale = 10.0 ** r.uniform(-12, 12, size=len(b))
        W, b = W * scale[:, None], b * scale
    elif kind == "float32":
        W, b = W.astype(np.float32).astype(float), b.astype(np.float32).astype(float)
    elif kind == "float16":
        W, b = W.astype(np.float16).astype(float), b.astype(np.float16).astype(float)
    elif kind == "zero weights":
        W[r.random(W.shape) < 0.6] = 0.0
    elif kind == "an ulp apart":  # and told apart in the next layer: rows below their own rounding
        i = 0 if k != 0 else len(b) - 1
        W[i], b[i] = W[k] * (1 + 2.0**-52), b[k] * (1 + float(r.choice([0.0, 2.0**-52, 1e-13])))
        if W.shape[1] > 1:
            W[:, 0] = -W[:, -1] * (1 + float(r.choice([0.0, 2.0**-52])))
    elif kind == "touching a face":  # of the box [-1, 1]^n, to within a few units in the last place
        W[k] = 0.0
        W[k, int(r.integers(W.shape[1]))] = float(r.choice([1.0, -1.0, 0.3]))
        near = 1 + float(r.choice([0.0, 2.0**-52, -1e-15, 1e-14, -1e-13]))
        b[k] = abs(W[k]).sum() * float(r.choice([1.0, -1.0])) * near
    elif kind == "thin":
        W[k], b[k] = W[j], b[j] + 10.0 ** -float(r.integers(6, 15))
    return W, b
