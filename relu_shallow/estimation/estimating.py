"""From a model and a domain to the estimated number of its regions, and what it would cost to list them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.compilation import ensure_compiled
from relu_shallow.conversion import check_request
from relu_shallow.domain import Box, Domain, WholeSpace
from relu_shallow.estimation.cost import Cost, cost_of, merging_seconds
from relu_shallow.estimation.drawing import Forest, Map, draw, forest
from relu_shallow.estimation.overlap import counted_once
from relu_shallow.estimation.record import Estimate
from relu_shallow.load import load_network
from relu_shallow.machine import usable_cores
from relu_shallow.network import Network
from relu_shallow.regions.charts import charts_of
from relu_shallow.regions.partition import Partition
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.task import lay_out, listed_bytes, root
from relu_shallow.slices import Subspace, on_slice

TIME_LIMIT = 10.0
LISTING = 0.2  # the part of the time that goes into listing regions as a conversion would
PILOTS = (4, 8)  # populations that teach the guesses and are forgotten
REPLICATES = 12
SMALLEST, LARGEST = 4, 4096  # populations
FEWEST = 5  # replicates that are drawn in any case; the others only within the time
CONFIDENCE = 0.95
MARGIN = 1.5  # measured: what Student's interval lacks because replicates have heavy tails (docs/estimate.md)


def estimate(
    model: Any,
    domain: Domain | Subspace = WholeSpace(),  # noqa: B008 (immutable)
    *,
    time_limit: float = TIME_LIMIT,
    workers: int | None = None,
    seed: int = 0,
    trust: Sequence[str] = (),
    announce: Callable[[str], None] = lambda message: None,  # noqa: ARG005
) -> Estimate:
    """The number of linear regions of a model on a domain, with a 95 % confidence interval, in about `time_limit` s.

    A fifth of the time lists regions as `convert` does; where that comes to an end, the number is exact. Otherwise
    populations of cells descend the search's tree at random (relu_shallow/estimation/drawing.py), each an unbiased
    estimate; the interval is Student's, on the scale of logarithms. `seed` is the chance's; how far the time goes is
    chance too. Raises ModelError, DomainError, or UsageError for a limit that is none.
    """
    check_request(domain, {"workers": workers}, time_limit)
    network = load_network(model, trust=trust)
    network, domain = on_slice(network, domain)
    ensure_compiled(announce, bounded=isinstance(domain, Box))
    workers = usable_cores() if workers is None else workers
    began = time.perf_counter()
    before = time.process_time()
    listed = enumerate_regions(network, domain, workers=workers, time_limit=LISTING * time_limit)
    cost = cost_of(listed, time.process_time() - before)
    if listed.complete:
        return _exactly(listed, cost, workers, time.perf_counter() - began)
    return _drawn(network, domain, listed, cost, workers, seed, began, time_limit)


def _exactly(listed: Partition, cost: Cost, workers: int, seconds: float) -> Estimate:
    number = float(listed.regions)
    return Estimate(number, number, number, True, listed.regions, 0, workers, cost.seconds * number,
                    cost.bytes * number, listed_bytes(listed.network) * number, seconds)  # fmt: skip


def _drawn(
    network: Network, domain: Domain, listed: Partition, cost: Cost, workers: int, seed: int, began: float, limit: float
) -> Estimate:
    """An estimate from replicates whose population is chosen to fill the time."""
    trees = trees_of(network, domain, seed)
    rng = np.random.default_rng(seed)
    with ThreadPoolExecutor(workers) as pool:
        for population in PILOTS:
            start = time.perf_counter()
            draw(trees, population, rng, pool.map)
            trees.learn()
        now = time.perf_counter()
        population = _filling(PILOTS[-1], now - start, began + limit - now, REPLICATES)
        numbers, rates, exact = replicates(trees, population, REPLICATES, rng, pool.map, deadline=began + limit)
    mean, low, high = interval(numbers)
    low, high = max(low, float(listed.regions)), max(high, float(listed.regions))
    mean = max(mean, low)
    if exact:
        low = high = mean
    merging = merging_seconds(listed) if len(trees.problems) > 1 else 0.0
    known = np.isfinite(rates)
    rate = cost.seconds if not known.any() else max(float(rates[known].mean()) + cost.building + merging, 0.0)
    return Estimate(mean, low, high, exact, listed.regions, len(numbers), workers, rate * mean,
                    cost.bytes * mean, listed_bytes(network) * mean, time.perf_counter() - began)  # fmt: skip


def trees_of(network: Network, domain: Domain, seed: int) -> Forest:
    """The unopened trees of all charts that meet the domain."""
    problems = [lay_out(network, domain, chart) for chart in charts_of(network, domain)]
    nodes = [root(problem, problem.source.dimension) for problem in problems]
    met = [(problem, node) for problem, node in zip(problems, nodes, strict=True) if node is not None]
    return forest([problem for problem, _ in met], [node for _, node in met], seed)


def replicates(
    trees: Forest,
    population: int,
    most: int,
    rng: np.random.Generator,
    each: Map,
    deadline: float = np.inf,
) -> tuple[Float[np.ndarray, " drawn"], Float[np.ndarray, " drawn"], bool]:
    """Estimates, each unbiased given those before, from which its guesses come; their rates; whether one is exact.

    With a deadline (of perf_counter) the population follows what the one before took, so as to fill the time.
    """
    numbers: list[float] = []
    rates: list[float] = []
    while len(numbers) < most and (len(numbers) < FEWEST or time.perf_counter() < deadline):
        start = time.perf_counter()
        drawing = draw(trees, population, rng, each)
        if drawing.exact and len(trees.problems) == 1:
            return np.array([drawing.regions]), np.array([drawing.rate]), True
        numbers.append(counted_once(trees, drawing, rng))
        rates.append(drawing.rate * drawing.regions / numbers[-1])  # what charts find again takes time again
        trees.learn()
        if np.isfinite(deadline) and len(numbers) < most:
            now = time.perf_counter()
            population = _filling(population, now - start, deadline - now, most - len(numbers))
    return np.array(numbers), np.array(rates), False


def _filling(population: int, spent: float, left: float, times: int) -> int:
    """The population that so many drawings may have in the time left; at most double the last one, which cost `spent`.

    Opened cells are remembered, so drawings become cheaper, and the population grows.
    """
    return int(np.clip(population * min(max(left, 0.0) / times / spent, 2.0), SMALLEST, LARGEST))


def interval(numbers: Float[np.ndarray, " drawn"]) -> tuple[float, float, float]:
    """(mean, low, high): Student's interval of the mean, laid around its logarithm.

    The replicates are skewed to the right, so a mean that is too low comes with too small a spread. On the scale of
    logarithms (by the delta method) the interval reaches further up. That is not enough where a rare replicate holds
    much of the number, so it is widened by a measured margin; docs/estimate.md shows how often it then covers.
    """
    from scipy.special import stdtrit

    mean = float(numbers.mean())
    if len(numbers) < 2:
        return mean, mean, mean
    error = float(numbers.std(ddof=1)) / np.sqrt(len(numbers)) / mean
    reach = np.exp(MARGIN * stdtrit(len(numbers) - 1, (1 + CONFIDENCE) / 2) * error)
    return mean, mean / reach, mean * reach
