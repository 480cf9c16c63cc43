"""Modular networks: made of a given one, or trained from scratch in the paper's three steps or under a mask.

The paper: Golechha, Cope and Schoots, "Training Neural Networks for Modularity aids Interpretability" (arXiv
2409.15747). Its third step ends with clusters that weights still join; here those are then removed, and what that
changes is measured and bounded (`removal.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relu_shallow.errors import DataError, ModelError, ReluShallowError, UsageError
from relu_shallow.modular.bipartite import gradient_weights
from relu_shallow.modular.clustering import Labels, check_weights, cluster_graph, even_labels
from relu_shallow.modular.fitting import (
    Data,
    Plan,
    Progress,
    Rows,
    check_targets,
    fit,
    gradients,
    logits,
    outputs_of,
    rows_of,
    score,
    unit_of,
)  # fmt: skip
from relu_shallow.modular.hidden import (
    Hidden,
    check_separate,
    hidden_layers,
    joining_parts,
    masks_of,
    remove_between,
    weights_of,
)  # fmt: skip
from relu_shallow.modular.measures import ENMESHMENT, enmeshment, mean_clusterability

HOWS = ("steps", "mask")
SHOWN = 64  # rows on which a module is run to see its layers


@dataclass(frozen=True)
class Stage:
    """A network on the way: its score (accuracy, or the explained share of variance) and its mean clusterability."""

    name: str
    score: float
    clusterability: float


@dataclass(frozen=True, eq=False)
class Modular:
    """A modular network with all that led to it.

    `before` is the module just before weights between modules were removed, `removed` just after, `module` the one
    trained on from there; under a mask from scratch all three are the result. `labels` are the modules of each hidden
    layer's neurons, `stages` the scores on the way.
    """

    module: Any
    before: Any
    removed: Any
    hidden: Hidden
    labels: Labels
    stages: tuple[Stage, ...]

    @property
    def sizes(self) -> list[list[int]]:
        """Neurons of each module in every hidden layer, a list per layer."""
        k = 1 + max(int(label.max()) for label in self.labels)
        return [np.bincount(label, minlength=k).tolist() for label in self.labels]


class RemovalError(ReluShallowError):
    """A removal that changes more than the user's tolerance."""


def make_modular(
    module: Any,
    data: Any,
    k: int,
    *,
    test: Any = None,
    epochs: int = 20,
    batch: int = 64,
    step: float = 1e-3,
    seed: int = 0,
    tolerance: float | None = None,
    by_gradients: bool = False,
    balanced: bool = True,
    progress: Progress | None = None,
) -> Modular:
    """A trained torch module made modular: cluster, remove the weights between clusters, train on under the mask.

    `module` is left as it was. `data` is (X, y) or a loader of batches (x, y): integers are classes (cross-entropy),
    floats values (squared error). Scores are of `test`, (X, y) too, by default of the data. `by_gradients` clusters
    the loss's gradients in place of the weights. Raises RemovalError, before any training, where the removal changes
    the class of more than a share `tolerance` of the rows, or a value by more than `tolerance`; ModelError where the
    hidden linear layers are no chain, DataError where the data do not fit.
    """
    plan = Plan(epochs, batch, step, seed)
    rows, measured = _prepared(module, data, test)
    work = copy.deepcopy(module)
    hidden = _seen(work, rows, measured)
    found = weights_of(work, hidden)
    check_weights(found, k)
    edges = _gradient_edges(work, hidden, rows, plan) if by_gradients else found
    labels = cluster_graph(edges, k, seed=seed, balanced=balanced)
    given = Stage("given", score(work, measured), mean_clusterability(found, labels))
    return _removed(work, rows, measured, hidden, labels, plan, (given,), tolerance, progress)


def train_modular(
    module: Any,
    data: Any,
    k: int,
    *,
    how: str = "steps",
    test: Any = None,
    epochs: int = 60,
    batch: int = 64,
    step: float = 3e-3,
    seed: int = 0,
    strength: float = ENMESHMENT,
    tune: int = 20,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> Modular:
    """A module trained to be modular from the weights it has, which is left as it was.

    "steps" trains `epochs` in all, half of them ordinarily, clusters, and the other half with the task's loss +
    strength (1 - mean C); then weights between clusters are removed, and `tune` epochs follow under the mask. "mask"
    trains all epochs and `tune` with modules of consecutive neurons from the start: the baseline that the paper lacks.
    Data, test and errors as in `make_modular`.
    """
    if how not in HOWS:
        raise UsageError(f"how is {' or '.join(HOWS)}, got {how!r:.40}")
    plan = Plan(epochs, batch, step, seed)
    rows, measured = _prepared(module, data, test)
    work = copy.deepcopy(module)
    hidden = _seen(work, rows, measured)
    check_weights(weights_of(work, hidden), k)
    if how == "mask":
        return _under_mask(work, rows, measured, hidden, even_labels(hidden.widths, k), plan, tune, progress)
    unit = unit_of(measured)
    fit(work, rows, replace(plan, epochs=epochs // 2), unit=unit, progress=progress, what="ordinary training")
    labels = cluster_graph(weights_of(work, hidden), k, seed=seed)
    stages = [_stage("ordinary", work, measured, hidden, labels)]
    masks, parts = masks_of(work, hidden, labels), joining_parts(work, hidden)
    fit(work, rows, replace(plan, epochs=epochs - epochs // 2), unit=unit, progress=progress, what="enmeshment loss",
        extra=lambda: strength * enmeshment([part.weight for part in parts], masks))  # fmt: skip
    stages.append(_stage("enmeshment", work, measured, hidden, labels))
    plan = replace(plan, epochs=tune, step=step / 3)
    return _removed(work, rows, measured, hidden, labels, plan, tuple(stages), tolerance, progress)


def share_changed(before: Any, after: Any, rows: Rows) -> float:
    """The share of rows that two modules give different classes; of values their largest difference."""
    one, other = outputs_of(before, rows.x), outputs_of(after, rows.x)
    if rows.task == "values":
        return float((one - other).abs().max())
    return float((logits(one).argmax(dim=1) != logits(other).argmax(dim=1)).double().mean())


def _prepared(module: Any, data: Any, test: Any) -> tuple[Data, Rows]:
    """(what is trained on, the rows to measure on)."""
    if not any(True for _ in module.parameters()):
        raise ModelError(f"a {type(module).__name__} has no weights to train")
    if isinstance(data, (tuple, list)) and len(data) == 2 and not isinstance(data[0], (tuple, list)):
        rows = rows_of(*data, like=module)
        return rows, rows if test is None else rows_of(*test, like=module, task=rows.task)
    return data, rows_of(*(_collected(data) if test is None else test), like=module)


def _collected(loader: Any) -> tuple[Any, Any]:
    """All batches of a loader, end to end."""
    import torch

    pairs = [(x, y) for x, y in loader]
    if not pairs:
        raise DataError("the loader gives no batches of (x, y)")
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


def _seen(module: Any, rows: Data, measured: Rows) -> Hidden:
    """The hidden layers, after checking that the data fit the module."""
    hidden = hidden_layers(module, measured.x[:SHOWN])
    outputs = outputs_of(module, measured.x[:SHOWN]).shape[1]
    for part in {id(part): part for part in (rows, measured) if isinstance(part, Rows)}.values():
        check_targets(part, outputs)
    return hidden


def _gradient_edges(module: Any, hidden: Hidden, rows: Data, plan: Plan) -> list[np.ndarray]:
    return [gradient_weights(found) for found in gradients(module, joining_parts(module, hidden), rows, plan)]


def _removed(
    work: Any, rows: Data, measured: Rows, hidden: Hidden, labels: Labels, plan: Plan, stages: tuple[Stage, ...],
    tolerance: float | None, progress: Progress | None,
) -> Modular:  # fmt: skip
    """The weights between modules removed, refused where that changes too much, and trained on without them."""
    before = copy.deepcopy(work).eval()
    masks = masks_of(work, hidden, labels)
    remove_between(work, hidden, masks)
    check_separate(work, hidden, labels, measured.x[:SHOWN])
    _check_tolerance(before, work, measured, tolerance)
    removed = copy.deepcopy(work).eval()
    stages = (*stages, _stage("removed", work, measured, hidden, labels))
    if plan.epochs:
        fit(work, rows, plan, unit=unit_of(measured), after=_keeper(work, hidden, masks), progress=progress,
            what="without these weights")  # fmt: skip
        stages = (*stages, _stage("tuned", work, measured, hidden, labels))
    return Modular(work.eval(), before, removed, hidden, labels, stages)


def _under_mask(
    work: Any, rows: Data, measured: Rows, hidden: Hidden, labels: Labels, plan: Plan, tune: int,
    progress: Progress | None,
) -> Modular:  # fmt: skip
    """Trained with the mask from the start."""
    masks = masks_of(work, hidden, labels)
    keep = _keeper(work, hidden, masks)
    remove_between(work, hidden, masks)
    check_separate(work, hidden, labels, measured.x[:SHOWN])
    plans = {"under the mask": plan, "under the mask, smaller steps": replace(plan, epochs=tune, step=plan.step / 3)}
    for what, part in plans.items():
        fit(work, rows, part, unit=unit_of(measured), after=keep, progress=progress, what=what)
    work.eval()
    return Modular(work, work, work, hidden, labels, (_stage("mask", work, measured, hidden, labels),))


def _check_tolerance(before: Any, after: Any, rows: Rows, tolerance: float | None) -> None:
    if tolerance is None:
        return
    change = share_changed(before, after, rows)
    if change > tolerance:
        what = (f"the class of {change:.2%} of the rows" if rows.task == "classes"
                else f"an output by {change:.6g}")  # fmt: skip
        raise RemovalError(f"the removal changes {what}, more than the tolerance of {tolerance:g}; nothing was "
                           "written. Ask for fewer modules, train with the enmeshment loss first (modular train), or "
                           "raise --tolerance and let the training after it mend the loss")  # fmt: skip


def _keeper(module: Any, hidden: Hidden, masks: Sequence[Any]) -> Callable[[], None]:
    return lambda: remove_between(module, hidden, masks)


def _stage(name: str, module: Any, measured: Rows, hidden: Hidden, labels: Labels) -> Stage:
    return Stage(name, score(module, measured), mean_clusterability(weights_of(module, hidden), labels))
