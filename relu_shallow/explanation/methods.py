"""From a network and rows to their attributions: the local model, what is certified of it, and exact values."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.data import DataTable, columns_by_name, frame_table, match_columns
from relu_shallow.domain import contains
from relu_shallow.errors import DataError
from relu_shallow.explanation.attribution import EXACT, LOCAL, Attribution, shap_explanation, with_exact
from relu_shallow.explanation.background import Background, distinct_rows, shrink
from relu_shallow.explanation.exact import MOST_FEATURES, Progress, differing_features, exact_values
from relu_shallow.explanation.local import certified, local_values
from relu_shallow.explanation.model import boundary_distance, local_model
from relu_shallow.network import Network
from relu_shallow.shallow.store import ENDING
from relu_shallow.shallow.stored import StoredNetwork, is_regions, open_converted
from relu_shallow.shallow.table import ShallowNetwork, as_points, refuse_overflow, refuse_rows

Rows = Bool[np.ndarray, " rows"]


def explain(
    model: Any,
    X: Any,
    *,
    background: Any = None,
    method: str = "auto",
    output: int | Sequence[int] | None = None,
    time_limit: float | None = None,
    trust: Sequence[str] = (),
) -> Any:
    """SHAP values of every row of X as a shap.Explanation; see `explain_rows`.

    `model` is a ShallowNetwork, a StoredNetwork, a RegionsFolder, a Network, or anything that `load_network`,
    `load_shallow` or `open_regions` reads.
    """
    source = opened(model, trust)
    return shap_explanation(
        explain_rows(source, X, background=background, method=method, output=output, time_limit=time_limit)
    )


@np.errstate(over="ignore", invalid="ignore")  # rows that overflow are refused by number
def explain_rows(
    source: ShallowNetwork | StoredNetwork | Network,
    X: Any,
    *,
    background: Any = None,
    method: str = "auto",
    output: int | Sequence[int] | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> Attribution:
    """The attribution of every row of X (array, data frame, DataTable) for all outputs or the given ones.

    The background is `background` (rows, or a Background with weights), else X itself shrunk to 100 weighted rows.
    Method "local" takes the local model's values; "exact" the network's own interventional Shapley values, by
    enumeration of hybrids except where the local ones are certified to be these; "auto" the exact ones where rows
    differ from background rows in at most 15 features, the local ones elsewhere. Rows left when `time_limit` seconds
    are over keep local values and say so. `progress` is called with the number of rows enumerated so far.

    Raises DataError for rows that do not fit, outside the converted domain, or beyond the exact method's reach.
    """
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    if method not in METHODS:
        raise DataError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}")
    network = source if isinstance(source, Network) else source.network
    X, background = _table(X), _table(background)
    rows = _rows(X, network)
    refuse_overflow(network, rows, "the data")
    chosen = _background(source, rows, _aligned(background, X, network))
    outputs = _outputs(network, output)
    model = local_model(source, rows, outputs)
    proved = certified(network, model, rows, chosen)
    local = Attribution(
        X=rows,
        phi=local_values(model, rows, chosen),
        prediction=np.einsum("rmn,rn->rm", model.alpha, rows) + model.beta,
        base_value=chosen.weights @ network(chosen.X)[:, outputs],
        region=model.region,
        status=tuple(np.where(proved, EXACT, LOCAL).tolist()),
        distance=boundary_distance(network, model, rows),
        alpha=model.alpha,
        beta=model.beta,
        background=chosen,
        outputs=tuple(outputs),
        feature_names=network.feature_names,
        output_names=tuple(network.output_names[k] for k in outputs),
        method=method,
    )
    todo = np.flatnonzero(METHODS[method](~proved, rows, chosen))
    phi = exact_values(network, rows[todo], chosen, outputs, deadline=deadline, progress=progress)
    found = with_exact(local, todo[: len(phi)], phi)
    held = np.isfinite(found.phi).all(axis=(1, 2)) & np.isfinite(found.gap).all(axis=1)
    refuse_rows(~held, "the data")
    return found


def _enumerate_none(unproved: Rows, X: Float[np.ndarray, "rows inputs"], background: Background) -> Rows:  # noqa: ARG001
    return np.zeros_like(unproved)


def _enumerate_all(unproved: Rows, X: Float[np.ndarray, "rows inputs"], background: Background) -> Rows:
    """All rows not proved exact; raises DataError where one differs in too many features."""
    differing = differing_features(X, background)
    far = np.flatnonzero(unproved & (differing > MOST_FEATURES))
    if len(far):
        raise DataError(
            f"row {far[0]} differs from a background row in {differing[far[0]]} features, and exact values are "
            f"enumerated for at most {MOST_FEATURES}; use the method auto or local, or a background that differs less"
        )
    return unproved


def _enumerate_near(unproved: Rows, X: Float[np.ndarray, "rows inputs"], background: Background) -> Rows:
    return unproved & (differing_features(X, background) <= MOST_FEATURES)


METHODS: dict[str, Callable[[Rows, Float[np.ndarray, "rows inputs"], Background], Rows]] = {
    "auto": _enumerate_near,
    "local": _enumerate_none,
    "exact": _enumerate_all,
}


def opened(model: Any, trust: Sequence[str] = ()) -> ShallowNetwork | StoredNetwork | Network:
    """The network behind a path, a folder of regions or a live model; a network is returned as it is."""
    if isinstance(model, ShallowNetwork | StoredNetwork | Network):
        return model
    if isinstance(model, str | os.PathLike):
        if is_regions(model) or os.fspath(model).endswith(ENDING):
            return open_converted(model)
    else:
        from relu_shallow.regions.folder import RegionsFolder

        if isinstance(model, RegionsFolder):
            return StoredNetwork(model.network, model)
    from relu_shallow.load import load_network

    return load_network(model, trust=trust)


def _table(X: Any) -> Any:
    """X, a data frame as a DataTable."""
    return frame_table(X) if hasattr(X, "columns") and not isinstance(X, DataTable) else X


def _rows(X: Any, network: Network) -> Float[np.ndarray, "rows inputs"]:
    """X as finite rows in the network's order: by name where it has column names."""
    return match_columns(X, network.feature_names) if isinstance(X, DataTable) else as_points(X, network.inputs)


def _aligned(background: Any, X: Any, network: Network) -> Any:
    """The background with its columns in the order of X's, where both have names and X is taken by position."""
    if not (isinstance(background, DataTable) and isinstance(X, DataTable) and background.named and X.named):
        return background
    by_position = columns_by_name(X, network.feature_names) is None
    names = X.names if by_position else network.feature_names
    order = columns_by_name(background, names)
    if order is None:
        raise DataError(
            f"the background's columns are {', '.join(background.names[:12])}, but the data is taken by "
            f"{', '.join(names[:12])}; give both the same names"
        )
    values = background.values[:, order]
    faults = tuple(background.faults[i] for i in order) if background.faults else ()
    return DataTable(tuple(network.feature_names), values, faults)


def _background(
    source: ShallowNetwork | StoredNetwork | Network, rows: Float[np.ndarray, "rows inputs"], given: Any
) -> Background:
    """The background to use; raises DataError where a row of it lies outside the converted domain."""
    network = source if isinstance(source, Network) else source.network
    if isinstance(given, Background):
        points, chosen = as_points(given.X, rows.shape[1]), given
    elif given is None:
        return shrink(rows)  # rows outside the domain are refused with the rows themselves
    else:
        points = _rows(given, network)
        chosen = distinct_rows(points)
    refuse_overflow(network, points, "the background")
    if not isinstance(source, Network):
        outside = np.flatnonzero(~contains(source.domain, points))
        if len(outside):
            raise DataError(
                f"row {outside[0]} of the background lies outside the converted domain ({len(outside)} of "
                f"{len(points)} rows do); explain the model file itself, or convert on a larger domain"
            )
    return chosen


def _outputs(network: Network, output: int | Sequence[int] | None) -> list[int]:
    """The numbers of the outputs to explain; raises DataError where there is no such output."""
    if output is None:
        return list(range(network.outputs))
    chosen = [int(k) for k in np.atleast_1d(np.asarray(output))]
    for k in chosen:
        if not 0 <= k < network.outputs:
            raise DataError(f"there is no output {k}: the network has {network.outputs}, counted from 0")
    return chosen
