"""The verification of a list of regions that stays on the disk: every file whole, and random samples of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from relu_shallow.checks import places
from relu_shallow.checks.counting import general_position_count
from relu_shallow.checks.equality import equal_at, places_to_compare
from relu_shallow.checks.files import check_files, check_sample, missing_of, sample_of
from relu_shallow.checks.flips import unlisted_neighbours
from relu_shallow.checks.radii import check_radii
from relu_shallow.checks.record import Check, level_claimed, settled
from relu_shallow.network import Network
from relu_shallow.regions.folder import find
from relu_shallow.shallow.stored import StoredNetwork

SAMPLE = 2_000  # regions whose surroundings are compared


def check_folder(
    stored: StoredNetwork,
    deep: Network,
    data: np.ndarray | None,
    left_out: list[str],
    points: int,
    rng: np.random.Generator,
    workers: int,
    progress: Callable[[int], None] | None,
    *,
    exact: bool,
    sample: int | None,
) -> Iterator[Check]:
    """What is checked of a list on the disk: every file whole, what compares points on a random sample of regions."""
    folder, domain, complete = stored.folder, stored.domain, stored.folder.complete
    every = exact and complete and sample is None
    found = check_files(stored, facets_too=every, workers=workers, progress=progress)
    yield Check("files whole", True, f"{len(folder.shards)} files match their hashes; {folder.unfinished} subtrees are "
                "still to be searched" + ("" if folder.share[1] == 1 else f" in part {folder.share[0]} of "
                f"{folder.share[1]}"))  # fmt: skip
    among = f"{found.twice} in two files" if complete else "files of a partial list may share patterns"
    yield Check("patterns unique", found.well_formed, f"{stored.regions} regions, {found.out_of_order} out of order "
                f"or listed twice in a file, {found.beyond} with bits beyond their neurons, {among}")  # fmt: skip
    yield level_claimed(stored.completeness)
    if not found.well_formed or not stored.regions:
        left_out.append("all else: the list of regions is " + ("empty" if found.well_formed else "not well formed"))
        return
    yield from settled(found.closure, f"{stored.regions} regions", facets_too=every, looked_for=stored.regions)
    if exact and sample is not None and complete:
        chosen = np.sort(rng.choice(stored.regions, sample, replace=False))
        closure = check_sample(stored, chosen, workers=workers)
        of = f"{sample} regions, a random sample of {stored.regions}"
        yield from list(settled(closure, of, facets_too=True, looked_for=sample))[1:]
    elif exact and not complete:
        left_out.append("none is missing, proved: the list is partial")
    table = sample_of(stored, SAMPLE, rng)
    of = f"of {table.regions} regions" + ("" if table.regions == stored.regions else f", a random choice of "
                                          f"{stored.regions}")  # fmt: skip
    for name, X in places_to_compare(domain, (table,), data, points, rng, near=points // 10):
        yield equal_at(stored, deep, name, X)
    ok, detail = check_radii(table, domain)
    yield Check("inscribed radii", ok, f"{detail} ({of})")
    if not complete:
        left_out.append("missing regions: the list is partial")
        return
    X = places.anywhere(domain, table, points, rng)
    missing, doubtful = missing_of(stored, X)
    yield Check("sampled points in listed regions", missing == 0, f"{missing} of {len(X)} random points have a pattern "
                f"that is not listed ({doubtful} on a border left out)")  # fmt: skip
    if not exact:
        missing, tried, candidates = unlisted_neighbours(table, domain, rng, lambda bits: find(folder, bits) >= 0)
        yield Check("no unlisted neighbour", missing == 0, f"{missing} of {tried} patterns one neuron away are regions "
                    f"and not listed (of {candidates} candidates {of})")  # fmt: skip
    expected, why = general_position_count(stored.network, domain)
    if expected is None:
        left_out.append(f"count of regions in general position: {why}")
    else:
        yield Check("count of regions in general position", stored.regions == expected,
                    f"{stored.regions} regions listed, {expected} expected of {why}")  # fmt: skip
    left_out.append("volumes, exact areas: the list is on the disk; convert to a file for these")
