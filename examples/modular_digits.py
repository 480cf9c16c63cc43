"""A digit classifier made modular, converted completely, verified, certified and explained.

    python examples/modular_digits.py        about two minutes; writes examples/digits-modular.pt

64 pixels, 64-32-32-10, sixteen modules of 2 + 2 neurons. In one list its linear regions could be 10^14; in a list for
each module they are some hundred and twenty. The data are the 1,797 digits that come with scikit-learn.
"""

from math import log10, prod
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import relu_shallow as rs
from relu_shallow.load import load_network
from relu_shallow.modular.making import train_modular
from relu_shallow.modular.removal import removal
from relu_shallow.modular.removal_box import change_in_box

MODULES, TEST = 16, 360
OUT = Path(__file__).with_name("digits-modular.pt")


def main() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    X, y = (digits.data / 16.0)[order].astype(np.float32), digits.target[order]
    train, test = (X[TEST:], y[TEST:]), (X[:TEST], y[:TEST])

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    made = train_modular(module, train, MODULES, how="steps", test=test)
    torch.save(made.module, OUT)
    print("Training in three steps, then without the weights between modules (accuracy on held-out digits):")
    for stage in made.stages:
        print(f"  {stage.name:20} {stage.score:.3f}   clusterability {stage.clusterability:.5f}")

    before, removed = load_network(made.before), load_network(made.removed)
    rows = test[0].astype(np.float64)
    found = removal(before, removed, rows)
    least, most = change_in_box(before, removed, np.zeros(64), np.ones(64))
    moved = max(-least.min(), most.max())
    print(f"The removal: {found.share_proved:.1%} of the digits keep their class, proved, {found.share_changed:.1%} "
          f"change it; no output of any image moves by more than {moved:.3g}.")  # fmt: skip

    shallow = rs.convert(OUT, rs.Box(0, 1), modular=True)
    counts = [table.regions for table in shallow.tables]
    print(f"Converted: {shallow.regions} regions in {len(counts)} modules, {shallow.completeness.level}; "
          f"one list would hold up to 10^{log10(prod(counts)):.0f}.")  # fmt: skip
    verification = rs.verify(shallow, OUT, data=rows, exact=True)
    print(f"Verified: {sum(check.ok for check in verification.checks)} of {len(verification.checks)} checks hold.")
    assert verification.ok

    radii = rs.robust_radii(shallow, rows[:20])
    print(f"Robust radii of 20 digits (largest change of any pixel, 0 to 1): {radii.status.count('exact')} exact, "
          f"median {np.median(radii.lower):.3f}.")  # fmt: skip

    explanation = rs.explain(shallow, rows[:50], background=train[0][:100].astype(np.float64), method="integrated",
                             modules=True)  # fmt: skip
    parts = np.array([part.values.sum(axis=1) for part in explanation.by_module])  # (modules, rows, outputs)
    gap = np.abs(parts.sum(axis=0) - (shallow(rows[:50]) - explanation.base_values)).max()
    one = int(y[0])
    strongest = np.argsort(-np.abs(parts[:, 0, one]))[:3]
    print(f"Explained: expected gradients of {len(parts)} modules add up to {gap:.1g}. Of the first digit, a {one}: "
          + ", ".join(f"module {k} {parts[k, 0, one]:+.2f}" for k in strongest))  # fmt: skip


if __name__ == "__main__":
    main()
