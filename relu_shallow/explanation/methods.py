"""From a network and rows to their attributions: the local model, what is certified of it, and exact values."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from relu_shallow.data import DataTable, columns_by_name, match_columns
from relu_shallow.domain import contains
from relu_shallow.errors import DataError
from relu_shallow.explanation.attribution import LOCAL, Attribution, exactly, shap_explanation, unbounded, with_values
from relu_shallow.explanation.background import Background, background_of, distinct_rows
from relu_shallow.explanation.estimate import TOLERANCE
from relu_shallow.explanation.exact import REACH, Progress
from relu_shallow.explanation.groups import Groups, group_interactions, groups_of
from relu_shallow.explanation.hybrids import interaction_values
from relu_shallow.explanation.interop import background_from, rows_of
from relu_shallow.explanation.local import certified, local_values
from relu_shallow.explanation.model import boundary_distance, local_model
from relu_shallow.explanation.work import METHODS, Task
from relu_shallow.naming import named_by
from relu_shallow.network import Network
from relu_shallow.shallow.opening import opened
from relu_shallow.shallow.stored import StoredNetwork
from relu_shallow.shallow.table import ShallowNetwork, as_points, refuse_overflow, refuse_rows

DEFAULT_BACKGROUND = "kmeans:100"


def explain(
    model: Any,
    X: Any,
    *,
    background: Any = None,
    method: str = "auto",
    output: int | str | Sequence[int | str] | None = None,
    time_limit: float | None = None,
    groups: Any = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    workers: int | None = None,
    interactions: bool = False,
    modules: bool = False,
    trust: Sequence[str] = (),
) -> Any:
    """SHAP values of every row of X as a shap.Explanation; see `explain_rows`.

    `model` is a ShallowNetwork, a StoredNetwork, a RegionsFolder, a Network, or anything that `load_network`,
    `load_shallow` or `open_regions` reads. With `interactions` the explanation carries `interaction_values`, (rows,
    features, features) or with the outputs as a last axis, groups in place of their features; see `interaction_values`
    in hybrids.py. With `modules` it
    carries `by_module`, an explanation of each of the network's modules, whose values sum to its own.
    """
    source = opened(model, trust)
    asked: dict[str, Any] = {
        "background": background, "method": method, "output": output, "time_limit": time_limit, "groups": groups,
        "tolerance": tolerance, "seed": seed, "workers": workers,
    }  # fmt: skip
    if modules:
        from relu_shallow.explanation.by_module import explain_by_module

        attribution, parts = explain_by_module(source, X, **asked)
    else:
        attribution, parts = explain_rows(source, X, **asked), ()
    explanation = shap_explanation(attribution)
    if modules:
        explanation.by_module = [shap_explanation(part) for part in parts]
    if interactions:
        network = source if isinstance(source, Network) else source.network
        each = interaction_values(network, attribution.X, attribution.background, list(attribution.outputs))
        found, _ = group_interactions(each, attribution.feature_names, attribution.groups)
        explanation.interaction_values = found[:, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)
    return explanation


@np.errstate(over="ignore", invalid="ignore")  # rows that overflow are refused by number
def explain_rows(
    source: ShallowNetwork | StoredNetwork | Network,
    X: Any,
    *,
    background: Any = None,
    method: str = "auto",
    output: int | str | Sequence[int | str] | None = None,
    time_limit: float | None = None,
    groups: Any = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    reach: float = REACH,
) -> Attribution:
    """The attribution of every row of X (array, data frame, DataTable, shap.Explanation), for all outputs or some.

    The background is `background` (rows, a Background with weights, a masker of shap, a word as "sample:200"), else X
    itself shrunk to 100 weighted rows. `method` is one of METHODS:

    "exact"       the network's own interventional Shapley values, however long they take
    "bounds"      certified intervals around them, narrowed for `time_limit` seconds
    "estimate"    a sample's mean with standard errors, until these are `tolerance` of the prediction's scale
    "local"       the local model's values, which cost nothing; "exact" where they are proved to be the network's
    "integrated"  integrated gradients, averaged over the background, exactly
    "auto"        exact values of rows within reach, else bounds or an estimate, whichever is narrower

    Rows left when `time_limit` seconds are over keep local values and say so. `groups` asks for sums over features
    (see `groups_of`), `seed` is what estimates start from, `progress` is called with the number of rows done; `reach`
    is how many multiply-adds "auto" tries for a row.

    Raises DataError for rows that do not fit or lie outside the converted domain, and for a network too large for the
    method.
    """
    if method not in METHODS:
        raise DataError(f"there is no method {method!r}; the methods are {', '.join(METHODS)}")
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    network = source if isinstance(source, Network) else source.network
    X = rows_of(X)
    if isinstance(X, DataTable):
        source = named_by(source, X)
        network = source if isinstance(source, Network) else source.network
    background = background_from(background, network.feature_names)
    rows = _rows(X, network)
    refuse_overflow(network, rows, "the data")
    chosen = _background(source, rows, _aligned(background, X, network))
    outputs = _outputs(network, output)
    asked = {} if groups is None else groups_of(groups, network.feature_names)
    local, proved = _local(source, rows, chosen, outputs, asked, method)
    todo = np.arange(len(rows)) if method == "integrated" else np.flatnonzero(~proved)
    told = progress or (lambda _: None)
    task = Task(
        network, rows[todo], np.arange(len(todo)), chosen, outputs, asked, deadline, tolerance, seed, workers, told,
        reach,
    )
    found = local
    for some, values in METHODS[method](task) if len(todo) else ():
        found = with_values(found, todo[some], values)
    held = np.isfinite(found.phi).all(axis=(1, 2)) & np.isfinite(found.gap).all(axis=1)
    refuse_rows(~held, "the data")
    return found


def _local(
    source: ShallowNetwork | StoredNetwork | Network,
    rows: Float[np.ndarray, "rows inputs"],
    background: Background,
    outputs: list[int],
    groups: Groups,
    method: str,
) -> tuple[Attribution, Bool[np.ndarray, " rows"]]:
    """The attribution by local values, and the rows in which they are proved to be the network's own."""
    network = source if isinstance(source, Network) else source.network
    model = local_model(source, rows, outputs)
    proved = certified(network, model, rows, background)
    phi = local_values(model, rows, background)
    values = unbounded(phi, groups, (LOCAL,) * len(rows))
    attribution = Attribution(
        X=rows,
        **vars(values),
        prediction=np.einsum("rmn,rn->rm", model.alpha, rows) + model.beta,
        base_value=background.weights @ network(background.X)[:, outputs],
        region=model.region,
        distance=boundary_distance(network, model, rows),
        alpha=model.alpha,
        beta=model.beta,
        background=background,
        outputs=tuple(outputs),
        feature_names=network.feature_names,
        output_names=tuple(network.output_names[k] for k in outputs),
        groups=groups,
        method=method,
    )
    return with_values(attribution, np.flatnonzero(proved), exactly(phi[proved], groups)), proved


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
    elif given is None or isinstance(given, str):
        return background_of(given or DEFAULT_BACKGROUND, rows)  # rows outside the domain are refused as rows
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


def _outputs(network: Network, output: Any) -> list[int]:
    """The numbers of the outputs to explain, given by number or name; raises DataError where there is no such."""
    if output is None:
        return list(range(network.outputs))
    asked = [output] if isinstance(output, str) else np.atleast_1d(np.asarray(output)).tolist()
    names = network.output_names
    for name in asked:
        if isinstance(name, str) and name not in names:
            raise DataError(f"there is no output {name!r}: the network has {', '.join(names[:12])}")
    chosen = [names.index(name) if isinstance(name, str) else int(name) for name in asked]
    for k in chosen:
        if not 0 <= k < network.outputs:
            raise DataError(f"there is no output {k}: the network has {network.outputs}, counted from 0")
    return chosen
