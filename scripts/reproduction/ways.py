"""The ways to a network that are compared, each from the same draws of a seed: what they give, and the dense part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from relu_shallow.load import load_network
from relu_shallow.modular.fitting import Plan, fit, outputs_of, rows_of
from relu_shallow.modular.making import Modular, make_modular, train_modular
from relu_shallow.network import Network
from reproduction.tasks import Rows, Task, split, untrained

ORDINARY, STEPS, MASK, MAKE, ONE_LAYER = "ordinary", "three steps", "hard mask", "make-modular", "one hidden layer"
WAYS = (ORDINARY, STEPS, MASK, MAKE, ONE_LAYER)


@dataclass(frozen=True, eq=False)
class Trained:
    """A network of a way: the module, and how it came to be modular where it did (None: it did not)."""

    module: Any
    made: Modular | None
    rows: tuple[Rows, Rows]


def wanted(task: Task) -> list[tuple[str, int]]:
    """(way, k) of a task; k = 1 stands for a network as it is, without a number of modules."""
    pairs = [(ORDINARY, 1), (ONE_LAYER, 1)]
    return pairs + [(way, k) for k in task.ks for way in (ORDINARY, STEPS, MASK, MAKE)]


def train(task: Task, way: str, k: int, seed: int) -> Trained:
    """The network of one run.

    The ordinary one at k > 1 is clustered and parted without training on, to see what that costs.
    """
    rows = split(task, seed)
    if way == ONE_LAYER:
        return Trained(_fitted(task, seed, task.one_layer), None, rows)
    if way == ORDINARY and k == 1:
        return Trained(_fitted(task, seed, task.widths), None, rows)
    if way in (STEPS, MASK):
        made = train_modular(untrained(task, seed), rows[0], k, how="steps" if way == STEPS else "mask", test=rows[1],
                             epochs=task.epochs, step=task.step, tune=task.tune, seed=seed)  # fmt: skip
        return Trained(made.module, made, rows)
    ordinary = _fitted(task, seed, task.widths)
    made = make_modular(ordinary, rows[0], k, test=rows[1], epochs=task.tune if way == MAKE else 0, step=task.step / 3,
                        seed=seed)  # fmt: skip
    return Trained(made.module if way == MAKE else ordinary, made, rows)


def dense_part(module: Any) -> Network:
    """The linear layers of a module with their gates."""
    from torch import nn

    return load_network(nn.Sequential(*list(module)[_first_linear(module) :]))


def inputs_of_dense(module: Any, X: np.ndarray) -> np.ndarray:
    """What comes into a module's first linear layer, (rows, values)."""
    import torch

    front = module[: _first_linear(module)]
    return (outputs_of(front, torch.from_numpy(X)) if len(front) else torch.from_numpy(X)).double().numpy()


def _first_linear(module: Any) -> int:
    from torch import nn

    return next(index for index, part in enumerate(module) if isinstance(part, nn.Linear))


@lru_cache(maxsize=4)
def _fitted(task: Task, seed: int, widths: tuple[int, ...]) -> Any:
    """An ordinary network, trained as long as the modular ones; not to be changed."""
    module = untrained(task, seed, widths)
    train_rows = rows_of(*split(task, seed)[0], like=module)
    for epochs, step in ((task.epochs, task.step), (task.tune, task.step / 3)):
        fit(module, train_rows, Plan(epochs, step=step, seed=seed))
    return module.eval()
