"""The record of an explanation: attributions with their status, gap, region and local model, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.explanation.background import Background

LOCAL, EXACT = "local", "exact"


@dataclass(frozen=True, eq=False)
class Attribution:
    """SHAP values of every row for the explained outputs, and all that is said about them.

    `phi` are the values, in the units of the output before the head; `prediction` that output, `base_value` its mean
    over the background, `gap` = sum(phi) - (prediction - base_value). `status` is "exact" where phi is proved or
    enumerated to be the network's own interventional Shapley value, "local" where it is the local model's only.
    `alpha`, `beta` are the local model, `distance` the Euclidean distance to the nearest boundary of the row's region
    (infinity where there is none; faces of the domain do not count). `outputs` are the explained outputs' numbers.
    """

    X: Float[np.ndarray, "rows inputs"]
    phi: Float[np.ndarray, "rows outputs inputs"]
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
    return {name: attribution.status.count(name) for name in (EXACT, LOCAL) if name in attribution.status}


def with_exact(
    attribution: Attribution, rows: Int[np.ndarray, " some"], phi: Float[np.ndarray, "some outputs inputs"]
) -> Attribution:
    """The attribution with exact values in place of those rows' own."""
    values = attribution.phi.copy()
    values[rows] = phi
    status = np.array(attribution.status, dtype=object)
    status[rows] = EXACT
    return replace(attribution, phi=values, status=tuple(status.tolist()))


def shap_explanation(attribution: Attribution) -> Any:
    """The attribution as a shap.Explanation: values (rows, features), or (rows, features, outputs) for several outputs.

    It carries `status`, `region` and `gap` as further attributes; slicing leaves these behind.
    """
    import shap

    one = len(attribution.outputs) == 1
    base = np.broadcast_to(attribution.base_value, attribution.prediction.shape)
    values = attribution.phi.transpose(0, 2, 1)
    explanation = shap.Explanation(
        values=np.array(values[:, :, 0] if one else values),
        base_values=np.array(base[:, 0] if one else base),
        data=attribution.X,
        feature_names=list(attribution.feature_names),
        output_names=attribution.output_names[0] if one else list(attribution.output_names),
    )
    explanation.status = list(attribution.status)
    explanation.region = attribution.region
    explanation.gap = attribution.gap[:, 0] if one else attribution.gap
    return explanation
