"""Verification: does a shallow network say what the deep one computes? Checked by code the search has no part in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.checks import places
from relu_shallow.checks.counting import general_position_count
from relu_shallow.checks.lists import is_sorted_and_unique, missing_patterns, proper_trie
from relu_shallow.checks.regions import check_regions
from relu_shallow.checks.volumes import check_volumes
from relu_shallow.domain import Box, contains, fit
from relu_shallow.errors import UsageError
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network, activation_patterns, dense, evaluate
from relu_shallow.precision import equality_error
from relu_shallow.regions.partition import unpack
from relu_shallow.shallow.table import ShallowNetwork, Table, as_points

POINTS = 10_000
ANCHORS = 1_000  # witnesses whose facets and corners are visited one by one


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it holds, and the figures measured."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`: every check that applies, and a sentence for each that does not."""

    checks: tuple[Check, ...]
    left_out: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


def verify(
    shallow: ShallowNetwork,
    model: Any = None,
    data: Any = None,
    *,
    exact: bool = False,
    sample: int | None = None,
    seed: int = 0,
    points: int = POINTS,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Checks a shallow network against the deep one it was made from, and against `model` where one is given.

    `model` is whatever `load_network` reads; `data` holds rows of inputs; `points` is how many points of each kind are
    compared. Of a partial list only what it holds is checked. Figures within the rounding of float64 (precision.py)
    count as equal; nothing else does. With `exact` it is proved besides that every region is real and none is missing,
    for all regions or a random `sample` of them; `workers` threads do that (all usable cores by default) and `progress`
    is called with the regions done. Raises ModelError or DataError where model or data cannot be read, UsageError for
    a sample that is none.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be at least 1, got {workers}")
    if sample is not None and not (exact and isinstance(sample, Integral) and sample >= 1):
        raise UsageError(f"a sample is a number of regions, at least 1, for the exact check (exact=True, --exact), "
                         f"got {sample!r:.60}")  # fmt: skip
    if sample is not None and sample >= shallow.regions:
        sample = None
    rng = np.random.default_rng(seed)
    checks: list[Check] = []
    left_out: list[str] = []
    deep = shallow.network
    if model is not None:
        from relu_shallow.load import load_network

        deep = load_network(model)
        checks.append(_same_network(shallow.network, deep))
        checks += _same_names(shallow.network, deep)
        left_out += _other_file(shallow.network, deep)
        if (deep.inputs, deep.outputs) != (shallow.network.inputs, shallow.network.outputs):
            return Verification(tuple(checks), ("all else: the model has another number of inputs or outputs",))
    structure = [check for table in shallow.tables for check in _structure(table)]
    checks += structure
    checks.append(_level(shallow))
    if not all(check.ok for check in structure):
        return Verification(tuple(checks), ("all else: the list of regions is not well formed",))
    rows = None if data is None else as_points(data, deep.inputs)
    for name, X in _places(shallow, rows, points, rng):
        checks.append(_equal(shallow, deep, name, X))
    for table in shallow.tables:
        complete = shallow.completeness.complete
        found = check_regions(table, shallow.domain, complete, rng, search=not exact)
        checks += [Check(name, ok, detail) for name, ok, detail in found]
        if exact:
            threads = usable_cores() if workers is None else workers
            checks += _proved(table, shallow, left_out, sample, rng, threads, progress)
        if shallow.completeness.complete:
            checks.append(_sampled_points_are_listed(table, shallow, points, rng))
    _counts(shallow, checks, left_out)
    return Verification(tuple(checks), tuple(left_out))


def _same_network(stored: Network, given: Network) -> Check:
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


def _same_names(stored: Network, given: Network) -> Iterator[Check]:
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


def _other_file(stored: Network, given: Network) -> list[str]:
    """A note where the model was read from a file with other bytes than the one converted."""
    a, b = stored.source.sha256, given.source.sha256
    if not (a and b) or a == b:
        return []
    return ["same file: the model's file is not the one that was converted (SHA-256 differs); its numbers are compared"]


def _level(shallow: ShallowNetwork) -> Check:
    """Whether the level claimed is one that can be checked."""
    known = shallow.completeness
    detail = f"{known.level}"
    if known.level == "certified":
        detail += f", by the search's own {sum(asdict(known.certificate).values())} decisions"
    return Check("level", not (known.level == "certified" and (known.certificate.open or not known.complete)), detail)


def _structure(table: Table) -> Iterator[Check]:
    """Whether the list and its trie are well formed, so that points can be put to them at all."""
    duplicates, unsorted = is_sorted_and_unique(table.bits)
    yield Check(
        "patterns unique",
        duplicates == 0 and unsorted == 0,
        f"{table.regions} regions, {duplicates} listed more than once, {unsorted} out of order",
    )
    wrong = proper_trie(table)
    yield Check("trie", wrong == "", wrong or f"each of {table.regions} patterns leads to its own region")


def _places(
    shallow: ShallowNetwork, data: np.ndarray | None, points: int, rng: np.random.Generator
) -> Iterator[tuple[str, Float[np.ndarray, "points n"]]]:
    """Where deep and shallow are compared, by name; places of all tables count (they share their inputs)."""
    tables = shallow.tables
    yield "equal at random points", places.anywhere(shallow.domain, tables[0], points, rng)
    if data is not None:
        yield "equal on the data", data
    yield "equal at witnesses", np.concatenate([places.witnesses(table, points, rng) for table in tables])
    ends = [places.crossings(table.network, table, points // 2, rng) for table in tables]
    faces = [places.facets_and_corners(table, min(points, ANCHORS), rng) for table in tables]
    yield "equal on region boundaries", np.concatenate([*ends, *(facets for facets, _ in faces)])
    yield "equal at shared vertices", np.concatenate([corners for _, corners in faces])


def _equal(shallow: ShallowNetwork, deep: Network, place: str, given: Float[np.ndarray, "points n"]) -> Check:
    """Whether both networks agree at the points of the domain among those given."""
    X = given[contains(shallow.domain, given)]
    outside = f", {len(given) - len(X)} outside the domain left out" if len(X) < len(given) else ""
    regions = [table.region_of(X) for table in shallow.tables]
    if not shallow.completeness.complete:
        listed = np.ones(len(X), dtype=bool)
        for table, region in zip(shallow.tables, regions, strict=True):
            own = unpack(table.bits[region], table.network.neurons)
            listed &= (own == activation_patterns(table.network, X)).all(axis=1)
        outside += f", {(~listed).sum()} in regions that the partial list does not hold left out"
        X, regions = X[listed], [region[listed] for region in regions]
    if not len(X):
        return Check(place, True, f"does not apply: no such point{outside}")
    value = sum(table.values(X, region) for table, region in zip(shallow.tables, regions, strict=True))
    bound = sum(equality_error(table.network, X) for table in shallow.tables) + equality_error(deep, X)
    difference = np.abs(value - evaluate(deep, X))
    differing = int((~(difference <= bound)).any(axis=1).sum())
    worst = float((difference / np.maximum(bound, np.finfo(float).tiny)).max())
    detail = (
        f"{len(X)} points, largest difference {difference.max():.3g}, {worst:.2g} times the rounding bound{outside}"
    )
    return Check(place, differing == 0, f"{differing} of {detail}" if differing else detail)


def _sampled_points_are_listed(table: Table, shallow: ShallowNetwork, points: int, rng: np.random.Generator) -> Check:
    """Whether random points of the domain have listed patterns."""
    X = places.anywhere(shallow.domain, table, points, rng)
    missing, doubtful = missing_patterns(table, X)
    return Check(
        "sampled points in listed regions",
        missing == 0,
        f"{missing} of {len(X)} random points have a pattern that is not listed ({doubtful} on a border left out)",
    )


def _proved(
    table: Table,
    shallow: ShallowNetwork,
    left_out: list[str],
    sample: int | None,
    rng: np.random.Generator,
    workers: int,
    progress: Callable[[int], None] | None,
) -> Iterator[Check]:
    """What is proved of the regions, all or a sample of them: that each is real, and that none is missing."""
    from relu_shallow.checks.closure import check_closure
    from relu_shallow.checks.plane import applies, check_plane

    domain, complete = fit(shallow.domain, table.network.inputs), shallow.completeness.complete
    regions = np.arange(table.regions)
    if sample is not None and sample < table.regions:
        regions = np.sort(rng.choice(table.regions, sample, replace=False))
    found = check_closure(table, domain, regions, facets_too=complete, workers=workers, progress=progress)
    of = f"{len(regions)} regions" if len(regions) == table.regions else (
        f"{len(regions)} regions, a random sample of {table.regions}")  # fmt: skip
    false = f"; the first is {found.false[0]}" if found.false else ""
    yield Check("each region is real, proved", not found.false,
                f"{len(found.false)} of {of} have a point that proves nothing{false}")  # fmt: skip
    if not complete:
        left_out.append("none is missing, proved: the list is partial")
        return
    missing = ""
    if found.missing:
        x = ", ".join(f"{float(v):.6g}" for v in next(iter(found.missing.values())))
        missing = f"; the first lies at ({x})"
    proved = not found.missing and not found.false and found.looked_at == len(regions)
    seen = "" if found.looked_at == len(regions) else f"; {found.looked_at} regions were looked at, and that is enough"
    yield Check("none is missing, proved", proved,
                f"{len(found.missing)} missing regions found behind the facets of {of}: {found.facets} lead to listed "
                f"ones; {found.exact} regions needed rational arithmetic, {found.crossings} facets crossed there"
                f"{missing}{seen}")  # fmt: skip
    reason = applies(table, domain) if sample is None else "only a sample is looked at"
    if not proved:
        reason = "the list is not right"
    if reason or not isinstance(domain, Box):
        left_out.append(f"exact areas, V - E + F = 1: {reason}")
        return
    plane = check_plane(table, domain, progress or (lambda regions: None))  # noqa: ARG005
    yield Check("exact areas, V - E + F = 1", plane.ok, f"the areas sum to {float(plane.area):.17g} of "
                f"{float(plane.of):.17g}{', exactly' if plane.area == plane.of else ''}; {plane.vertices} - "
                f"{plane.edges} + {plane.regions} = {plane.vertices - plane.edges + plane.regions}")  # fmt: skip


def _counts(shallow: ShallowNetwork, checks: list[Check], left_out: list[str]) -> None:
    """Adds the checks on what all regions together must be."""
    question: tuple[tuple[str, Callable[..., tuple[bool | None, str]]], ...] = (
        ("volumes sum to the domain's", check_volumes),
        ("count of regions in general position", _check_general_position),
    )
    for table in shallow.tables:
        for name, check in question:
            if not shallow.completeness.complete:
                left_out.append(f"{name}: the list is partial")
                continue
            ok, detail = check(table, shallow.domain)
            if ok is None:
                left_out.append(f"{name}: {detail}")
            else:
                checks.append(Check(name, ok, detail))


def _check_general_position(table: Table, domain: Any) -> tuple[bool | None, str]:
    expected, why = general_position_count(table.network, domain)
    if expected is None:
        return None, why
    return table.regions == expected, f"{table.regions} regions listed, {expected} expected of {why}"
