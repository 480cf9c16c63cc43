"""Anything that stands for a network, opened: a path, a live model, a folder of regions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from relu_shallow.network import Network
from relu_shallow.shallow.store import ENDING
from relu_shallow.shallow.stored import StoredNetwork, is_regions, open_converted
from relu_shallow.shallow.table import ShallowNetwork


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
