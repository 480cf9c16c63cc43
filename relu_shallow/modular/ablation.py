"""What a module is for: accuracy class by class with the module off, or alone on, and how special modules are.

A module is off where its hidden neurons pass 0 on; alone on where all others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.errors import DataError
from relu_shallow.modular.fitting import logits, outputs_of, rows_of
from relu_shallow.modular.hidden import Hidden, only


@dataclass(frozen=True, eq=False)
class ClassAccuracy:
    """Accuracy on the rows of each class: of the whole network, with each module off, with each alone on.

    NaN stands for a class without rows.
    """

    whole: Float[np.ndarray, " classes"]
    off: Float[np.ndarray, "modules classes"]
    alone: Float[np.ndarray, "modules classes"]

    @property
    def drop(self) -> Float[np.ndarray, "modules classes"]:
        """What each class loses where a module is off."""
        return self.whole - self.off


def class_accuracy(module: Any, hidden: Hidden, labels: Sequence[np.ndarray], X: Any, y: Any) -> ClassAccuracy:
    """The accuracies of a torch module whose hidden neurons have these module numbers, on rows X of classes y."""
    rows = rows_of(X, y, like=module, task="classes")

    def accuracy(keep: Sequence[np.ndarray] | None) -> np.ndarray:
        with nullcontext() if keep is None else only(module, hidden, keep):
            out = logits(outputs_of(module, rows.x))
        return _by_class(out.argmax(dim=1).cpu().numpy(), rows.y.cpu().numpy(), out.shape[1])

    modules = range(1 + max(int(label.max()) for label in labels))
    off = np.array([accuracy([label != j for label in labels]) for j in modules])
    alone = np.array([accuracy([label == j for label in labels]) for j in modules])
    return ClassAccuracy(accuracy(None), off, alone)


def specialisation(found: ClassAccuracy) -> float:
    """How far the losses with one module off keep to few classes: 1 all to one class, 0 evenly over all.

    1 - entropy / log(classes) of each module's losses (gains count 0), averaged with the losses' sizes as weights; NaN
    where no module's absence costs anything. Says little without `random_labels` beside it.
    """
    loss = np.maximum(np.nan_to_num(found.drop), 0.0)
    size = loss.sum(axis=1)
    if not size.any():
        return float("nan")
    share = loss[size > 0] / size[size > 0, None]
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    return float(np.average(1 - entropy / np.log(loss.shape[1]), weights=size[size > 0]))


def random_labels(labels: Sequence[np.ndarray], seed: int = 0) -> tuple[Int[np.ndarray, " neurons"], ...]:
    """Labels of the same sizes given to neurons at random: what specialisation is to be compared with."""
    rng = np.random.default_rng(seed)
    return tuple(rng.permutation(label) for label in labels)


def _by_class(guess: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    count = np.bincount(y, minlength=classes)
    if len(count) > classes or y.min() < 0:
        raise DataError(f"the target has classes {y.min()} to {y.max()}, but the network tells {classes} apart")
    right = np.bincount(y[guess == y], minlength=classes)
    return np.where(count > 0, right / np.maximum(count, 1), np.nan)
