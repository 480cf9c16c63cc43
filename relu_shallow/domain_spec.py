"""Domains as the command line spells them: all, box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.data import match_columns, read_table
from relu_shallow.domain import Box, Domain, WholeSpace, ball, bounding_box, fit
from relu_shallow.errors import DomainError
from relu_shallow.naming import names_given
from relu_shallow.network import Network
from relu_shallow.vnnlib import read_input_box

Found = tuple[Domain, tuple[str, ...]]
_NUMBERS = re.compile(r"\s*([-+]?[\d.][^,\s]*|[-+]?inf\w*|nan)\s*,\s*([-+]?[\d.][^,\s]*|[-+]?inf\w*|nan)\s*", re.I)


def parse_domain(spec: str, network: Network, *, read_options: Mapping[str, Any] | None = None) -> Found:
    """The domain that a specification describes for a network, and the feature names its data file gives (or ()).

    `read_options` are those of `relu_shallow.data.read_table`. Raises DomainError, or DataError for the data file.
    """
    kind, colon, rest = spec.partition(":")
    if kind not in KINDS or bool(colon) != (kind != "all") or (colon and not rest):
        raise DomainError(f"the domain {spec!r} is not understood; write one of {', '.join(FORMS)}")
    domain, names = KINDS[kind](rest, network, dict(read_options or {}))
    return fit(domain, network.inputs), names


def _whole(_rest: str, _network: Network, _options: dict[str, Any]) -> Found:
    return WholeSpace(), ()


def _box(rest: str, _network: Network, _options: dict[str, Any]) -> Found:
    numbers = _NUMBERS.fullmatch(rest)
    if not numbers:
        return _box_file(Path(rest)), ()
    return Box(_number(numbers[1], "the lower bound"), _number(numbers[2], "the upper bound")), ()


def _box_file(path: Path) -> Box:
    """The box of a CSV file with a row per input and the columns lo and hi."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DomainError(
            f"the box {str(path)!r} is neither two numbers LO,HI nor a file that can be read: {error}"
        ) from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if not {"lo", "hi"} <= set(names) or len(rows) < 2:
        raise DomainError(f"the box file {path} needs a header with the columns lo and hi, and a row per input")
    columns = names.index("lo"), names.index("hi")
    bounds = np.empty((len(rows) - 1, 2))
    for line, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise DomainError(f"row {line} of the box file {path} has {len(row)} values, not {len(names)}")
        bounds[line] = [_number(row[column], f"row {line} of the box file {path}") for column in columns]
    return Box(bounds[:, 0], bounds[:, 1])


def _data(rest: str, network: Network, options: dict[str, Any]) -> Found:
    X, names = _read(rest, network, options)
    return bounding_box(X), names


def _ball(rest: str, network: Network, options: dict[str, Any]) -> Found:
    radius, at, place = rest.partition("@")
    path, colon, row = place.rpartition(":")
    if not (at and colon and path and row.isdecimal()):
        raise DomainError(f"the ball {rest!r} is not of the form EPS@FILE:ROW, with rows counted from 0")
    X, names = _read(path, network, options)
    if int(row) >= len(X):
        raise DomainError(f"there is no row {row} in {path}: its {len(X)} rows are counted from 0")
    return ball(X[int(row)], _number(radius, "the ball's radius")), names


def _vnnlib(rest: str, _network: Network, _options: dict[str, Any]) -> Found:
    return read_input_box(rest), ()


def _read(path: str, network: Network, options: dict[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The data's rows in the network's order of inputs, and the names that its header gives a nameless network."""
    table = read_table(path, **options)
    return match_columns(table, network.feature_names), names_given(table, network)


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DomainError(f"{what} is {text.strip()!r}, not a number") from error


KINDS: dict[str, Callable[[str, Network, dict[str, Any]], Found]] = {
    "all": _whole,
    "box": _box,
    "data": _data,
    "vnnlib": _vnnlib,
    "ball": _ball,
}
FORMS = ("all", "box:LO,HI", "box:FILE", "data:FILE", "vnnlib:FILE", "ball:EPS@FILE:ROW")
