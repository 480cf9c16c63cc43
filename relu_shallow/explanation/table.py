"""An explanation as a file: one line per row and explained output, or the same with the local models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.atomic import replacing
from relu_shallow.data import json_number, write_arrays, write_table
from relu_shallow.errors import OutputError
from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, Attribution, columns_of, status_counts
from relu_shallow.explanation.groups import group_interactions
from relu_shallow.explanation.hybrids import interaction_values
from relu_shallow.network import Network


def attribution_table(attribution: Attribution) -> tuple[list[str], list[np.ndarray]]:
    """Names and columns: row, output, prediction, base_value, shap_<feature>..., region, status, gap, distance.

    Where rows have bounds there follow lo_<feature> and hi_<feature>, where rows are estimated se_<feature>; other rows
    have in them what is known: an exact value is its own bound, and an estimate has none (NaN).
    """
    rows, outputs = attribution.prediction.shape
    columns = columns_of(attribution)
    table: dict[str, Any] = {
        "row": np.repeat(np.arange(rows), outputs),
        "output": np.tile(np.array(attribution.outputs, dtype=np.int64), rows),
        "prediction": attribution.prediction.ravel(),
        "base_value": np.tile(attribution.base_value, rows),
    }

    def put(prefix: str, values: np.ndarray) -> None:
        for name, column in zip(columns.names, values.reshape(rows * outputs, -1).T, strict=True):
            table[f"{prefix}_{name}"] = column

    put("shap", columns.phi)
    table["region"] = np.repeat(attribution.region, outputs)
    table["status"] = np.repeat(np.array(attribution.status, dtype=str), outputs)
    table["gap"] = attribution.gap.ravel()
    table["distance"] = np.repeat(attribution.distance, outputs)
    if BOUNDS in attribution.status:
        put("lo", np.where(np.isfinite(columns.lo), columns.lo, np.nan))
        put("hi", np.where(np.isfinite(columns.hi), columns.hi, np.nan))
    if ESTIMATE in attribution.status:
        put("se", columns.se)
    return list(table), list(table.values())


def interaction_table(network: Network, attribution: Attribution) -> tuple[list[str], list[np.ndarray]]:
    """Names and columns of the exact Shapley interactions: row, output, feature, other, value; a line per pair.

    A feature with itself is what it does alone, a pair its interaction index; those of a row add up to the prediction
    less the base value. A group stands in place of its features, with the sums over all pairs of them. Raises DataError
    where rows differ from the background in too many features to enumerate.
    """
    each = interaction_values(network, attribution.X, attribution.background, list(attribution.outputs))
    found, titles = group_interactions(each, attribution.feature_names, attribution.groups)
    rows, outputs, inputs, _ = found.shape
    one, two = np.triu_indices(inputs)
    values = found[:, :, one, two] * np.where(one == two, 1.0, 2.0)
    names = np.array(titles, dtype=str)
    pairs = len(one)
    return ["row", "output", "feature", "other", "value"], [
        np.repeat(np.arange(rows), outputs * pairs),
        np.tile(np.repeat(np.array(attribution.outputs, dtype=np.int64), pairs), rows),
        np.tile(names[one], rows * outputs),
        np.tile(names[two], rows * outputs),
        values.ravel(),
    ]


def write_attribution(attribution: Attribution, path: str | os.PathLike[str]) -> None:
    """Writes .csv or .parquet (the table), .json (with local models) or .npz (arrays), all or nothing."""
    target = Path(path)
    writer = FORMATS.get(target.suffix.lower())
    if writer is None:
        raise OutputError(
            f"{target.name}: explanations are written as {', '.join(FORMATS)}; choose one of these endings"
        )
    writer(attribution, target)


def _write_lines(attribution: Attribution, path: Path) -> None:
    names, columns = attribution_table(attribution)
    write_table(path, names, columns)


def _write_json(attribution: Attribution, path: Path) -> None:
    names, columns = attribution_table(attribution)
    lines = zip(*(column.tolist() for column in columns), strict=True)
    alpha = attribution.alpha.reshape(-1, len(attribution.feature_names)).tolist()
    rows = [
        {name: json_number(cell) for name, cell in zip(names, line, strict=True)}
        | {"local_model": {"slopes": dict(zip(attribution.feature_names, slopes, strict=True)), "constant": constant}}
        for line, slopes, constant in zip(lines, alpha, attribution.beta.ravel().tolist(), strict=True)
    ]
    document = {
        "method": attribution.method,
        "status": status_counts(attribution),
        "feature_names": list(attribution.feature_names),
        "groups": {
            name: [attribution.feature_names[i] for i in members] for name, members in attribution.groups.items()
        },
        "output_names": {str(k): name for k, name in zip(attribution.outputs, attribution.output_names, strict=True)},
        "background": {
            "rows": attribution.background.X.tolist(),
            "weights": attribution.background.weights.tolist(),
        },
        "rows": rows,
    }
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, ensure_ascii=False, allow_nan=False)


def _write_npz(attribution: Attribution, path: Path) -> None:
    arrays = {
        "shap_values": attribution.phi,
        "lower_bounds": attribution.lo,
        "upper_bounds": attribution.hi,
        "standard_errors": attribution.se,
        "prediction": attribution.prediction,
        "base_value": attribution.base_value,
        "data": attribution.X,
        "region": attribution.region,
        "status": np.array(attribution.status, dtype=str),
        "gap": attribution.gap,
        "distance": attribution.distance,
        "alpha": attribution.alpha,
        "beta": attribution.beta,
        "outputs": np.array(attribution.outputs, dtype=np.int64),
        "feature_names": np.array(attribution.feature_names, dtype=str),
        "output_names": np.array(attribution.output_names, dtype=str),
        "group_names": np.array(list(attribution.groups), dtype=str),
        "group_members": np.array([",".join(map(str, members)) for members in attribution.groups.values()], dtype=str),
        "background": attribution.background.X,
        "background_weights": attribution.background.weights,
    }
    with replacing(path) as temporary:
        write_arrays(temporary, arrays)


FORMATS: dict[str, Callable[[Attribution, Path], None]] = {
    ".csv": _write_lines,
    ".parquet": _write_lines,
    ".json": _write_json,
    ".npz": _write_npz,
}
