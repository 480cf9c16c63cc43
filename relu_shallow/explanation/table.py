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
from relu_shallow.explanation.attribution import Attribution, status_counts


def attribution_table(attribution: Attribution) -> tuple[list[str], list[np.ndarray]]:
    """Names and columns: row, output, prediction, base_value, shap_<feature>..., region, status, gap, distance."""
    rows, outputs = attribution.prediction.shape
    names = ["row", "output", "prediction", "base_value", *(f"shap_{name}" for name in attribution.feature_names)]
    columns: list[Any] = [
        np.repeat(np.arange(rows), outputs),
        np.tile(np.array(attribution.outputs, dtype=np.int64), rows),
        attribution.prediction.ravel(),
        np.tile(attribution.base_value, rows),
        *attribution.phi.reshape(rows * outputs, -1).T,
        np.repeat(attribution.region, outputs),
        np.repeat(np.array(attribution.status, dtype=str), outputs),
        attribution.gap.ravel(),
        np.repeat(attribution.distance, outputs),
    ]
    return [*names, "region", "status", "gap", "distance"], columns


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
