"""How far off the usual explainers are on an ordinary small network: the first table of docs/gradients.md.

    python scripts/gradient_table.py

Trains 10-32-32-1 on scikit-learn's diabetes data, three times the same function to torch: with a nn.ReLU per layer,
with F.relu, and with one nn.ReLU used twice. Exact expected gradients and exact Shapley values come from the network's
weights; shap's DeepExplainer and GradientExplainer are given the module, on the same rows and background. Needs torch,
scikit-learn and shap. Prints a table.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn

from relu_shallow.explanation import Background
from relu_shallow.explanation.exact import exact_values
from relu_shallow.explanation.path import integrated_gradients
from relu_shallow.load import load_network

HIDDEN = 32
EPOCHS = 100
ROWS, BACKGROUND = 60, 40


class OfModules(nn.Module):
    """A nn.ReLU module for each hidden layer."""

    def __init__(self, layers):
        super().__init__()
        self.a, self.b, self.c = layers
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.c(self.second(self.b(self.first(self.a(x)))))


class Functional(OfModules):
    """The same function by F.relu."""

    def forward(self, x):
        return self.c(nn.functional.relu(self.b(nn.functional.relu(self.a(x)))))


class Reused(OfModules):
    """The same function by one nn.ReLU module used twice."""

    def forward(self, x):
        return self.c(self.first(self.b(self.first(self.a(x)))))


WRITTEN = {"an `nn.ReLU` for each layer": OfModules, "`F.relu`": Functional, "one `nn.ReLU`, used twice": Reused}


def trained(X, y, epochs: int):
    """The three linear layers of a network trained on standardised data."""
    layers = [nn.Linear(X.shape[1], HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)]
    model = OfModules(layers)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(X)[:, 0], y).backward()
        optimizer.step()
    return layers


def deep(model, X, B):
    """DeepExplainer's values, and what its own additivity check says of them."""
    import shap

    try:
        return shap.DeepExplainer(model, B).shap_values(X), "passed"
    except AssertionError:
        return shap.DeepExplainer(model, B).shap_values(X, check_additivity=False), "failed"


def gradient(model, X, B):
    """GradientExplainer's values; it has no check."""
    import shap

    return shap.GradientExplainer(model, B).shap_values(X, rseed=0), "has none"


SHAP = {"DeepExplainer": deep, "GradientExplainer": gradient}


def off(found, exact) -> str:
    """The sum of all absolute differences over the sum of all absolute exact values."""
    return f"{100 * np.abs(found - exact).sum() / np.abs(exact).sum():.3g} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--background", type=int, default=BACKGROUND)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    data = load_diabetes()
    X = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0), dtype=torch.float32)
    y = torch.tensor((data.target - data.target.mean()) / data.target.std(), dtype=torch.float32)
    torch.manual_seed(given.seed)
    order = torch.randperm(len(X))
    held_out, train = order[: given.rows], order[given.rows :]
    layers = trained(X[train], y[train], given.epochs)
    with torch.no_grad():
        left = nn.functional.mse_loss(OfModules(layers)(X[held_out])[:, 0], y[held_out]) / y[held_out].var()
    print(f"explained variance on the {given.rows} rows explained, which were held out: {1 - left:.2f}\n")
    table(layers, X[held_out], X[train[: given.background]])


def table(layers, rows, points):
    """A line for each explainer and way to write the network, the exact values first."""
    network = load_network(OfModules(layers), input_shape=(rows.shape[1],))
    x, b = rows.double().numpy(), points.double().numpy()
    background = Background(b, np.ones(len(b)))
    shapley, expected = (f(network, x, background, [0])[:, 0] for f in (exact_values, integrated_gradients))
    gained = (network(x) - background.weights @ network(b))[:, 0]

    def line(title, written, found, check):
        gap = f"{np.abs(found.sum(axis=1) - gained).max() / np.abs(gained).max():.0e}"
        print(f"| {title} | {written} | {off(found, shapley)} | {off(found, expected)} | {gap} | {check} |")

    print("| values | network written with | off the exact Shapley values | off the exact expected gradients "
          "| additivity gap | its own check |\n| --- | --- | --- | --- | --- | --- |")  # fmt: skip
    line("exact Shapley values", "any", shapley, "")
    line("exact expected gradients", "any", expected, "")
    for title, values in SHAP.items():
        for written, kind in WRITTEN.items():
            found, check = values(kind(layers).eval(), rows, points)
            line(f"shap's {title}", written, np.asarray(found, dtype=np.float64).reshape(x.shape), check)


if __name__ == "__main__":
    main()
