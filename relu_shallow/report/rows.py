"""The rows of a page: which are shown in full, what is said of one, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from relu_shallow.errors import DataError
from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, EXACT, Attribution, Columns, columns_of
from relu_shallow.network import Network
from relu_shallow.plot.attribution import NAME, held, signed, waterfall
from relu_shallow.plot.lettering import MINUS, number, short
from relu_shallow.report.answers import Answers, Goal, Near

LISTED_FEATURES = 30
FORMULA_TERMS = 8
ALL_OUTPUTS = 12  # predictions of all outputs are listed for a row up to here
MOST_ROWS = 1000  # in the table
MOVERS = 3  # features named for each of them
CHANGES = 20  # of a counterfactual


def chosen_rows(attribution: Attribution, rows: Sequence[int]) -> list[int]:
    """The given rows, or those of highest, lowest and most ordinary prediction and the one whose values are least sure.

    Raises DataError for a row that is not there.
    """
    for row in rows:
        if not 0 <= row < len(attribution.X):
            raise DataError(f"there is no row {row} to show: the data has {len(attribution.X)}, counted from 0")
    if len(rows):
        return list(dict.fromkeys(int(row) for row in rows))
    if not len(attribution.X):
        return []
    moved = attribution.prediction - attribution.base_value
    first = moved[:, 0]
    picks = [int(first.argmax()), int(first.argmin()), int(np.abs(moved).sum(axis=1).argmin())]
    inexact = [row for row, status in enumerate(attribution.status) if status != EXACT]
    if inexact:
        gaps = np.abs(attribution.gap[inexact]).max(axis=1)
        picks.append(inexact[int(gaps.argmax())])
    return list(dict.fromkeys(picks))


def row_in_full(attribution: Attribution, network: Network, answers: Answers, row: int) -> dict[str, Any]:
    """One row: its steps and local model, for the output that moved most from its mean, and its nearest points."""
    moved = attribution.prediction[row] - attribution.base_value
    k = int(np.abs(moved).argmax())
    phi, alpha = attribution.phi[row, k], attribution.alpha[row, k]
    order = np.argsort(-np.abs(phi), kind="stable")
    lines = [_line(attribution, row, k, i) for i in order[:LISTED_FEATURES].tolist()]
    status, far = attribution.status[row], attribution.distance[row]
    near = answers.near.get(row)
    return {
        "row": row,
        "output": attribution.output_names[k],
        "prediction": float(attribution.prediction[row, k]),
        "base": float(attribution.base_value[k]),
        "region": int(attribution.region[row]),
        "status": status,
        "gap": float(attribution.gap[row, k]),
        "distance": number(far) if np.isfinite(far) else "there is none",
        "formula": _formula(attribution.feature_names, alpha, float(attribution.beta[row, k]), order),
        "constant": float(attribution.beta[row, k]),
        "features": lines,
        "extra": {BOUNDS: ("At least", "At most"), ESTIMATE: ("Standard error",)}.get(status, ()),
        "others": max(len(order) - LISTED_FEATURES, 0),
        "others_sum": float(phi[order[LISTED_FEATURES:]].sum()),
        "predictions": list(zip(attribution.output_names, attribution.prediction[row].tolist(), strict=True))
        if 1 < len(moved) <= ALL_OUTPUTS
        else [],
        "steps": waterfall(attribution, row, k),
        "near": _near(near, answers.goal, network) if near and answers.goal else None,
    }


def _line(attribution: Attribution, row: int, k: int, i: int) -> dict[str, Any]:
    """A feature of a row: name, value, attribution, what is known of its error, slope, mean."""
    extra: tuple[float, ...] = ()
    if attribution.status[row] == BOUNDS:
        extra = (float(attribution.lo[row, k, i]), float(attribution.hi[row, k, i]))
    elif attribution.status[row] == ESTIMATE:
        extra = (float(attribution.se[row, k, i]),)
    return {
        "name": attribution.feature_names[i],
        "value": float(attribution.X[row, i]),
        "phi": float(attribution.phi[row, k, i]),
        "extra": extra,
        "slope": float(attribution.alpha[row, k, i]),
        "mean": float(attribution.background.mean[i]),
    }


def _formula(names: Sequence[str], alpha: np.ndarray, beta: float, order: np.ndarray) -> list[tuple[str, str, str]]:
    """The local model as signed terms (sign, size, feature), the constant first; the leading features only."""
    terms = [("", number(beta), "")]
    terms += [(MINUS if alpha[i] < 0 else "+", number(abs(alpha[i])), names[i]) for i in order[:FORMULA_TERMS]]
    return terms + [("+", "…", "")] * (len(order) > FORMULA_TERMS)


# --- nearest points ---------------------------------------------------------------------------------------------


def _near(near: Near, goal: Goal, network: Network) -> dict[str, Any]:
    """The certified radius and the nearest counterfactual, in words and numbers."""
    radius, found = near.radius, near.counterfactual.nearest
    point, x = found.point, near.counterfactual.row
    changed = np.flatnonzero(point != x) if np.isfinite(found.upper) else np.zeros(0, np.int64)
    moved = np.abs(near.counterfactual.weights * (point - x))
    changed = changed[np.argsort(-moved[changed], kind="stable")]
    return {
        "own": side_name(goal, network, near.counterfactual.own),
        "there": side_name(goal, network, near.counterfactual.there) if np.isfinite(found.upper) else "",
        "radius": {"status": radius.status[0], "lower": float(radius.lower[0]), "upper": float(radius.upper[0])},
        "status": found.status,
        "lower": float(found.lower),
        "upper": float(found.upper),
        "changes": [
            {"name": network.feature_names[i], "before": float(x[i]), "after": float(point[i]),
             "change": signed(float(point[i] - x[i]))}
            for i in changed[:CHANGES].tolist()
        ],
        "more": max(len(changed) - CHANGES, 0),
    }  # fmt: skip


def side_name(goal: Goal, network: Network, side: int) -> str:
    """What a class, or a side of the threshold, is called."""
    if goal.output is not None:
        return f"{short(goal.words, NAME)} {'above' if side else 'at most'} {number(goal.threshold)}"
    if network.outputs > 1:
        return short(network.output_names[side], NAME)
    return f"{short(network.output_names[0], NAME)} {'above' if side else 'at most'} {number(goal.threshold)}"


# --- the table of all -------------------------------------------------------------------------------------------


def table_of_rows(attribution: Attribution) -> list[dict[str, Any]]:
    """The first rows of the data, each with prediction, status, region, gap, and what moved it most."""
    columns = columns_of(attribution)
    return [_short_row(attribution, columns, row) for row in range(min(len(attribution.X), MOST_ROWS))]


def _short_row(attribution: Attribution, columns: Columns, row: int) -> dict[str, Any]:
    k = int(np.abs(attribution.prediction[row] - attribution.base_value).argmax())
    phi = columns.phi[row, k]
    order = np.argsort(-np.abs(phi), kind="stable")[:MOVERS].tolist()
    return {
        "row": row,
        "output": short(attribution.output_names[k], NAME),
        "prediction": float(attribution.prediction[row, k]),
        "status": attribution.status[row],
        "region": int(attribution.region[row]),
        "gap": float(np.abs(attribution.gap[row]).max()),
        "distance": float(attribution.distance[row]),
        "movers": [
            (short(columns.names[i], NAME), held(attribution, columns, row, i), signed(float(phi[i]))) for i in order
        ],
    }  # fmt: skip
