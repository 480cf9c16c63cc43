"""What regions must add up to: the domain's volume, or a theorem's count."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.domain import Box, Domain, Polytope, WholeSpace
from relu_shallow.network import Network, dense, switching
from relu_shallow.precision import GENERAL_POSITION

DIMENSIONS = 3  # volumes are computed up to here
MOST_VOLUMES = 5000  # regions in two or three dimensions; each takes about a millisecond
MOST_SUBSETS = 200_000  # determinants to compute for general position


def free_inputs(domain: Domain, inputs: int) -> Bool[np.ndarray, " inputs"]:
    """Which inputs the domain leaves free (a box may fix some)."""
    return domain.hi > domain.lo if isinstance(domain, Box) else np.ones(inputs, dtype=bool)


def domain_rows(domain: Box | Polytope) -> tuple[Float[np.ndarray, "rows n"], Float[np.ndarray, " rows"]]:
    """(A, b) with the domain = {x : A x <= b}."""
    if isinstance(domain, Polytope):
        return domain.A, domain.b
    eye = np.eye(len(domain.lo))
    return np.concatenate([eye, -eye]), np.concatenate([domain.hi, -domain.lo])


def region_volume(
    rows: Float[np.ndarray, "neurons columns"],
    pattern: Bool[np.ndarray, " neurons"],
    witness: Float[np.ndarray, " n"],
    domain: Box | Polytope,
) -> float:
    """The volume within the domain of {x : every row (G, g) has the pattern's sign}, on the inputs left free.

    All N rows of the pattern, not those of the trie: where a region is missing from the list, the trie's rows let its
    neighbour take its place.
    """
    free = free_inputs(domain, len(witness))
    side = np.where(pattern, 1.0, -1.0)
    A, b = domain_rows(domain)
    A = np.concatenate([A, -side[:, None] * rows[:, :-1]])
    b = np.concatenate([b, side * rows[:, -1]])
    return polytope_volume(A[:, free], b - A @ witness)


def polytope_volume(A: Float[np.ndarray, "rows d"], b: Float[np.ndarray, " rows"]) -> float:
    """The volume of {y : A y <= b}, bounded, with 0 inside.

    It is computed in units of the distance from 0 to the nearest row, so that a tiny region is as well scaled as any.
    Raises ValueError where 0 is not inside.
    """
    norms = np.linalg.norm(A, axis=1)
    A, b = A[norms > 0] / norms[norms > 0, None], b[norms > 0] / norms[norms > 0]
    if not (len(b) and b.min() > 0):
        raise ValueError("the witness is not inside its region")
    unit = float(b.min())
    if A.shape[1] == 1:
        return float(b[A[:, 0] > 0].min() + b[A[:, 0] < 0].min())
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    found = HalfspaceIntersection(np.column_stack([A, -b / unit]), np.zeros(A.shape[1]))
    corners = found.intersections[np.isfinite(found.intersections).all(axis=1)]
    return float(ConvexHull(corners).volume) * unit ** A.shape[1]


def domain_volume(domain: Box | Polytope, inside: Float[np.ndarray, " n"]) -> float:
    """The volume of the domain itself on its free inputs; `inside` is a point of its interior."""
    if isinstance(domain, Box):
        width = domain.hi - domain.lo
        return float(np.prod(width[width > 0]))
    return polytope_volume(domain.A, domain.b - domain.A @ inside)


def general_position_count(network: Network, domain: Domain) -> tuple[int | None, str]:
    """Zaslavsky's count sum_i C(N, i), i = 0..n, and why; None where the theorem does not apply."""
    if len(network.gates) != 1 or not isinstance(domain, WholeSpace):
        return None, "it is for one hidden layer on the whole space"
    n, N = network.inputs, network.neurons
    if comb(N, min(n, N)) + comb(N, n + 1) > MOST_SUBSETS:
        return None, f"general position of {N} hyperplanes in {n} dimensions is too many determinants"
    W, b = dense(network.affine[0].W), network.affine[0].b
    norms = np.linalg.norm(np.column_stack([W, b]), axis=1)
    if not (norms > 0).all() or not switching(network).all():
        return None, "a neuron is identically zero or does not switch"
    rows = np.column_stack([W, b]) / norms[:, None]
    if not (_independent(rows[:, :-1], min(n, N)) and (n >= N or _independent(rows, n + 1))):
        return None, "the hyperplanes are not clearly in general position"
    return sum(comb(N, i) for i in range(n + 1)), f"{N} hyperplanes in general position in {n} dimensions"


def _independent(rows: Float[np.ndarray, "rows columns"], size: int) -> bool:
    """Whether every `size` of the rows are clearly independent (smallest singular value above the threshold)."""
    subsets = np.array(list(combinations(range(len(rows)), size)))
    return bool((np.linalg.svd(rows[subsets], compute_uv=False)[:, -1] > GENERAL_POSITION).all())
