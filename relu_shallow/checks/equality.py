"""Do the deep and the shallow network agree? Compared at points of many kinds, within the rounding of float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.checks import places
from relu_shallow.checks.record import Check
from relu_shallow.domain import Domain, contains
from relu_shallow.network import Network, activation_patterns, evaluate
from relu_shallow.precision import equality_error, gamma
from relu_shallow.regions.folder import find
from relu_shallow.regions.partition import pack, unpack
from relu_shallow.shallow.stored import StoredNetwork, in_pieces
from relu_shallow.shallow.table import ShallowNetwork, Table

ANCHORS = 1_000  # witnesses whose facets and corners are visited one by one


def places_to_compare(
    domain: Domain,
    tables: Sequence[Table],
    data: np.ndarray | None,
    points: int,
    rng: np.random.Generator,
    near: int | None = None,
) -> Iterator[tuple[str, Float[np.ndarray, "points n"]]]:
    """Where deep and shallow are compared, by name; places of all tables count (they share their inputs).

    `near` is how many points on boundaries there are of each kind, over all tables; as many as others by default.
    """
    each, near = (max(total // len(tables), 1) for total in (points, points if near is None else near))
    yield "equal at random points", places.anywhere(domain, tables[0], points, rng)
    if data is not None:
        yield "equal on the data", data
    yield "equal at witnesses", np.concatenate([places.witnesses(table, each, rng) for table in tables])
    ends = [places.crossings(table.network, table, max(near // 2, 1), rng) for table in tables]
    faces = [places.facets_and_corners(table, min(near, ANCHORS), rng) for table in tables]
    yield "equal on region boundaries", np.concatenate([*ends, *(facets for facets, _ in faces)])
    yield "equal at shared vertices", np.concatenate([corners for _, corners in faces])


def equal_at(
    shallow: ShallowNetwork | StoredNetwork, deep: Network, place: str, given: Float[np.ndarray, "points n"]
) -> Check:
    """Whether both networks agree at the points of the domain among those given."""
    X = given[contains(shallow.domain, given)]
    outside = f", {len(given) - len(X)} outside the domain left out" if len(X) < len(given) else ""
    listed = _listed(shallow, X)
    if not shallow.completeness.complete:
        outside += f", {(~listed).sum()} in regions that the partial list does not hold left out"
    X = X[listed]
    if not len(X):
        return Check(place, True, f"does not apply: no such point{outside}")
    parts = [_compared(shallow, deep, X[some]) for some in in_pieces(len(X), max(deep.widths, default=1))]
    difference, bound = (np.concatenate(part) for part in zip(*parts, strict=True))
    differing = int((~(difference <= bound)).any(axis=1).sum())
    worst = float((difference / np.maximum(bound, np.finfo(float).tiny)).max())
    detail = (
        f"{len(X)} points, largest difference {difference.max():.3g}, {worst:.2g} times the rounding bound{outside}"
    )
    return Check(place, differing == 0, f"{differing} of {detail}" if differing else detail)


def _compared(
    shallow: ShallowNetwork | StoredNetwork, deep: Network, X: Float[np.ndarray, "points n"]
) -> tuple[Float[np.ndarray, "points outputs"], Float[np.ndarray, "points outputs"]]:
    """How far apart the two are at each point, and how far rounding alone may take them."""
    error = equality_error(deep, X)
    value, bound = _values(shallow, X, error if deep is shallow.network else equality_error(shallow.network, X))
    return np.abs(value - evaluate(deep, X)), bound + error


def _listed(shallow: ShallowNetwork | StoredNetwork, X: Float[np.ndarray, "points n"]) -> Bool[np.ndarray, " points"]:
    """Whether a list that may be partial holds the regions of points."""
    listed = np.ones(len(X), dtype=bool)
    if shallow.completeness.complete:
        return listed
    if isinstance(shallow, StoredNetwork):
        return np.asarray(find(shallow.folder, pack(activation_patterns(shallow.network, X))) >= 0)
    for table in shallow.tables:
        own = unpack(table.bits[table.region_of(X)], table.network.neurons)
        listed &= (own == activation_patterns(table.network, X)).all(axis=1)
    return listed


def _values(
    shallow: ShallowNetwork | StoredNetwork, X: Float[np.ndarray, "points n"], own: Float[np.ndarray, "points outputs"]
) -> tuple[Float[np.ndarray, "points outputs"], Float[np.ndarray, "points outputs"]]:
    """alpha x + beta of the points' regions, and a bound on its rounding; `own` is that of the whole network."""
    if isinstance(shallow, StoredNetwork):
        return shallow.values(X, shallow.region_of(X)), own
    value, bound, size = np.zeros((3, len(X), shallow.network.outputs))
    for table in shallow.tables:
        part = table.values(X, table.region_of(X))
        value, size = value + part, size + np.abs(part)
        bound += own if table.network is shallow.network else equality_error(table.network, X)
    return value, bound + gamma(len(shallow.tables) - 1) * size
