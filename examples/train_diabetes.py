"""Trains the example network: progression of diabetes after a year, from ten measurements of 442 patients.

Writes diabetes.csv (the patients, in their own units) and diabetes.pt (the network, which scales its own inputs)
beside itself, in a few seconds. Both are kept in the repository; run this only to make them anew:

    python examples/train_diabetes.py

The data are those of Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", 2004, as they come with
scikit-learn.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn

HERE = Path(__file__).resolve().parent
FEATURES = ("age", "sex", "body_mass_index", "blood_pressure", "total_cholesterol", "ldl", "hdl",
            "cholesterol_ratio", "log_triglycerides", "glucose")  # fmt: skip
TARGET = "progression"
HIDDEN = (12, 6)
EPOCHS = 600
HELD_OUT = 88  # patients, a fifth


def main() -> None:
    patients = load_diabetes(scaled=False)
    X, y = torch.tensor(patients.data, dtype=torch.float32), torch.tensor(patients.target, dtype=torch.float32)
    write_table(patients.data, patients.target)
    torch.manual_seed(0)
    order = torch.randperm(len(X))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    model = network(X[train], y[train])
    fit(model, X[train], y[train])
    for name, rows in (("training", train), ("held-out", test)):
        with torch.no_grad():
            left = (model(X[rows])[:, 0] - y[rows]).square().mean() / y[rows].var(unbiased=False)
        print(f"explained variance on the {len(rows)} {name} patients: {1 - left:.2f}")
    torch.save(model, HERE / "diabetes.pt")


def network(X: torch.Tensor, y: torch.Tensor) -> nn.Sequential:
    """A small ReLU network; its first layer scales each measurement by the training patients' mean and spread."""
    scale = nn.BatchNorm1d(X.shape[1], affine=False)
    scale.running_mean, scale.running_var = X.mean(0), X.var(0)
    widths = (X.shape[1], *HIDDEN)
    layers = [module for a, b in pairwise(widths) for module in (nn.Linear(a, b), nn.ReLU())]
    last = nn.Linear(widths[-1], 1)
    with torch.no_grad():
        last.weight.mul_(y.std())
        last.bias.copy_(y.mean())
    return nn.Sequential(scale, *layers, last).eval()  # eval: the scale is fixed from the start


def fit(model: nn.Sequential, X: torch.Tensor, y: torch.Tensor) -> None:
    steps = torch.optim.AdamW(
        [{"params": model[:-1].parameters()}, {"params": model[-1].parameters(), "lr": 0.3}], lr=0.003, weight_decay=0.1
    )
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(X)).split(64):
            steps.zero_grad()
            ((model(X[rows])[:, 0] - y[rows]) / y.std()).square().mean().backward()
            steps.step()


def write_table(rows: np.ndarray, target: np.ndarray) -> None:
    with (HERE / "diabetes.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*FEATURES, TARGET])
        writer.writerows([*(f"{value:g}" for value in row), f"{y:g}"] for row, y in zip(rows, target, strict=True))


if __name__ == "__main__":
    main()
