"""Domains as the command line spells them: all, box:LO,HI, data:FILE and the like, and slices through rows of data."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.data import DataTable, columns_by_name, match_columns, position_note, read_table
from relu_shallow.domain import Box, Domain, WholeSpace, ball, bounding_box, fit
from relu_shallow.errors import DomainError
from relu_shallow.naming import nameless, names_given
from relu_shallow.network import Network
from relu_shallow.slices import Subspace, line, plane
from relu_shallow.vnnlib import read_input_box

Found = tuple[Domain | Subspace, tuple[str, ...]]
_NUMBERS = re.compile(r"\s*([-+]?[\d.][^,\s]*|[-+]?inf\w*|nan)\s*,\s*([-+]?[\d.][^,\s]*|[-+]?inf\w*|nan)\s*", re.I)


def parse_domain(
    spec: str,
    network: Network,
    *,
    read_options: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Found:
    """The domain that a specification describes for a network, and the feature names its data file gives (or ()).

    `read_options` are those of `relu_shallow.data.read_table`; `announce` is called with a sentence where columns of
    other names are taken by position. Raises DomainError, or DataError for the data file.
    """
    kind, colon, rest = spec.partition(":")
    if kind not in KINDS or bool(colon) != (kind != "all") or (colon and not rest):
        raise DomainError(f"the domain {spec!r} is not understood; write one of {', '.join(FORMS)}")
    domain, names = KINDS[kind](rest, network, {"announce": announce, **(read_options or {})})
    return domain if isinstance(domain, Subspace) else fit(domain, network.inputs), names


def file_of(spec: str) -> Path | None:
    """The file that a specification may name, whether it is there or not."""
    kind, _, rest = spec.partition(":")
    if kind == "ball":
        rest = rest.partition("@")[2].rpartition(":")[0]
    elif kind in SLICES:
        rest = _slice_parts(kind, rest)[0]
    return Path(rest) if rest else None


def _whole(_rest: str, _network: Network, _options: dict[str, Any]) -> Found:
    return WholeSpace(), ()


def _box(rest: str, network: Network, _options: dict[str, Any]) -> Found:
    numbers = _NUMBERS.fullmatch(rest)
    if not numbers:
        return _box_file(Path(rest), network)
    return Box(_number(numbers[1], "the lower bound"), _number(numbers[2], "the upper bound")), ()


def _box_file(path: Path, network: Network) -> Found:
    """The box of a CSV file with a row per input, the columns lo and hi and perhaps one of the inputs' names."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error) as error:  # the second: no UTF-8, or a null character in the path
        reason = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        raise DomainError(
            f"the box {str(path)!r} is neither two numbers LO,HI nor a file that can be read: {reason}"
        ) from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if header.count("lo") != 1 or header.count("hi") != 1 or len(rows) < 2:
        raise DomainError(f"the box file {path} needs a header with the columns lo and hi, and a row per input")
    others = [column for column, name in enumerate(header) if name not in ("lo", "hi")]
    if len(others) > 1:
        raise DomainError(
            f"the box file {path} has {len(others)} columns beside lo and hi; only one, of the inputs' names, is read"
        )
    bounds = np.empty((len(rows) - 1, 2))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise DomainError(f"row {number} of the box file {path} has {len(row)} values, not {len(header)}")
        for side, bound in enumerate(("lo", "hi")):
            bounds[number, side] = _number(row[header.index(bound)], f"row {number} of the box file {path}")
    if not others:
        return Box(bounds[:, 0], bounds[:, 1]), ()
    return _by_name(path, tuple(row[others[0]].strip() for row in rows[1:]), bounds, network)


def _by_name(path: Path, names: tuple[str, ...], bounds: np.ndarray, network: Network) -> Found:
    """The box whose rows are named: in the network's order, or in the file's where only that gives names."""
    table = DataTable(names, bounds.T)
    order = columns_by_name(table, network.feature_names)
    if len(names) == network.inputs and order is not None:
        return Box(bounds[order, 0], bounds[order, 1]), ()
    new = len(set(names)) == len(names) and not set(names) & set(network.feature_names)
    if len(names) == network.inputs and nameless(network) and new and not any(map(_is_number, names)):
        return Box(bounds[:, 0], bounds[:, 1]), names
    raise DomainError(
        f"the box file {path} has a column beside lo and hi that does not name each input of the network once; "
        f"the inputs are {', '.join(network.feature_names[:12])}{', ...' if network.inputs > 12 else ''}"
    )


def _data(rest: str, network: Network, options: dict[str, Any]) -> Found:
    X, names = _read(rest, network, options)
    return bounding_box(X), names


def _ball(rest: str, network: Network, options: dict[str, Any]) -> Found:
    radius, at, place = rest.partition("@")
    path, colon, row = place.rpartition(":")
    if not (at and colon and path and row.isdecimal() and len(row) < 19):
        raise DomainError(f"the ball {rest!r} is not of the form EPS@FILE:ROW, with rows counted from 0")
    X, names = _read(path, network, options)
    return ball(_row(X, row, path), _number(radius, "the ball's radius")), names


def _slice(kind: str) -> Callable[[str, Network, dict[str, Any]], Found]:
    """What reads the slice through rows of a file: FILE:ROW,ROW,... and perhaps @LO,HI, bounds of its coordinates."""

    def found(rest: str, network: Network, options: dict[str, Any]) -> Found:
        path, rows, bounds = _slice_parts(kind, rest)
        X, names = _read(path, network, options)
        points = [_row(X, row, path) for row in rows]
        domain = None
        if bounds:
            numbers = _NUMBERS.fullmatch(bounds)
            if not numbers:
                raise DomainError(f"the bounds of the {kind}'s coordinates are {bounds!r}, not two numbers LO,HI")
            domain = Box(_number(numbers[1], "the lower bound"), _number(numbers[2], "the upper bound"))
        label = f"the {kind} through rows {', '.join(rows[:-1])} and {rows[-1]} of {Path(path).name}"
        return SLICES[kind][1](*points, domain, label=label), names

    return found


def _slice_parts(kind: str, rest: str) -> tuple[str, list[str], str]:
    """(file, rows, bounds or "") of a slice's specification; raises DomainError."""
    path, _, place = rest.rpartition(":")
    numbers, at, bounds = place.partition("@")
    rows = [row.strip() for row in numbers.split(",")]
    wanted = SLICES[kind][0]
    proper = len(rows) == wanted and all(row.isdecimal() and len(row) < 19 for row in rows)
    if not (path and proper) or bool(at) != bool(bounds):
        form = f"FILE:{','.join(['ROW'] * wanted)}"
        raise DomainError(f"the {kind} {rest!r} is not of the form {form}, with rows counted from 0 and, where its "
                          "coordinates are to have other bounds than by default, @LO,HI after them")  # fmt: skip
    return path, rows, bounds


def _row(X: np.ndarray, row: str, path: str) -> np.ndarray:
    if int(row) >= len(X):
        raise DomainError(f"there is no row {row} in {path}: its {len(X)} rows are counted from 0")
    return X[int(row)]


def _vnnlib(rest: str, _network: Network, _options: dict[str, Any]) -> Found:
    return read_input_box(rest), ()


def _read(path: str, network: Network, options: dict[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The data's rows in the network's order of inputs, and the names that its header gives a nameless network."""
    announce = options["announce"]
    table = read_table(path, **{name: value for name, value in options.items() if name != "announce"})
    X = match_columns(table, network.feature_names)
    note = position_note(table, network.feature_names)
    if announce is not None and note:
        announce(note)
    return X, names_given(table, network)


def _number(text: str, what: str) -> float:
    if not _is_number(text):
        raise DomainError(f"{what} is {text.strip()!r}, not a number")
    return float(text)


def _is_number(text: str) -> bool:
    """Whether the text is a number; Python's own 1_000 is none."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


SLICES: dict[str, tuple[int, Callable[..., Subspace]]] = {"line": (2, line), "plane": (3, plane)}
KINDS: dict[str, Callable[[str, Network, dict[str, Any]], Found]] = {
    "all": _whole,
    "box": _box,
    "data": _data,
    "vnnlib": _vnnlib,
    "ball": _ball,
    "line": _slice("line"),
    "plane": _slice("plane"),
}
FORMS = ("all", "box:LO,HI", "box:FILE", "data:FILE", "vnnlib:FILE", "ball:EPS@FILE:ROW", "line:FILE:ROW,ROW",
         "plane:FILE:ROW,ROW,ROW")  # fmt: skip
