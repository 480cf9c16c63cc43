"""Makes the proof that no region is missing: a walk through every chart's tree that justifies each branch left out.

The walk is the checker's own (check.py), so every step is checked in exact arithmetic as it is made; what is decided
here is only which step to take. A list of the leaves of a chart gives its tree; a branch without leaves is justified by
the box around the cell, else by the dual solution of a linear program in floats, whose rounding the box absorbs, else
by that of the exact simplex.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool

from relu_shallow.domain import Box, Domain, fit
from relu_shallow.errors import OutputError
from relu_shallow.network import Network
from relu_shallow.proof import check
from relu_shallow.proof.cell import Cell, Corner, Terms
from relu_shallow.regions.charts import Chart, charts_of
from relu_shallow.regions.kernel import COUNTERS
from relu_shallow.regions.partition import sort_order, unpack
from relu_shallow.regions.task import Node, root, run
from relu_shallow.regions.task import lay_out as lay_out_search
from relu_shallow.shallow.layout import lay_out
from relu_shallow.shallow.table import ShallowNetwork, is_sum

BATCH = 1 << 16  # regions that the search lists at a time
MOST_ROWS = (1 << 16) - 1  # in a cell: their numbers are kept in 16 bits


def with_proof(shallow: ShallowNetwork, progress: Callable[[int], None] | None = None) -> ShallowNetwork:
    """The same network with a proof of its complete list; `progress` is told the leaves of the trees that are done.

    Raises OutputError where the list is partial, or cannot be proved right.
    """
    if not shallow.completeness.complete or is_sum(shallow):
        raise OutputError("only a complete list in one table can be proved complete")
    network, domain = shallow.network, fit(shallow.domain, shallow.network.inputs)
    charts = charts_of(network, domain, every_input=True)  # as the checker makes them
    kept: dict[str, np.ndarray] = {}
    if not isinstance(domain, Box):
        kept = {"proof.center": charts[0].v, "proof.scale": charts[0].M.diagonal().copy()}
    arrays, about = lay_out(replace(shallow, proof=kept))

    def values(name: str) -> Iterator[Any]:
        return iter(arrays[name].ravel().tolist()) if name in arrays else iter(())

    leaves = (chart_leaves(shallow, domain, chart, only=len(charts) == 1) for chart in charts)
    prover = Prover(network, leaves, progress or (lambda done: None))  # noqa: ARG005
    try:
        check.check(about, values, prover, prover.leaf)
    except check.Unproved as error:
        raise OutputError(f"the list of regions cannot be proved right: nothing shows {error}") from error
    return replace(shallow, proof=kept | prover.arrays())


def chart_leaves(
    shallow: ShallowNetwork, domain: Domain, chart: Chart, *, only: bool
) -> Bool[np.ndarray, "leaves neurons"]:
    """The patterns, sorted, of the regions that meet a chart; all of them where it is the only one."""
    network, bits = shallow.network, shallow.table.bits
    if only or network.neurons == 0 or chart.dimension == 0:
        return unpack(bits, network.neurons)
    problem = lay_out_search(network, domain, chart)
    start = root(problem, chart.dimension)
    found = [bits[:0]]
    nodes: tuple[Node, ...] = () if start is None else (start,)
    control, counters = np.zeros(1, np.int64), np.zeros(COUNTERS, np.int64)
    while nodes:
        batches, nodes = run(problem, nodes, BATCH, control, counters)
        found += [batch.bits for batch in batches]
    together = np.concatenate(found)
    return unpack(together[sort_order(together)], network.neurons)


class Prover:
    """The steps of a proof, worked out when the walk asks for them, and kept."""

    def __init__(self, network: Network, charts: Iterator[np.ndarray], tell: Callable[[int], None]) -> None:
        self.network, self.charts, self.tell = network, charts, tell
        self.codes, self.counts, self.rows, self.weights = bytearray(), array("H"), array("H"), array("f")
        self.exact: list[str] = []
        self.cell: Cell | None = None  # None before the first chart and between charts
        self.leaves, self.low, self.high = np.zeros((0, 0), bool), 0, 0  # the chart's, and those below the walk's node
        self.waiting: list[tuple[int, int, Corner | None]] = []  # leaves below active branches left for later

    def arrays(self) -> dict[str, np.ndarray]:
        """What is kept, by name."""
        return {
            "proof.codes": np.frombuffer(bytes(self.codes), np.uint8),
            "proof.counts": np.array(self.counts, np.uint16),
            "proof.rows": np.array(self.rows, np.uint16),
            "proof.weights": np.array(self.weights, np.float32),
            "proof.exact": np.frombuffer(" ".join(self.exact).encode(), np.uint8),
        }

    def leaf(self, done: int) -> None:
        """The walk has come to a leaf, and goes on from the last node left behind."""
        self.tell(done)
        if self.waiting and self.cell:
            self.low, self.high, vertex = self.waiting.pop()
            self.cell.move(vertex)
        else:
            self.cell = None

    def __call__(self, entered: check.Entered, q: int, row: Any, rows: list) -> Any:
        """The step at a neuron of the walk, or (row None) at the entry of a layer."""
        cell = self.cell = self.cell or self._next_chart(len(entered.box), len(rows))
        cell.hold(rows)
        if row is None:
            lists = cell.bounds(entered.rows[:-1], entered.box)
            step = check.BOUNDS if lists else check.INACTIVE
        else:
            step, lists = self._step(cell, entered.box, q, row)
        self.codes.append(step)
        for terms in lists:
            self.counts.append(len(terms))
            for weight, index in terms:
                self.rows.append(index)
                self.weights.append(weight if isinstance(weight, float) else np.nan)
                if not isinstance(weight, float):
                    self.exact.append(written(weight))
        return step, lists

    def _next_chart(self, d: int, rows: int) -> Cell:
        if rows + self.network.neurons > MOST_ROWS:
            raise OutputError(f"a proof is kept for at most {MOST_ROWS:,} neurons and half-spaces of the domain")
        self.leaves = next(self.charts)
        self.low, self.high = 0, len(self.leaves)
        return Cell(d, self.network, rows)

    def _step(self, cell: Cell, box: list[Any], q: int, row: list[int]) -> tuple[int, list[Terms]]:
        if self.low == self.high:  # only at the root: the domain has no interior in this chart
            self.cell = None
            return check.EMPTY, [cell.contradiction()]
        middle = self.low + int(np.searchsorted(self.leaves[self.low : self.high, q], True))
        if self.low < middle < self.high:
            below, above = cell.part(row)
            self.waiting.append((middle, self.high, above))
            self.high = middle
            cell.move(below)
            return check.BOTH, []
        active = middle == self.low
        away = [-v for v in row] if active else row
        if check.highest([(1, away)], box)[0] <= 0:
            return (check.ACTIVE if active else check.INACTIVE), []
        return (check.ACTIVE_BY if active else check.INACTIVE_BY), [cell.refute(away, box)]


def written(weight: Fraction) -> str:
    """A fraction as the checker reads it: in sixteens, of which Python reads any number."""
    return f"{weight.numerator:x}/{weight.denominator:x}"
