"""The record of an explanation: attributions with their status, bounds, errors, region and local model, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from relu_shallow.explanation.background import Background
from relu_shallow.explanation.groups import Groups, group_data, group_sums

EXACT, BOUNDS, ESTIMATE, LOCAL = "exact", "bounds", "estimate", "local"
STATUSES = (EXACT, BOUNDS, ESTIMATE, LOCAL)


@dataclass(frozen=True, eq=False)
class Values:
    """Values of some rows with what is known of their error: bounds lo <= phi <= hi, and standard errors.

    Infinite bounds and NaN errors are none. The groups' values are the sums over their features.
    """

    phi: Float[np.ndarray, "rows outputs inputs"]
    lo: Float[np.ndarray, "rows outputs inputs"]
    hi: Float[np.ndarray, "rows outputs inputs"]
    se: Float[np.ndarray, "rows outputs inputs"]
    group_se: Float[np.ndarray, "rows outputs groups"]
    status: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Attribution:
    """SHAP values, or integrated gradients, of every row for the explained outputs, and all that is said about them.

    `phi` are the values, in the units of the output before the head; `prediction` that output, `base_value` its mean
    over the background, `gap` = sum(phi) - (prediction - base_value). `status` says what a row's values are: "exact",
    proved or worked out to be the network's own interventional Shapley values (with the method "integrated", its
    integrated gradients), up to rounding; "bounds", the middle of intervals
    `lo`..`hi` in which these are proved to lie; "estimate", a sample's mean with the standard errors `se`; "local", the
    local model's only. `alpha`, `beta` are the local model, `distance` the Euclidean distance to the nearest boundary
    of the row's region (infinity where there is none; faces of the domain do not count). `outputs` are the explained
    outputs' numbers. `groups` are sums of features that were asked for.
    """

    X: Float[np.ndarray, "rows inputs"]
    phi: Float[np.ndarray, "rows outputs inputs"]
    lo: Float[np.ndarray, "rows outputs inputs"]
    hi: Float[np.ndarray, "rows outputs inputs"]
    se: Float[np.ndarray, "rows outputs inputs"]
    group_se: Float[np.ndarray, "rows outputs groups"]
    prediction: Float[np.ndarray, "rows outputs"]
    base_value: Float[np.ndarray, " outputs"]
    region: Int[np.ndarray, " rows"]
    status: tuple[str, ...]
    distance: Float[np.ndarray, " rows"]
    alpha: Float[np.ndarray, "rows outputs inputs"]
    beta: Float[np.ndarray, "rows outputs"]
    background: Background
    outputs: tuple[int, ...]
    feature_names: tuple[str, ...]
    output_names: tuple[str, ...]
    groups: Groups
    method: str

    @property
    def gap(self) -> Float[np.ndarray, "rows outputs"]:
        """sum(phi) - (prediction - base_value)."""
        return self.phi.sum(axis=2) - (self.prediction - self.base_value)


def max_additivity_gap(attribution: Attribution) -> float:
    """The largest |gap| over rows and outputs; 0 where there are no rows."""
    return float(np.abs(attribution.gap).max(initial=0.0))


def status_counts(attribution: Attribution) -> dict[str, int]:
    """Rows per status, of the statuses that occur."""
    return {name: attribution.status.count(name) for name in STATUSES if name in attribution.status}


def of_status(attribution: Attribution, *statuses: str) -> Bool[np.ndarray, " rows"]:
    """The rows that have one of these statuses."""
    return np.array([status in statuses for status in attribution.status], dtype=bool)


def exactly(phi: Float[np.ndarray, "rows outputs inputs"], groups: Groups) -> Values:
    """Values without any error."""
    none = np.broadcast_to(0.0, phi.shape)
    return Values(phi, phi, phi, none, np.zeros((*phi.shape[:2], len(groups))), (EXACT,) * len(phi))


def unbounded(
    phi: Float[np.ndarray, "rows outputs inputs"], groups: Groups, status: tuple[str, ...]
) -> Values:
    """Values of whose error nothing is known."""
    wide, nan = np.broadcast_to(np.inf, phi.shape), np.broadcast_to(np.nan, phi.shape)
    return Values(phi, -wide, wide, nan, np.full((*phi.shape[:2], len(groups)), np.nan), status)


def with_values(attribution: Attribution, rows: Int[np.ndarray, " some"], found: Values) -> Attribution:
    """The attribution with these rows' values in place of what it had."""
    if not len(rows):
        return attribution
    changed: dict[str, Any] = {}
    for name in ("phi", "lo", "hi", "se", "group_se"):
        changed[name] = np.array(getattr(attribution, name))
        changed[name][rows] = getattr(found, name)
    status = np.array(attribution.status, dtype=object)
    status[rows] = found.status
    return replace(attribution, **changed, status=tuple(status.tolist()))


class Columns(NamedTuple):
    """What is said of each feature, or of each group of features in the place of its first."""

    names: tuple[str, ...]
    phi: Float[np.ndarray, "rows outputs columns"]
    lo: Float[np.ndarray, "rows outputs columns"]
    hi: Float[np.ndarray, "rows outputs columns"]
    se: Float[np.ndarray, "rows outputs columns"]
    data: Shaped[np.ndarray, "rows columns"]


def columns_of(attribution: Attribution) -> Columns:
    """The attribution's columns; a group's data are told by `group_data`."""
    arrays = (attribution.phi, attribution.lo, attribution.hi)
    features, groups = attribution.feature_names, attribution.groups
    if not groups:
        return Columns(features, *arrays, attribution.se, attribution.X)
    phi, names = group_sums(arrays[0], features, groups)
    lo, hi, se = (group_sums(array, features, groups)[0] for array in (*arrays[1:], attribution.se))
    data = group_sums(attribution.X[:, None], features, groups)[0][:, 0].astype(object)
    for g, (name, told) in enumerate(group_data(attribution.X, features, groups).items()):
        column = names.index(name)
        se[:, :, column] = attribution.group_se[:, :, g]
        data[:, column] = told
    return Columns(names, phi, lo, hi, se, data)


def shap_explanation(attribution: Attribution) -> Any:
    """The attribution as a shap.Explanation: values (rows, features), or (rows, features, outputs) for several outputs.

    With groups a group's value stands in place of its features', and as its data the name of its feature that is 1, or
    all their values where they are not one 1 among zeros. It carries `status`, `region`, `gap`, and for rows that have
    them `lower_bounds`, `upper_bounds` and `error_std`, as further attributes, and so do its slices; `groups` names the
    features of each group.
    """
    from relu_shallow.explanation.sliceable import Explanation

    one = len(attribution.outputs) == 1
    columns = columns_of(attribution)
    values, least, most, error = (
        np.array(part[:, 0] if one else part.transpose(0, 2, 1)) for part in columns[1:5]
    )
    base = np.broadcast_to(attribution.base_value, attribution.prediction.shape)
    explanation = Explanation(
        values=values,
        base_values=np.array(base[:, 0] if one else base),
        data=columns.data,
        feature_names=list(columns.names),
        output_names=attribution.output_names[0] if one else list(attribution.output_names),
        **_known(attribution, least, most, error),
    )
    explanation.keep("status", list(attribution.status), [0])
    explanation.keep("region", attribution.region, [0])
    explanation.keep("gap", attribution.gap[:, 0] if one else attribution.gap, [0] if one else [0, 2])
    names = attribution.feature_names
    explanation.groups = {name: tuple(names[i] for i in members) for name, members in attribution.groups.items()}
    return explanation


def _known(attribution: Attribution, lo: np.ndarray, hi: np.ndarray, se: np.ndarray) -> dict[str, np.ndarray]:
    """What shap.Explanation is told of errors: nothing where no row has any."""
    known = {"lower_bounds": lo, "upper_bounds": hi} if BOUNDS in attribution.status else {}
    return known | ({"error_std": se} if ESTIMATE in attribution.status else {})
