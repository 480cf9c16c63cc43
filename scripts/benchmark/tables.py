"""Tables of the data folder as numbers: categories as columns of zeros and ones, columns scaled."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np

from benchmark.cases import DATA, MissingData


def table(name: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """(X, y) of a file of the data folder; see `named_table`."""
    return named_table(name, target)[:2]


def named_table(
    name: str, target: str, titles: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(X, y, names) of a file whose first line is a header unless titles are given; rows with an empty cell left out.

    A column that is no number becomes one column of zeros and ones for each of its words. Raises MissingData where the
    file is not in the data folder.
    """
    path = DATA / "tabular" / name
    if not path.exists():
        raise MissingData(f"tabular/{name} is not in the data folder")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    header = titles or rows.pop(0)
    return _encoded(header, [row for row in rows if all(cell.strip() for cell in row)], target)


def _encoded(
    header: Sequence[str], rows: list[list[str]], target: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    columns, names, y = [], [], np.zeros(len(rows))
    for title, cells in zip(header, zip(*rows, strict=True), strict=True):
        text = np.array([cell.strip() for cell in cells])
        try:
            values = text.astype(np.float64)
        except ValueError:
            for word in sorted(set(text)):
                columns.append((text == word).astype(np.float64))
                names.append(f"{title}_{word}")
            continue
        if title == target:
            y = values
        else:
            columns.append(values)
            names.append(title)
    return np.column_stack(columns), y, tuple(names)


def standardised(X: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and unit spread."""
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
