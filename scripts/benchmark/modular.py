"""Networks in 1, 2, 4, 8 and 16 modules: all regions in one list against a list for each module, and exact values.

The networks have the same widths and random weights; those between modules are zero. Their first layers are dense, so
every module takes every input.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmark.report import seconds
from relu_shallow.conversion import convert
from relu_shallow.domain import Box
from relu_shallow.explanation import Background, explain_rows
from relu_shallow.network import Network, from_layers
from relu_shallow.shallow.table import ShallowNetwork

MODULES = (1, 2, 4, 8, 16)
LISTED, EXPLAINED = (7, 32, 32, 2), (16, 32, 32, 2)  # widths of the networks that are converted, and explained
QUICK_WIDTHS = (3, 16, 16, 2)
LIMIT, QUICK_LIMIT = 120.0, 5.0
ROWS, POINTS = 20, 20

ABOUT = """\
*Joint* is one list of all regions of the network, *modular* a list for each module (`convert --modular`), both complete
and certified unless marked; two threads where the machine has them. Modularity does not lower the joint count: it makes
the description additive. *At most* is the product of the modules' counts, which no joint list exceeds. Exact values are
those of another network of the same hidden layers with 16 inputs, `explain --method exact`, 20 rows against 20
background rows: one plain enumeration would evaluate 2^16 hybrids a pair."""


def section(quick: bool, rounds: int, say: Callable[[str], None]) -> str:
    """The part as Markdown: a line for each number of modules, medians of the rounds."""
    widths = QUICK_WIDTHS if quick else LISTED
    counts = [k for k in MODULES if k <= widths[1] // 2]
    lines = [_line(k, quick, 1 if quick else rounds, say) for k in counts]
    head = ["modules", "joint regions", "time", "modular regions", "at most", "time", "half-spaces, joint", "modular",
            "exact values"]  # fmt: skip
    shape = "-".join(map(str, widths))
    return f"## Modules\n\n{ABOUT}\n\n**{shape}, random, on the box [-1, 1]^{widths[0]}**\n\n{_table([head, *lines])}"


def _table(lines: list[list[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], f"|{'--:|' * len(lines[0])}", *rows[1:]])


def block_network(widths: tuple[int, ...], modules: int, seed: int = 0) -> Network:
    """A random network whose matrices between hidden layers have so many blocks on their diagonals, of equal sizes."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for depth, (fed, wide) in enumerate(pairwise(widths)):
        W = rng.normal(size=(wide, fed))
        if 0 < depth < len(widths) - 2:
            W *= np.arange(wide)[:, None] * modules // wide == np.arange(fed) * modules // fed
        layers.append((W / np.sqrt(np.count_nonzero(W) / wide), rng.normal(size=wide)))
    return from_layers(layers)


def _line(modules: int, quick: bool, rounds: int, say: Callable[[str], None]) -> list[str]:
    say(f"{modules} modules")
    network = block_network(QUICK_WIDTHS if quick else LISTED, modules)
    convert(network, Box(-1, 1), max_regions=modules, modular=True)  # compiled
    limit = QUICK_LIMIT if quick else LIMIT
    joint, joint_time = _timed(lambda: convert(network, Box(-1, 1), time_limit=limit), rounds)
    apart, apart_time = _timed(lambda: convert(network, Box(-1, 1), time_limit=limit, modular=True), rounds)
    most = math.prod(part.regions for part in apart.tables)
    wide = block_network(EXPLAINED, modules, seed=1)
    rng = np.random.default_rng(2)
    X, background = rng.normal(size=(ROWS, wide.inputs)), Background(rng.normal(size=(POINTS, wide.inputs)),
                                                                     np.ones(POINTS))  # fmt: skip
    explain_rows(wide, X[:1], background=background, method="exact")
    found, exact_time = _timed(lambda: explain_rows(wide, X, background=background, method="exact"), rounds)
    assert set(found.status) == {"exact"}
    return [
        str(modules), _listed(joint), seconds(joint_time), _listed(apart), f"{most:.3g}", seconds(apart_time),
        f"{joint.half_spaces:,}", f"{apart.half_spaces:,}", seconds(exact_time),
    ]  # fmt: skip


def _listed(shallow: ShallowNetwork) -> str:
    known = shallow.completeness
    mark = "" if known.level == "certified" else " (all)" if known.complete else " (stopped)"
    return f"{shallow.regions:,}{mark}"


def _timed(run: Callable[[], Any], rounds: int) -> tuple[Any, float]:
    """What a run gives, and the median of its times."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - began)
    return found, statistics.median(times)
