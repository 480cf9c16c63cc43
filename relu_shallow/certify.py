"""Verification: does a shallow network say what the deep one computes? Checked by code the search has no part in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from relu_shallow.checks import places
from relu_shallow.checks.counting import general_position_count
from relu_shallow.checks.equality import equal_at, places_to_compare
from relu_shallow.checks.lists import is_sorted_and_unique, missing_patterns, proper_trie
from relu_shallow.checks.modules import modules_add_up
from relu_shallow.checks.on_disk import check_folder
from relu_shallow.checks.originals import equal_on_slice, on_its_slice, other_file, same_names, same_network
from relu_shallow.checks.record import Check, level_claimed, of_modules, settled
from relu_shallow.checks.regions import check_regions
from relu_shallow.checks.volumes import check_volumes
from relu_shallow.domain import Box, fit
from relu_shallow.errors import UsageError
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network
from relu_shallow.regions.folder import RegionsFolder
from relu_shallow.shallow.stored import StoredNetwork, open_converted
from relu_shallow.shallow.table import ShallowNetwork, Table, as_points

POINTS, FEWEST = 10_000, 1_000  # of each kind
WORK = 1 << 30  # products that comparing points of one kind may take; written out in full, sixteen cost as one


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
    shallow: ShallowNetwork | StoredNetwork | RegionsFolder | str | os.PathLike[str],
    model: Any = None,
    data: Any = None,
    *,
    exact: bool = False,
    sample: int | None = None,
    seed: int = 0,
    points: int | None = None,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Checks a shallow network against the deep one it was made from, and against `model` where one is given.

    `shallow` may be the path of one, a file or a folder of regions, which is gone through file by file. `model` is
    whatever `load_network` reads; `data` holds rows of inputs; `points` is how many points of each kind are compared:
    by default 10,000, or fewer where one costs much. Of a partial list only what it holds is checked. Figures within
    the rounding of float64 (precision.py) count as equal; nothing else does. With `exact` it is proved besides that
    every region is real and none is missing,
    for all regions or a random `sample` of them; `workers` threads do that (all usable cores by default) and `progress`
    is called with the regions done. Raises ModelError or DataError where model or data cannot be read, UsageError for
    a sample that is none.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be at least 1, got {workers}")
    if sample is not None and not (exact and isinstance(sample, Integral) and sample >= 1):
        raise UsageError(f"a sample is a number of regions, at least 1, for the exact check (exact=True, --exact), "
                         f"got {sample!r:.60}")  # fmt: skip
    if isinstance(shallow, str | os.PathLike):
        shallow = open_converted(shallow)
    elif isinstance(shallow, RegionsFolder):
        shallow = StoredNetwork(shallow.network, shallow)
    if sample is not None and sample >= shallow.regions:
        sample = None
    if points is None:
        points = points_worth(shallow.network)
    threads = usable_cores() if workers is None else workers
    rng = np.random.default_rng(seed)
    checks: list[Check] = []
    left_out: list[str] = []
    deep = shallow.network
    if model is not None:
        from relu_shallow.load import load_network, reading_of

        given = model if isinstance(model, Network) else load_network(model, **reading_of(shallow.network.source))
        deep = on_its_slice(shallow.network, given)
        checks.append(same_network(shallow.network, deep))
        checks += same_names(shallow.network, given)
        left_out += other_file(shallow.network, given)
        if (deep.inputs, deep.outputs) != (shallow.network.inputs, shallow.network.outputs):
            return Verification(tuple(checks), ("all else: the model has another number of inputs or outputs",))
        if deep is not given:
            checks.append(equal_on_slice(shallow.network, given, _on_slice(shallow, points, rng)))
    rows = None if data is None else as_points(data, deep.inputs)
    if isinstance(shallow, StoredNetwork):
        checks += check_folder(
            shallow, deep, rows, left_out, points, rng, threads, progress, exact=exact, sample=sample
        )
        return Verification(tuple(checks), tuple(left_out))
    structure = [*modules_add_up(shallow), *_of_all([list(_structure(table)) for table in shallow.tables])]
    checks += structure
    checks.append(level_claimed(shallow.completeness))
    if not all(check.ok for check in structure):
        return Verification(tuple(checks), ("all else: the lists of regions are not well formed",))
    for name, X in places_to_compare(shallow.domain, shallow.tables, rows, points, rng):
        checks.append(equal_at(shallow, deep, name, X))
    ask = Asked(exact, sample, points, rng, threads, progress)
    checks += _of_all([_looked_at(table, shallow, ask, left_out) for table in shallow.tables])
    return Verification(tuple(checks), tuple(dict.fromkeys(left_out)))


@dataclass(frozen=True)
class Asked:
    """How a list of regions is to be looked at."""

    exact: bool
    sample: int | None
    points: int
    rng: np.random.Generator
    workers: int
    progress: Callable[[int], None] | None


def _of_all(found: list[list[Check]]) -> list[Check]:
    """The checks of all tables."""
    return found[0] if len(found) == 1 else of_modules(found)


def _looked_at(table: Table, shallow: ShallowNetwork, ask: Asked, left_out: list[str]) -> list[Check]:
    """What is found out of one list of regions; adds what does not apply."""
    complete = shallow.completeness.complete
    found = check_regions(table, shallow.domain, complete, ask.rng, search=not ask.exact)
    checks = [Check(name, ok, detail) for name, ok, detail in found]
    if ask.exact:
        checks += _proved(table, shallow, left_out, ask.sample, ask.rng, ask.workers, ask.progress)
    if complete:
        checks.append(_sampled_points_are_listed(table, shallow, ask.points, ask.rng))
    return checks + _counts(table, shallow, left_out)


def points_worth(network: Network) -> int:
    """How many points of each kind are compared: the more a point costs, the fewer."""
    costs = [layer.W.size / 16 if isinstance(layer.W, np.ndarray) else layer.W.nnz for layer in network.affine]
    return max(FEWEST, min(POINTS, int(WORK / max(sum(costs) + 8 * network.neurons, 1))))


def _on_slice(shallow: ShallowNetwork | StoredNetwork, points: int, rng: np.random.Generator) -> np.ndarray:
    """Points of a slice's domain: witnesses and, in a box, as many anywhere."""
    chosen = rng.choice(shallow.regions, min(shallow.regions, points), replace=False)
    if isinstance(shallow, StoredNetwork):
        found = shallow.partition_of(np.sort(chosen)).witnesses
    else:
        found = np.concatenate([table.witnesses for table in shallow.tables])[chosen]
    domain = fit(shallow.domain, shallow.network.inputs)
    if not isinstance(domain, Box):
        return found
    return np.concatenate([found, rng.uniform(domain.lo, domain.hi, (points, len(domain.lo)))])


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
    proofs = list(settled(found, of, facets_too=complete, looked_for=len(regions)))
    yield from proofs
    if not complete:
        left_out.append("none is missing, proved: the list is partial")
        return
    proved = all(check.ok for check in proofs)
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


def _counts(table: Table, shallow: ShallowNetwork, left_out: list[str]) -> list[Check]:
    """What all regions of a list together must be; adds what does not apply."""
    question: tuple[tuple[str, Callable[..., tuple[bool | None, str]]], ...] = (
        ("volumes sum to the domain's", check_volumes),
        ("count of regions in general position", _check_general_position),
    )
    checks = []
    for name, check in question:
        if not shallow.completeness.complete:
            left_out.append(f"{name}: the list is partial")
            continue
        ok, detail = check(table, shallow.domain)
        if ok is None:
            left_out.append(f"{name}: {detail}")
        else:
            checks.append(Check(name, ok, detail))
    return checks


def _check_general_position(table: Table, domain: Any) -> tuple[bool | None, str]:
    expected, why = general_position_count(table.network, domain)
    if expected is None:
        return None, why
    return table.regions == expected, f"{table.regions} regions listed, {expected} expected of {why}"
