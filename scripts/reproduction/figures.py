"""The figures of one run: accuracy, clusterability, removal, circuits, specialisation, regions."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from relu_shallow.modular.ablation import class_accuracy, random_labels, specialisation
from relu_shallow.modular.circuits import circuit
from relu_shallow.modular.fitting import rows_of, score
from relu_shallow.modular.hidden import weights_of
from relu_shallow.modular.making import Modular
from relu_shallow.modular.measures import clustered_clusterability
from relu_shallow.modular.removal import removal
from reproduction.counting import regions
from reproduction.tasks import Task
from reproduction.ways import ORDINARY, Trained, dense_part, inputs_of_dense, train

DRAWS = 10  # random groups of neurons beside the modules


def run(task: Task, way: str, k: int, seed: int, *, quick: bool, limit: float) -> dict[str, Any]:
    """One line of the results file. An ordinary network's circuits and regions are measured once, at k = 1."""
    began = perf_counter()
    trained = train(task, way, k, seed)
    found: dict[str, Any] = {"task": task.name, "way": way, "k": k, "seed": seed, "quick": quick, "limit": limit}
    found["accuracy"] = score(trained.module, rows_of(*trained.rows[1], like=trained.module))
    found["training_seconds"] = round(perf_counter() - began, 1)
    if trained.made is not None:
        found |= _of_modules(trained.made, trained, k, seed)
    if not (way == ORDINARY and k > 1):
        network = dense_part(trained.module)
        X = [inputs_of_dense(trained.module, rows[0]) for rows in trained.rows]
        found |= _circuits(task, network, X[0], trained.rows[0][1])
        every = np.concatenate(X)
        found["count"] = regions(network, every.min(axis=0), every.max(axis=0), limit, seed)
    return found | {"all_seconds": round(perf_counter() - began, 1)}


def _of_modules(made: Modular, trained: Trained, k: int, seed: int) -> dict[str, Any]:
    """Clusterability and the removal, of the network before it; specialisation, of the network of this way."""
    stages = {stage.name: stage for stage in made.stages}
    before = list(stages.values())[-1 if "removed" not in stages else list(stages).index("removed") - 1]
    told = removal(dense_part(made.before), dense_part(made.removed), inputs_of_dense(made.before, trained.rows[1][0]))
    weights = weights_of(made.before, made.hidden)
    found = {
        "before": before.score, "C": before.clusterability,
        "C_published": float(np.mean(clustered_clusterability(weights, k, seed=seed, published=True))),
        "removed": stages["removed"].score if "removed" in stages else None,
        "changed": told.share_changed if "removed" in stages else None,
        "proved": told.share_proved if "removed" in stages else None,
    }  # fmt: skip
    return found | _specialised(trained, made, seed)


def _specialised(trained: Trained, made: Modular, seed: int) -> dict[str, Any]:
    """Specialisation of the modules and of random groups of the same sizes, and what their absence costs.

    The cost is the accuracy lost, mean over groups and classes. Groups that cost less look more special, since fewer
    classes notice at all: where modules cost less than random groups, their indices are not comparable.
    """
    X, y = trained.rows[1]
    groups = [made.labels, *(random_labels(made.labels, seed * DRAWS + i) for i in range(DRAWS))]
    all_ = [class_accuracy(trained.module, made.hidden, labels, X, y) for labels in groups]
    index = [None if np.isnan(value) else value for value in map(specialisation, all_)]
    cost = [float(np.maximum(np.nan_to_num(one.drop), 0.0).mean()) for one in all_]
    return {"special": index[0], "random": [value for value in index[1:] if value is not None],
            "cost": cost[0], "random_cost": float(np.mean(cost[1:]))}  # fmt: skip


def _circuits(task: Task, network: Any, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Means over the classes looked at, of circuits as repaired and as published."""
    X, y = X[: task.circuit_rows], y[: task.circuit_rows]
    found: dict[str, Any] = {}
    for name, published in (("circuit", False), ("circuit_published", True)):
        all_ = [circuit(network, X, y, target, search=task.search, smallest=task.smallest, published=published)
                for target in range(task.circuits)]  # fmt: skip
        found[name] = {"weights": float(np.mean([one.weights for one in all_])),
                       "share": float(np.mean([one.share for one in all_])),
                       "answered": float(np.mean([one.answered for one in all_]))}  # fmt: skip
    return found
