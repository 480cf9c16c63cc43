"""A network as a PyTorch module that can be trained: linear layers, and gates that PyTorch knows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import ModelError
from relu_shallow.network import Gate, Network

SPREAD_OF_NONE = 1.0  # what a feature that does not vary is divided by


def module_of(network: Network) -> Any:
    """The module of a network without its head, in double precision, with the very weights.

    Raises ModelError where a layer is sparse (a convolution), or a gate's active slope is not 1.
    """
    from torch import nn

    layers: list[Any] = []
    for index, layer in enumerate(network.affine):
        if not isinstance(layer.W, np.ndarray):
            raise ModelError(f"layer {index + 1} of {network.source.name} is a convolution or otherwise sparse; load "
                             "the model with PyTorch and call relu_shallow.modular.making.make_modular on it, which "
                             "keeps convolutions as they are")  # fmt: skip
        layers.append(_linear(layer.W, layer.b))
        if index < len(network.gates):
            layers.append(_activation(network.gates[index], index + 1))
    return nn.Sequential(*layers).double().eval()


def new_module(
    X: Float[np.ndarray, "rows inputs"],
    hidden: tuple[int, ...],
    y: Float[np.ndarray, "rows values"] | int,
    seed: int = 0,
) -> Any:
    """An untrained ReLU network for inputs like X, whose mean and spread its first layer takes out.

    `y` is the number of classes, or the values to be approximated, whose mean and spread a last such layer puts in.
    Both these layers are in evaluation mode, so that no training changes them.
    """
    import torch
    from torch import nn


    outputs = y if isinstance(y, int) else y.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [part for a, b in pairwise((X.shape[1], *hidden)) for part in (nn.Linear(a, b), nn.ReLU())]
        layers.append(nn.Linear(hidden[-1], outputs))
    mean, spread = X.mean(axis=0), _spread(X)
    layers.insert(0, _scaled(mean, spread))
    if not isinstance(y, int):  # y = spread * (value + mean / spread)
        layers.append(_scaled(-y.mean(axis=0) / _spread(y), 1 / _spread(y)))
    return nn.Sequential(*layers).double()


def _spread(X: np.ndarray) -> np.ndarray:
    spread = X.std(axis=0)
    return np.where(spread > 0, spread, SPREAD_OF_NONE)


def _scaled(mean: np.ndarray, spread: np.ndarray) -> Any:
    """The layer x -> (x - mean) / spread, which no training changes."""
    import torch
    from torch import nn

    layer = nn.BatchNorm1d(len(mean), affine=False, eps=0.0).eval()
    layer.running_mean, layer.running_var = torch.tensor(mean), torch.tensor(np.square(spread))
    return layer


def with_head(module: Any, head: str) -> Any:
    """The module followed by a network's head."""
    from torch import nn

    heads = {"softmax": lambda: nn.Softmax(dim=1), "log_softmax": lambda: nn.LogSoftmax(dim=1),
             "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}  # fmt: skip
    return module if head == "identity" else nn.Sequential(*module, heads[head]()).eval()


def _linear(W: np.ndarray, b: np.ndarray) -> Any:
    import torch

    layer = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W.copy()))
        layer.bias.copy_(torch.from_numpy(b.copy()))
    return layer


def _activation(gate: Gate, number: int) -> Any:
    import torch
    from torch import nn

    if (gate.active != 1).any():
        raise ModelError(f"the gates of hidden layer {number} have other slopes than 1 where they are active, which "
                         "PyTorch has no layer for; load the model with PyTorch and call "
                         "relu_shallow.modular.making.make_modular on it")  # fmt: skip
    if not gate.inactive.any():
        return nn.ReLU()
    if (gate.inactive == gate.inactive[0]).all():
        return nn.LeakyReLU(float(gate.inactive[0]))
    slopes = nn.PReLU(len(gate.inactive))
    slopes.weight = nn.Parameter(torch.tensor(gate.inactive), requires_grad=False)
    return slopes
