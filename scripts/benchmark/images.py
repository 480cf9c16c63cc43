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


def small_residual_network(path: Path) -> Network:
    """A residual convolutional network of 32 x 32 images in ten classes, trained for a few epochs from a fixed seed.

    Two blocks of two convolutions with a skip around them, 8 and 16 channels: 12,288 neurons in all, among them the
    carriers that take the skipped values past a layer.
    """
    import torch

    from relu_shallow.load import load_network

    class Block(torch.nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(channels, channels, 3, padding=1)
            self.second = torch.nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.second(torch.relu(self.first(x))))

    torch.manual_seed(0)
    nn, relu = torch.nn, torch.nn.ReLU()
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), relu, Block(8),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), relu, Block(16), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    X, y = color_images(path)
    train(model, torch.tensor(X, dtype=torch.float32), torch.tensor(y))
    return load_network(model.eval(), input_shape=(3, 32, 32))


def color_images(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(X, y) of a file of colour images: X (images, 3, 32, 32) between 0 and 1."""
    with np.load(path) as file:
        return file["X_train"].transpose(0, 3, 1, 2) / 255.0, file["y_train"].astype(np.int64)
