"""Trains the example network with two inputs: two interleaving half circles, told apart by twenty neurons.

Writes moons.csv (400 points) and moons.pt (the network) beside itself, in a few seconds. Both are kept in the
repository; run this only to make them anew:

    python examples/train_moons.py

The points are those of scikit-learn's make_moons.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from sklearn.datasets import make_moons
from torch import nn

HERE = Path(__file__).resolve().parent
EPOCHS = 300


def main() -> None:
    points, moon = make_moons(400, noise=0.18, random_state=0)
    write_table(points.round(3), moon)
    X, y = torch.tensor(points.round(3), dtype=torch.float32), torch.tensor(moon)
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))
    steps = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.02)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(X)).split(50):
            steps.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
            steps.step()
    with torch.no_grad():
        print(f"right on {(model(X).argmax(1) == y).float().mean():.1%} of the points")
    torch.save(model.eval(), HERE / "moons.pt")


def write_table(points, moon) -> None:
    with (HERE / "moons.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["across", "up", "moon"])
        writer.writerows([f"{x:g}", f"{y:g}", int(k)] for (x, y), k in zip(points, moon, strict=True))


if __name__ == "__main__":
    main()
