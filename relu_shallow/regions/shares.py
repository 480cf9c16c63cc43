"""Parts of a search for machines that know nothing of each other: each works out the same subtrees and takes its own.

The tree is opened, always at its shallowest node, until there are many subtrees for each part; they are dealt out in
that order. What is found on the way belongs to the first part. Certified decisions make the tree the same everywhere;
where a machine's arithmetic differs nevertheless, merging the parts notices (regions/folder.py, `open_names`).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count

from relu_shallow.errors import UsageError
from relu_shallow.regions.search import Search
from relu_shallow.regions.shard import name_of
from relu_shallow.regions.task import Allowance, Node, Result, Task, search_task

PIECES, FEWEST = 64, 4  # subtrees for each part: sizes differ widely, and their sums less so
MOST = 1 << 14  # subtrees in all, beyond the fewest: every part has to open them


@dataclass(frozen=True, eq=False)
class Share:
    """One part of a search: its tasks, what was found in making it, and the names that say so in its folder."""

    tasks: tuple[Task, ...]
    found: tuple[tuple[Task, Result], ...]
    start: tuple[str, ...]
    elsewhere: tuple[str, ...]


def share_of(search: Search, share: tuple[int, int]) -> Share:
    """Part I of K; raises UsageError unless 1 <= I <= K."""
    part, parts = share
    if not 1 <= part <= parts:
        raise UsageError(f"a part is I/K with I from 1 to K, got {part}/{parts}")
    whole = names_of(search.roots)
    if parts == 1:
        return Share(search.roots, (), whole, ())
    pieces, found = _opened(search, parts * max(FEWEST, min(PIECES, MOST // parts)))
    own = pieces[part - 1 :: parts]
    if part > 1:
        return Share(own, (), names_of(own), ())
    others = [piece for number, piece in enumerate(pieces) if number % parts]
    return Share(own, tuple(found), whole, names_of(others))


def names_of(tasks: tuple[Task, ...] | list[Task]) -> tuple[str, ...]:
    """The names of all subtrees of some tasks."""
    return tuple(name_of(task.chart, node) for task in tasks for node in task.nodes)


def _opened(search: Search, pieces: int) -> tuple[tuple[Task, ...], list[tuple[Task, Result]]]:
    """At least so many subtrees, shallowest first, unless the whole search came to an end on the way; and the way."""
    order = count()
    heap: list[tuple[int, str, int, int, Node]] = []

    def push(chart: int, node: Node) -> None:
        heapq.heappush(heap, (node.decided, name_of(chart, node), next(order), chart, node))

    for root in search.roots:
        for node in root.nodes:
            push(root.chart, node)
    found = []
    while heap and len(heap) < pieces:
        _, _, _, chart, node = heapq.heappop(heap)
        task = Task(chart, (node,))
        result = search_task(search.problems[chart], task, Allowance(1, float("inf")))
        found.append((task, result))
        for left in result.rest:
            push(chart, left)
    return tuple(Task(chart, (node,)) for _, _, _, chart, node in sorted(heap)), found
