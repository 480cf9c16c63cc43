"""Writing a folder of regions: every finished task goes to a file at once, and the files are the journal.

A run that was interrupted, or killed, goes on from what the files say: no region is lost and none is found twice.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from relu_shallow.archive import write_archive
from relu_shallow.atomic import locked, set_usual_mode
from relu_shallow.errors import OutputError, UsageError
from relu_shallow.regions.folder import (
    ABOUT,
    SHARDS,
    About,
    lay_out_about,
    open_names,
    read_about,
    read_shards,
)
from relu_shallow.regions.search import Search
from relu_shallow.regions.shard import load_nodes, name_of, write_shard
from relu_shallow.regions.task import Result, Task, joined, regions_within

OURS = ("about", "shard-*", "region-*", "merged")  # what files are called here, and hidden while they are written
FULL, ROOM = 1 << 15, 16e6  # regions, and bytes, that make a file worth writing
OLD = 5.0  # seconds after which a result is written, with few others too


@contextmanager
def writing(path: Path, about: About, *, resume: bool, found: Sequence[tuple[Task, Result]] = ()) -> Iterator[None]:
    """A folder to write into, made new or gone on with, that nobody else writes into meanwhile.

    A new one begins with what was `found` before it, and goes where an error leaves it with nothing. Raises OutputError
    where the folder cannot be written or another process does, UsageError where it is there and should not be, or is
    that of another search.
    """
    begun = resume and (path / ABOUT).is_file()
    if begun:
        _check_same(path, read_about(path), about)
    else:
        _make(path, about, found)
    with locked(path / ABOUT):
        for name in OURS:
            for abandoned in path.glob(f".{name}.*.safetensors"):  # of a run that was killed while it wrote
                abandoned.unlink(missing_ok=True)
        try:
            yield
        except BaseException:
            if not begun and [file.name for file in path.iterdir()] == [ABOUT]:
                (path / ABOUT).unlink()
                path.rmdir()
            raise


def _make(path: Path, about: About, found: Sequence[tuple[Task, Result]]) -> None:
    """A new folder, made beside its place and moved there whole."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        how = "go on with it by --resume, or remove it" if (path / ABOUT).is_file() else "name another folder"
        raise UsageError(f"{path} is there already: {how}")
    beside = None
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", dir=path.parent))
        recorder = Recorder(beside, about)
        for task, result in found:
            recorder.put(task, result)
        recorder.flush()
        write_archive(beside / ABOUT, *lay_out_about(about))
        set_usual_mode(beside, 0o777)
        if path.is_dir():
            path.rmdir()
        beside.rename(path)
    except OSError as error:
        raise OutputError(f"the folder {path} cannot be made: {error.strerror or error}") from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _check_same(path: Path, stored: About, about: About) -> None:
    if stored.key != about.key:
        raise UsageError(f"{path} holds regions of another network or domain, or was begun with other feature names or "
                         "another choice of --certify; give what it was begun with, or another folder")  # fmt: skip
    if stored.share != about.share:
        of = "the whole" if stored.share[1] == 1 else f"part {stored.share[0]} of {stored.share[1]}"
        raise UsageError(f"{path} was begun as {of}; go on with it as that")
    if (set(stored.start), set(stored.elsewhere)) != (set(about.start), set(about.elsewhere)):
        raise UsageError(
            f"{path} was begun where arithmetic differs so much that the parts do not fit; begin anew here"
        )


def open_tasks(path: Path, search: Search, about: About, own: Sequence[Task]) -> list[Task]:
    """What is still to be searched of some tasks and of what they left, in a task for each of them and each file."""
    shards = read_shards(path, about)
    wanted = set(open_names(about, shards))
    tasks = [_wanted(task, wanted) for task in own]
    for shard in shards:
        if wanted.intersection(shard.rest):
            source = search.problems[shard.chart].source
            rows = 1 + 2 * source.dimension + len(source.b)
            nodes = load_nodes(shard, search.network.neurons, source.dimension, rows)
            tasks.append(_wanted(Task(shard.chart, tuple(nodes)), wanted))
    return [task for task in tasks if task.nodes]


def _wanted(task: Task, names: set[str]) -> Task:
    """The task without the subtrees that are not named; what it keeps is taken from the names."""
    kept = [node for node in task.nodes if name_of(task.chart, node) in names]
    names.difference_update(name_of(task.chart, node) for node in kept)
    return Task(task.chart, tuple(kept))


class Recorder:
    """Gathers the results of tasks and writes them to files of a folder, each when it is worth one or has waited."""

    def __init__(self, path: Path, about: About) -> None:
        self._path, self._network, self._key = path, about.network, about.key
        numbers = [int(found[1]) for file in path.glob(SHARDS) if (found := re.fullmatch(r"shard-(\d+)", file.stem))]
        self._number = max(numbers, default=-1) + 1
        self._full = min(FULL, regions_within(about.network, ROOM))
        self._waiting: dict[int, list[tuple[Task, Result]]] = {}
        self._since: dict[int, float] = {}

    def put(self, task: Task, result: Result) -> int:
        """Takes a result; returns how many regions it adds."""
        waiting = self._waiting.setdefault(task.chart, [])
        since = self._since.setdefault(task.chart, time.monotonic())
        waiting.append((task, result))
        regions = sum(len(found.found.bits) for _, found in waiting)
        if regions >= self._full or time.monotonic() - since > OLD:
            self._write(task.chart)
        return len(result.found.bits)

    def flush(self) -> None:
        """Writes whatever waits."""
        for chart in list(self._waiting):
            self._write(chart)

    def _write(self, chart: int) -> None:
        waiting = self._waiting.pop(chart)
        del self._since[chart]
        nodes = {name_of(chart, node): node for _, result in waiting for node in result.rest}
        given = Counter(name_of(chart, node) for task, _ in waiting for node in task.nodes)
        left = Counter(name_of(chart, node) for _, result in waiting for node in result.rest)
        rest = [nodes[name] for name in left - given]  # what one task left and the next took stays between them
        batches = [result.found for _, result in waiting if len(result.found.bits)]
        found = joined(sorted(batches, key=lambda batch: batch.bits[0].tobytes()), self._network)
        counters = np.sum([result.counters for _, result in waiting], axis=0)
        seconds = float(sum(result.seconds for _, result in waiting))
        write_shard(self._path / f"shard-{self._number:06d}.safetensors", self._key, chart, found,
                    sorted(given - left), rest, counters, seconds)  # fmt: skip
        self._number += 1
