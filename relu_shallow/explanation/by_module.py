"""An explanation module by module: Shapley values are linear in the network, so those of its modules add up to its own.

So do integrated gradients and local values. Each module is explained by the method asked for, and the network by the
sum: bounds add, and so do the variances of estimates, which start from seeds of their own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.explanation.attribution import BOUNDS, STATUSES, Attribution, Values, columns_of, with_values
from relu_shallow.explanation.exact import REACH, SUMMED
from relu_shallow.explanation.methods import explain_rows
from relu_shallow.modules import addend, modules_of
from relu_shallow.network import Network
from relu_shallow.precision import gamma, shapley_error
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork


def explain_by_module(
    source: ShallowNetwork | StoredNetwork | Network,
    X: Any,
    *,
    method: str = "auto",
    time_limit: float | None = None,
    seed: int = 0,
    **asked: Any,
) -> tuple[Attribution, tuple[Attribution, ...]]:
    """(the network's attribution, those of its modules), whose values sum to the network's; see `explain_rows`.

    A row's status is the weakest that it has in any module. Modules are ordered as `modules_of` orders them.
    """
    network = source if isinstance(source, Network) else source.network
    whole = explain_rows(source, X, method="local", **{**asked, "progress": None})
    modules = modules_of(network)
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    asked |= {"background": whole.background, "groups": whole.groups or None, "output": list(whole.outputs)}
    parts, rounding = [], []
    for k, module in enumerate(modules):
        left = None if time_limit is None else max(deadline - time.monotonic(), 0.0) / (len(modules) - k)
        own = replace(addend(network, module), feature_names=whole.feature_names)
        parts.append(explain_rows(own, whole.X, method=method, time_limit=left, seed=seed + k,
                                  reach=REACH / len(modules), **asked))  # fmt: skip
        rounding.append(shapley_error(own, whole.X, whole.background.X, list(whole.outputs), SUMMED))
    total = with_values(whole, np.arange(len(whole.X)), summed(parts, rounding))
    return replace(total, method=method), tuple(parts)


def summed(parts: Sequence[Attribution], rounding: Sequence[Float[np.ndarray, "rows outputs"]]) -> Values:
    """The values of all modules together, with what is known of their error.

    `rounding` bounds that of each module's exact values, which counts where they are added to bounds.
    """
    phi = np.sum([part.phi for part in parts], axis=0)
    size = np.sum([np.maximum(np.abs(part.lo), np.abs(part.hi)) for part in parts], axis=0)
    lo, hi = (np.sum([getattr(part, name) for part in parts], axis=0) for name in ("lo", "hi"))
    weakest = [max(status, key=STATUSES.index) for status in zip(*(part.status for part in parts), strict=True)]
    bounded = np.array([status == BOUNDS for status in weakest])[:, None, None]
    room = np.where(bounded, np.sum(rounding, axis=0)[:, :, None] + gamma(len(parts) + 1) * size, 0.0)
    return Values(
        phi,
        lo - room,
        hi + room,
        np.sqrt(np.sum([_errors(part, part.se, (part.hi - part.lo) / 2) ** 2 for part in parts], axis=0)),
        np.sqrt(np.sum([_errors(part, part.group_se, _group_widths(part)) ** 2 for part in parts], axis=0)),
        tuple(weakest),
    )


def _errors(
    part: Attribution, se: Float[np.ndarray, "rows outputs columns"], width: Float[np.ndarray, "rows outputs columns"]
) -> Float[np.ndarray, "rows outputs columns"]:
    """Standard errors, and half the width in place of those of bounds, which it exceeds."""
    bounded = np.array([status == BOUNDS for status in part.status], dtype=bool)[:, None, None]
    return np.where(bounded, width, se)


def _group_widths(part: Attribution) -> Float[np.ndarray, "rows outputs groups"]:
    """Half the widths of the bounds on the groups' sums."""
    width = (part.hi - part.lo) / 2
    wide = [width[:, :, list(members)].sum(axis=2) for members in part.groups.values()]
    return np.stack(wide, axis=2) if wide else width[:, :, :0]


def module_table(parts: Sequence[Attribution]) -> tuple[list[str], list[np.ndarray]]:
    """Names and columns: row, output, module, prediction, base_value, shap_<feature>..., status; a line a module.

    Over a row's and output's lines each column of values sums to that of the network's explanation.
    """
    rows, outputs = parts[0].prediction.shape
    lines = rows * outputs * len(parts)
    columns = [columns_of(part) for part in parts]
    names = ["row", "output", "module", "prediction", "base_value", *(f"shap_{name}" for name in columns[0].names)]
    values = np.stack([part.phi for part in columns], axis=2).reshape(lines, len(columns[0].names))
    status = np.array([part.status for part in parts], dtype=str)  # (modules, rows)
    return [*names, "status"], [
        np.repeat(np.arange(rows), outputs * len(parts)),
        np.tile(np.repeat(np.array(parts[0].outputs, dtype=np.int64), len(parts)), rows),
        np.tile(np.arange(len(parts)), rows * outputs),
        np.stack([part.prediction for part in parts], axis=2).ravel(),
        np.tile(np.stack([part.base_value for part in parts], axis=1).ravel(), rows),
        *values.T,
        np.repeat(status.T[:, None], outputs, axis=1).ravel(),
    ]
