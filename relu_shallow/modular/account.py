"""The account of a network made modular: scores on the way, the certificate of the removal, what changed in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.load import load_network
from relu_shallow.modular.fitting import rows_of
from relu_shallow.modular.hidden import weights_of
from relu_shallow.modular.making import Modular, Stage, share_changed
from relu_shallow.modular.measures import clustered_clusterability
from relu_shallow.modular.removal import Removal, removal
from relu_shallow.modular.removal_box import change_in_box
from relu_shallow.modular.tables import Examples
from relu_shallow.network import Network


@dataclass(frozen=True, eq=False)
class Account:
    """What is to be told: `sizes` are neurons per module and hidden layer, a list per layer.

    `least` and `most` bound the removal's change of each output at every point of the box of all rows. `in_all` is the
    share of held-out rows whose class differs between the network just before the removal and the final one (of
    values: the largest difference); `published` is C of each matrix before the removal by the published procedure.
    """

    stages: tuple[Stage, ...]
    sizes: list[list[int]]
    removal: Removal
    least: Float[np.ndarray, " outputs"]
    most: Float[np.ndarray, " outputs"]
    in_all: float
    published: tuple[float, ...]
    final: Network


def account_of(made: Modular, everything: Examples, test: Examples, *, seed: int = 0) -> Account:
    """The account of a made network: the removal on the test rows and over the box of all rows."""
    before, after = load_network(made.before), load_network(made.removed)
    least, most = change_in_box(before, after, everything.X.min(axis=0), everything.X.max(axis=0))
    k = len(made.sizes[0])
    rows = rows_of(test.X, test.y, like=made.module, task=test.task)
    published = clustered_clusterability(weights_of(made.before, made.hidden), k, seed=seed, published=True)
    return Account(
        made.stages, made.sizes, removal(before, after, test.X), least, most,
        share_changed(made.before, made.module, rows), tuple(published), load_network(made.module),
    )  # fmt: skip
