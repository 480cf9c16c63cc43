"""A pass over rows: strata laid once, cut into tasks by size alone, run on threads, summed in a fixed order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.background import Background
from relu_shallow.explanation.sampling import FEWEST_PAIRS, Strata, Sums, lay_strata
from relu_shallow.explanation.sampling_kernel import draw, sum_up
from relu_shallow.explanation.sampling_walks import Game, gains_along

MOST_COVERED = 1 << 12  # pairs up to which every background row gets two; beyond, rows share strata
STRATA = 1 << 9  # of a first pass over a background of which rows share strata
AT_ONCE = 1 << 15  # hybrids of one task, fewer where a network is large:
WORK = 1 << 31  # multiplications of one task; so it takes about a second at most, and a deadline is kept
GAINS = 1 << 21  # numbers that one task holds
FIRST_PASS = 0.5  # the part of the time until a deadline that the first pass over all rows may take

Part = tuple[int, tuple[np.ndarray, ...]]  # hybrids evaluated, and the sums of `sampling_kernel.sum_up`


@dataclass(frozen=True, eq=False)
class Run:
    """What every pass of one estimate has in common; `group` is each feature's group or -1, `columns` counts both."""

    game: Game
    X: Float[np.ndarray, "rows inputs"]
    FX: Float[np.ndarray, "rows outputs"]
    group: Int[np.ndarray, " inputs"]
    columns: int
    seed: int
    deadline: float
    threads: int
    pool: ThreadPoolExecutor


def covering_pairs(background: Background) -> int:
    """The pairs of a first pass: two for every background row, or, where these are too many, for every stratum."""
    pairs = max(2 * len(background.X), FEWEST_PAIRS)
    return pairs if pairs <= MOST_COVERED else 2 * STRATA


def affordable_pairs(run: Run) -> int:
    """How many pairs each row may have in a first pass, by the time that two pairs take."""
    if not len(run.X):
        return FEWEST_PAIRS
    strata = lay_strata(run.game.background, run.game.FB, 1, 2)
    _task(run, 0, strata, 0)  # compiled, read from the disk
    start = time.monotonic()
    _task(run, 0, strata, 0)
    pair = (time.monotonic() - start) / 2
    budget = FIRST_PASS * max(run.deadline - start, 0.0) * run.threads / len(run.X)
    return max(FEWEST_PAIRS, int(min(budget / max(pair, time.get_clock_info("monotonic").resolution), 2**40)))


def run_pass(run: Run, rows: list[int], pairs: int, number: int) -> Iterator[Sums]:
    """The rows' sums from about `pairs` new pairs each, in order; those not finished by the deadline are left out."""
    background = run.game.background
    covered = 2 * len(background.X) <= max(pairs, FEWEST_PAIRS)
    strata = lay_strata(background, run.game.FB, len(background.X) if covered else pairs // 2, pairs)
    parts = _cut(strata, run)
    keys = [(r, k) for r in rows for k in range(len(parts))]
    step = max(1, _hybrids_at_once(run) // (2 * run.X.shape[1] * int(parts[0].pairs.sum())))
    waiting = [run.pool.submit(_tasks, run, keys[at : at + step], parts, number) for at in range(0, len(keys), step)]
    try:
        found: list[Part] = []
        for future in waiting:
            found += future.result()
            while len(found) >= len(parts):
                yield _sums(found[: len(parts)], strata)
                found = found[len(parts) :]
            if time.monotonic() > run.deadline:
                break
    finally:
        for future in waiting:
            future.cancel()


def _hybrids_at_once(run: Run) -> int:
    each = sum(layer.W.size if isinstance(layer.W, np.ndarray) else layer.W.nnz for layer in run.game.network.affine)
    return min(AT_ONCE, WORK // each)


def _cut(strata: Strata, run: Run) -> list[Strata]:
    """The strata in runs of bearable size."""
    inputs, outputs = run.X.shape[1], run.FX.shape[1]
    most = max(2, min(_hybrids_at_once(run) // (2 * inputs), GAINS // (inputs * outputs)))
    part = (np.cumsum(strata.pairs) - strata.pairs) // most
    edges = np.flatnonzero(np.diff(part, prepend=-1, append=part[-1] + 1))
    return [
        replace(strata, lo=strata.lo[a:b], hi=strata.hi[a:b], weight=strata.weight[a:b], pairs=strata.pairs[a:b],
                centre=strata.centre[a:b])
        for a, b in pairwise(edges)
    ]  # fmt: skip


def _tasks(run: Run, keys: list[tuple[int, int]], parts: list[Strata], number: int) -> list[Part]:
    """The parts of these rows and runs of strata, up to the deadline."""
    found: list[Part] = []
    for row, k in keys:
        if time.monotonic() > run.deadline:
            break
        found.append(_task(run, row, parts[k], _key(run, row, number, k)))
    return found


def _key(run: Run, row: int, number: int, part: int) -> int:
    """64 bits from the seed, the row's own numbers, the pass and the part: no row's draws hang on the other rows."""
    text = np.array([run.seed, number, part], dtype=np.int64).tobytes() + run.X[row].tobytes()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def _task(run: Run, row: int, strata: Strata, key: int) -> Part:
    game, x, fx = run.game, run.X[row], run.FX[row]
    n, m, P = len(x), len(fx), int(strata.pairs.sum())
    bs, d, orders = np.empty(P, np.int64), np.empty(P, np.int64), np.empty((P, n), np.int64)
    draw(np.uint64(key), strata.members, strata.cum, strata.lo, strata.hi, strata.pairs, x, game.background.X,
         bs, d, orders)  # fmt: skip
    gains = gains_along(game, x, fx, (bs, d, orders))
    control = game.FB[bs] - np.repeat(strata.centre, strata.pairs, axis=0)
    sums = (*(np.zeros((m, run.columns)) for _ in range(4)), np.zeros(m), np.zeros(m))
    sum_up(gains, control, strata.pairs, strata.weight, run.group, run.columns, *sums)
    return 2 * int(np.maximum(d - 1, 0).sum()), sums


def _sums(parts: list[Part], strata: Strata) -> Sums:
    """The parts' sums, less the regression on the control (see `sampling.py`)."""
    phi, var, cross, spread, control, control_var = (
        np.sum([sums[i] for _, sums in parts], axis=0) for i in range(6)
    )  # fmt: skip
    free = int((strata.pairs - 1).sum())
    drawn = control_var > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(drawn[:, None], cross / control_var[:, None], 0.0)
    left = np.maximum(var - slope * cross, 0.0) * (free / max(free - 1, 1) if drawn.any() else 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(var > 0, left / var, 0.0)
    return Sums(
        int(strata.pairs.sum()), phi - slope * control[:, None], left, spread * kept**2, free - bool(drawn.any()),
        sum(hybrids for hybrids, _ in parts),
    )  # fmt: skip
