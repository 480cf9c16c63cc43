"""The results file: one JSON object a line, appended as each run ends, so that no finished run is done again.

A line that a stopped process left half written is left out when reading, and the next result starts on a line of its
own. Results of `--quick` are kept apart by their key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Key = tuple[str, str, int, int, bool]
Result = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The finished runs by key, and how many lines were no results."""

    found: dict[Key, Result]
    torn: int


def key_of(result: Result) -> Key:
    """(task, way, k, seed, quick)."""
    return result["task"], result["way"], result["k"], result["seed"], result["quick"]


def read(path: Path) -> Results:
    """All results of a file, which need not be there; of two with one key the first counts."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    found: dict[Key, Result] = {}
    torn = 0
    for line in filter(None, lines):
        try:
            result = json.loads(line)
            found.setdefault(key_of(result), result)
        except (ValueError, KeyError, TypeError):
            torn += 1
    return Results(found, torn)


def append(path: Path, result: Result) -> None:
    """Writes one result at the end, in one piece, and makes sure that it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        start = b"\n" if size and file.read(1) != b"\n" else b""
        file.write(start + json.dumps(result, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def missing(wanted: Iterable[Key], results: Results) -> list[Key]:
    """The keys that have no result yet, in order."""
    return [key for key in wanted if key not in results.found]
