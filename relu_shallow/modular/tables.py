"""Rows to train on from a data table: its target column, what the target is, and the rows held out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Num

from relu_shallow.data import DataTable, match_columns
from relu_shallow.errors import DataError, UsageError
from relu_shallow.modular.fitting import Task

MOST_CLASSES = 20  # a column of more different whole numbers is taken for values


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets: classes 0, 1, ... that stand for the values in `classes`, or values (rows, 1)."""

    X: Float[np.ndarray, "rows inputs"]
    y: Num[np.ndarray, rows *columns]
    task: Task
    classes: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.X)

    def of(self, rows: Int[np.ndarray, " chosen"]) -> Examples:
        """Some of the rows."""
        return replace(self, X=self.X[rows], y=self.y[rows])


def examples(
    table: DataTable, target: str, *, feature_names: tuple[str, ...] = (), task: Task | None = None,
    outputs: int | None = None,
) -> Examples:  # fmt: skip
    """The rows of a table with one column as target, and the others, or those that a network takes, as inputs.

    By default whole numbers of at most twenty kinds are classes. With the `outputs` of a network its classes are 0 to
    outputs - 1 (0 and 1 for one output); without, the different numbers in order. Raises DataError where the column is
    not there, holds no finite numbers, or a single class.
    """
    if target not in table.names:
        raise DataError(f"the data has no column {target!r} for the target (--target); "
                        f"its columns are {', '.join(map(repr, table.names[:12]))}")  # fmt: skip
    place = table.names.index(target)
    if len(table.names) == 1:
        raise DataError(f"the data has no column beside the target {target!r}")
    y = _part(table, [place]).X[:, 0]
    inputs = without(table, target)
    X = match_columns(inputs, feature_names) if feature_names else inputs.X
    values = np.unique(y)
    whole = bool((y == np.round(y)).all())
    task = task or ("classes" if whole and len(values) <= MOST_CLASSES else "values")
    if task == "values":
        return Examples(X, y[:, None], task, ())
    if not whole:
        raise DataError(f"the target {target!r} holds {values[values != np.round(values)][0]:g}, which is no class; "
                        "classes are whole numbers (for values: --task values)")  # fmt: skip
    if len(values) == 1:
        raise DataError(f"all rows have the one class {values[0]:g} in {target!r}: nothing can be told apart; give "
                        "rows of two classes or more")  # fmt: skip
    classes = values if outputs is None else np.arange(max(outputs, 2), dtype=np.float64)
    if not np.isin(values, classes).all():
        raise DataError(f"the target {target!r} has classes {values[0]:g} to {values[-1]:g}, but the network tells "
                        f"{len(classes)} apart, counted from 0: number them 0 to {len(classes) - 1}")  # fmt: skip
    return Examples(X, np.searchsorted(classes, y), task, tuple(classes.tolist()))


def split(rows: Examples, held_out: float, seed: int) -> tuple[Examples, Examples]:
    """(rows to train on, rows to measure on), drawn by a seed; with nothing held out, all rows twice.

    Raises UsageError where either would be empty.
    """
    if held_out == 0:
        return rows, rows
    count = round(held_out * len(rows))
    if not 0 < count < len(rows):
        raise UsageError(f"holding out {held_out:g} of {len(rows)} rows leaves none to measure on, or none to train "
                         "on; give more rows, or another share (--held-out)")  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(rows))
    train = rows.of(np.sort(order[count:]))
    if rows.task == "classes" and len(np.unique(train.y)) == 1:
        raise DataError("the rows to train on are all of one class; give more rows")
    return train, rows.of(np.sort(order[:count]))


def without(table: DataTable, column: str) -> DataTable:
    """The table without one column."""
    return _part(table, [i for i, name in enumerate(table.names) if name != column])


def _part(table: DataTable, keep: list[int]) -> DataTable:
    """Some columns of a table."""
    faults = tuple(table.faults[i] for i in keep) if table.faults else ()
    return DataTable(tuple(table.names[i] for i in keep), table.values[:, keep], faults, table.named)
