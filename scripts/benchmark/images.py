"""Networks trained on images of the data folder, and slices through a few images: many neurons on small domains."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmark.problem import Problem
from relu_shallow.domain import Box, fit
from relu_shallow.network import Network, dense, from_layers
from relu_shallow.slices import Subspace, line, on_slice, plane

EPOCHS = 3
BATCH = 128
RATE = 1e-3  # Adam's


def digit_slice(path: Path, *digits: int) -> Problem:
    """784-512-512-10, trained on the digits of a file, between the first images of two digits or through three."""
    with np.load(path) as file:
        X, y = file["X"].reshape(len(file["X"]), -1) / 255.0, file["y"].astype(np.int64)
    points = [X[np.flatnonzero(y == digit)[0]] for digit in digits]
    return on_problem(digit_network(path), line(*points) if len(points) == 2 else plane(*points))


def on_problem(network: Network, where: Subspace) -> Problem:
    """A network on a slice as a problem for every system: its composed layers and the box of its coordinates."""
    composed, domain = on_slice(network, where)
    box = fit(domain, composed.inputs)
    assert isinstance(box, Box)
    return Problem([(dense(layer.W), layer.b) for layer in composed.affine], box.lo, box.hi)


@lru_cache(maxsize=1)
def digit_network(path: Path) -> Network:
    """784-512-512-10, trained for a few epochs from a fixed seed; the same on one machine, nearly so on another."""
    import torch

    torch.manual_seed(0)
    with np.load(path) as file:
        X = torch.tensor(file["X"].reshape(len(file["X"]), -1) / 255.0, dtype=torch.float32)
        y = torch.tensor(file["y"].astype(np.int64))
    layers = [torch.nn.Linear(784, 512), torch.nn.Linear(512, 512), torch.nn.Linear(512, 10)]
    relu = torch.nn.ReLU()
    train(torch.nn.Sequential(layers[0], relu, layers[1], relu, layers[2]), X, y)
    return from_layers([(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
                        for layer in layers])  # fmt: skip


def train(model, X, y, epochs: int = EPOCHS) -> None:  # type: ignore[no-untyped-def]  # torch's own types
    """Trains a classifier in place."""
    import torch

    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
            optimizer.step()
