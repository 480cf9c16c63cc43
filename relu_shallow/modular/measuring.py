"""The published measures of one network on one table, repaired, and as published beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from relu_shallow.modular.ablation import ClassAccuracy, class_accuracy, random_labels, specialisation
from relu_shallow.modular.circuits import Circuit, circuit
from relu_shallow.modular.clustering import Labels, cluster_graph
from relu_shallow.modular.hidden import hidden_layers, weights_of
from relu_shallow.modular.measures import clustered_clusterability, layer_clusterability
from relu_shallow.modular.torch_module import module_of
from relu_shallow.network import Network

RANDOM_DRAWS = 5


@dataclass(frozen=True, eq=False)
class Measures:
    """C of each hidden-to-hidden matrix, what each module is for, and each class's circuit.

    `specialised` is of the modules found, `at_random` of random groups of neurons of the same sizes (mean of five).
    Circuits are empty where none were asked for.
    """

    labels: Labels
    clusterability: list[float]
    published: list[float]
    accuracy: ClassAccuracy
    specialised: float
    at_random: float
    circuits: tuple[Circuit, ...]
    published_circuits: tuple[Circuit, ...]


def measure(
    network: Network,
    X: Float[np.ndarray, "rows inputs"],
    y: Int[np.ndarray, " rows"],
    k: int,
    *,
    seed: int = 0,
    search: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Measures:
    """The measures on rows X of classes y with k modules found in the weights; circuits where a `search` is given.

    Raises as `cluster_graph` and `circuit`.
    """
    import torch

    module = module_of(network)
    hidden = hidden_layers(module, torch.from_numpy(np.ascontiguousarray(X[:1])))
    weights = weights_of(module, hidden)
    labels = cluster_graph(weights, k, seed=seed)
    found = class_accuracy(module, hidden, labels, X, y)
    draws = [class_accuracy(module, hidden, random_labels(labels, seed + i), X, y) for i in range(RANDOM_DRAWS)]
    pairs = [] if search is None else _circuits(network, X, y, search, progress)
    return Measures(
        labels, layer_clusterability(weights, labels), clustered_clusterability(weights, k, seed=seed, published=True),
        found, specialisation(found), float(np.mean([specialisation(draw) for draw in draws])),
        tuple(one for one, _ in pairs), tuple(other for _, other in pairs),
    )  # fmt: skip


def _circuits(
    network: Network, X: np.ndarray, y: np.ndarray, search: str, progress: Callable[[int], None]
) -> list[tuple[Circuit, Circuit]]:
    """Each class's circuit, as repaired and as published."""
    found = []
    for target in np.unique(y).tolist():
        one, other = (circuit(network, X, y, target, search=search, published=flag) for flag in (False, True))
        found.append((one, other))
        progress(len(found))
    return found
