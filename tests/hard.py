"""Networks and domains of the kinds that break enumerators: some by name, small random ones by seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

KINDS = (
    "plain", "zero biases", "integers", "duplicates", "negated", "parallel", "rounded", "dead", "scales", "float32",
    "float16", "zero weights", "width one", "one input", "thin", "an ulp apart", "touching a face",
    "through one vertex", "equal up to scale", "slivers", "no hidden layer", "all unbounded", "scales everywhere",
    "everything at once",
)  # fmt: skip
DOMAINS = ("box", "thin box", "flat box", "whole space", "polytope", "thin polytope", "no interior")

Layers = list[tuple[np.ndarray, np.ndarray]]


def layers(kind: str, seed: int, most: int = 9, inputs: int = 3) -> Layers:
    """(W, b) pairs of a network with up to `inputs` inputs, one to three hidden layers and at most `most` neurons."""
    r = np.random.default_rng([seed, KINDS.index(kind)])
    n = 1 if kind == "one input" else int(r.integers(1, inputs + 1))
    hidden = [int(w) for w in r.integers(1, (most + 1) // 2, size=int(r.integers(1, 4)))]
    while sum(hidden) > most:
        hidden.pop()
    if kind == "width one":
        hidden[int(r.integers(len(hidden)))] = 1
    if kind == "no hidden layer":
        hidden = []
    widths = [n, *hidden, 1]
    found = [(r.normal(size=(o, i)), r.normal(size=o) * 0.5) for i, o in pairwise(widths)]
    if kind == "through one vertex":
        return _through_one_vertex(found, r)
    if kind == "everything at once":
        for _ in range(int(r.integers(2, 5))):
            other = KINDS[int(r.integers(KINDS.index("touching a face") + 1))]
            found = [_spoil(other, W, b, r) for W, b in found]
        return found
    found = [_spoil(kind, W, b, r) for W, b in found]
    if kind == "all unbounded":  # the network depends on one direction: slabs, and in one dimension a few intervals
        W, b = found[0]
        found[0] = np.outer(r.integers(-3, 4, size=len(b)) + 0.5, W[0]), b
    return found


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
    elif kind == "equal up to scale":  # exactly so only for the powers of two
        factor = float(r.choice([2.0, 0.5, 2.0**30, 2.0**-30, 3.0, 0.1, 1e9, 1e-9, np.pi]))
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
    elif kind == "scales everywhere":  # no scaling of neurons or inputs undoes it
        W, b = W * 10.0 ** r.uniform(-12, 12, size=W.shape), b * 10.0 ** r.uniform(-12, 12, size=b.shape)
    elif kind == "float32":
        W, b = _rounded(W, np.float32), _rounded(b, np.float32)
    elif kind == "float16":
        W, b = _rounded(W, np.float16), _rounded(b, np.float16)
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
    elif kind == "slivers":  # thinner than 1e-12: a slab, or a wedge
        gap = float(r.choice([-1.0, 1.0])) * 2.0 ** -float(r.integers(40, 56))
        if r.random() < 0.5:
            W[k], b[k] = W[j], b[j] + gap
        else:
            W[k], b[k] = W[j] + gap * r.normal(size=W.shape[1]), b[j]
    return W, b


def _rounded(values, kind):
    most = float(np.finfo(kind).max)
    return np.clip(values, -most, most).astype(kind).astype(float)


def _through_one_vertex(found: Layers, r) -> Layers:
    """Integer weights, with most hyperplanes of every layer through the image of one integer point."""
    point = r.integers(-3, 4, size=found[0][0].shape[1]).astype(float)
    whole = []
    for W, b in found:
        W = r.integers(-4, 5, size=W.shape).astype(float)
        missed = (r.random(len(b)) < 0.2) * r.integers(-2, 3, size=len(b))
        whole.append((W, missed - W @ point))
        point = np.maximum(W @ point + whole[-1][1], 0.0)
    return whole


def domain(kind: str, seed: int, inputs: int):
    """(box, half_spaces) of a domain as `rational.regions` reads them; the box is None where there is none."""
    r = np.random.default_rng([seed, DOMAINS.index(kind), 1])
    if kind == "whole space":
        return None, []
    if "polytope" in kind:
        return None, _polytope(kind, r, inputs)
    lo, hi = -np.ones(inputs), np.ones(inputs)
    if r.random() < 0.5:
        center, width = r.normal(size=inputs), 10.0 ** r.uniform(-1, 1, size=inputs)
        lo, hi = center - width, center + width
    axis = int(r.integers(inputs))
    if kind == "thin box":
        hi[axis] = lo[axis] + 1e-6
    elif kind == "flat box":
        fixed = r.random(inputs) < 0.3
        fixed[axis] = True
        lo[fixed] = hi[fixed] = np.where(r.random(inputs) < 0.3, np.round(lo), lo)[fixed]
    elif kind == "no interior":  # x <= lo - gap inside the box, or x <= lo: empty, or flat
        row = np.append(np.eye(inputs)[axis], lo[axis] - float(r.choice([0.0, 0.0, 1.0, 2.0**-50])))
        return None, np.array([*_faces(lo, hi), row])
    return list(zip(lo, hi, strict=True)), []


def _polytope(kind: str, r, n: int) -> np.ndarray:
    """A few random half-spaces about the origin: perhaps unbounded, perhaps with a pair of them 1e-6 apart."""
    A = r.normal(size=(int(r.integers(1, n + 3)), n))
    if r.random() < 0.5:
        A = np.round(A * 2) / 2 + 0.0
        A[~A.any(axis=1), 0] = 1.0
    rows = np.column_stack([A, r.uniform(0.1, 1.0, size=len(A))])
    if kind == "thin polytope":
        opposite = -rows[0]
        opposite[n] += 10.0 ** -float(r.integers(5, 9))
        rows = np.concatenate([rows, opposite[None]])
    if r.random() < 0.5:
        rows = np.concatenate([rows, _faces(np.full(n, -2.0), np.full(n, 2.0))])
    return rows


def tent(levels: int) -> Layers:
    """The tent map t(x) = 2 relu(x) - 4 relu(x - 1/2) composed with itself: 2^levels pieces on [0, 1]."""
    layers = [(np.ones((2, 1)), np.array([0.0, -0.5]))]
    layers += [(np.array([[2.0, -4.0], [2.0, -4.0]]), np.array([0.0, -0.5]))] * (levels - 1)
    return [*layers, (np.array([[2.0, -4.0]]), np.zeros(1))]


def star(lines: int) -> Layers:
    """Lines through the origin of the plane, at multiples of pi / lines: 2 lines cones, all biases zero."""
    angle = np.pi * (np.arange(lines) + 0.5) / lines
    W = np.column_stack([np.cos(angle), np.sin(angle)])
    return [(W, np.zeros(lines)), (np.arange(1.0, lines + 1)[None], np.zeros(1))]


def _faces(lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    n = len(lo)
    return np.column_stack([np.concatenate([np.eye(n), -np.eye(n)]), np.concatenate([hi, -lo])])
