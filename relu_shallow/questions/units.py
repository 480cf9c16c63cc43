"""The user's units: the scaling that stands between a table as people read it and the inputs of a network."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from relu_shallow.data import folded
from relu_shallow.errors import DataError
from relu_shallow.network import Network

COLUMNS = ("feature", "scale", "offset")


@dataclass(frozen=True, eq=False)
class Units:
    """x_user = x scale + offset, feature by feature, x being what the network takes; scales are not zero."""

    scale: Float[np.ndarray, " inputs"]
    offset: Float[np.ndarray, " inputs"]

    def __post_init__(self) -> None:
        both = np.isfinite(self.scale).all() and np.isfinite(self.offset).all()
        if self.scale.ndim != 1 or self.scale.shape != self.offset.shape or not both or not self.scale.all():
            raise DataError("units need one finite scale, not zero, and one finite offset for each feature")

    @staticmethod
    def own(network: Network) -> Units:
        """The network's own units."""
        return Units(np.ones(network.inputs), np.zeros(network.inputs))


def read_units(path: str | os.PathLike[str], network: Network) -> Units:
    """The units of a CSV file with the columns feature, scale, offset; features it does not name keep their own.

    Raises DataError where the file cannot be read, names no feature of the network, or holds what is no number.
    """
    source = Path(path)
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the units file {source} cannot be read: {reason}") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if sorted(header) != sorted(COLUMNS):
        raise DataError(f"the units file {source} needs a header with the columns {', '.join(COLUMNS)} and a row per "
                        f"feature (x_user = x scale + offset)")  # fmt: skip
    names = [folded(name) for name in network.feature_names]
    units = Units.own(network)
    for number, row in enumerate(rows[1:]):
        cells = dict(zip(header, row, strict=False))
        name = folded(cells["feature"])
        if len(row) != len(header) or names.count(name) != 1:
            raise DataError(f"row {number} of {source} (counted from 0) does not name one feature with its scale and "
                            f"offset: {','.join(row)!r:.60}")  # fmt: skip
        try:
            units.scale[names.index(name)], units.offset[names.index(name)] = (
                float(cells["scale"]), float(cells["offset"]))  # fmt: skip
        except ValueError as error:
            raise DataError(f"row {number} of {source} (counted from 0) holds no numbers: {','.join(row)!r:.60}"
                            ) from error  # fmt: skip
    return Units(units.scale, units.offset)
