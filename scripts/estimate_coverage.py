"""How often the interval of `estimate` holds the true number: many seeds, a small fixed budget, known networks.

    python scripts/estimate_coverage.py --seeds 100 --population 4

The budget is far below what `estimate` spends in its ten seconds, on purpose: with it, many of these networks would be
counted exactly, and the weak point of such intervals is a small sample. Prints one line of a table for each network.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from relu_shallow.domain import Box, Domain, fit
from relu_shallow.estimation.drawing import draw
from relu_shallow.estimation.estimating import PILOTS, REPLICATES, interval, replicates, trees_of
from relu_shallow.load import load_network
from relu_shallow.network import Network, from_layers
from relu_shallow.regions.search import enumerate_regions

DATA = Path(os.environ.get("RELU_SHALLOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "onnx"
ACAS = "acasxu/ACASXU_run2a_1_1_batch_2000.onnx"
CASES = {
    "random": ("", Box(-1.0, 1.0)),
    "double": ("archcomp/Double_Pendulum_controller_double_pendulum_less_robust.onnx", Box(-2.0, 2.0)),
    "vcas": ("archcomp/VCAS_VertCAS_noResp_pra01_v9_20HU_200.onnx", Box(-1.0, 1.0)),
    "nav-set": ("archcomp/NAV_nn-nav-set.onnx", Box(-1.0, 1.0)),
    "acc": ("archcomp/ACC_controller_5_20.onnx", Box(-1.0, 1.0)),
    "nav-point": ("archcomp/NAV_nn-nav-point.onnx", Box(-1.0, 1.0)),
    "acas-0.1": (ACAS, Box(-0.1, 0.1)),
}


def network_of(name: str) -> tuple[Network, Domain]:
    """A case's network and domain."""
    path, box = CASES[name]
    if path:
        network = load_network(DATA / path)
    else:
        rng = np.random.default_rng(0)
        widths = [5, 16, 16, 1]
        network = from_layers([(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(widths)])
    return network, fit(box, network.inputs)


def numbers_of(network: Network, domain: Domain, seed: int, population: int) -> tuple[np.ndarray, bool]:
    """The replicates of one run of the estimator, and whether it came to count exactly."""
    trees, rng = trees_of(network, domain, seed), np.random.default_rng(seed)
    for pilot in PILOTS:
        draw(trees, pilot, rng, map)
        trees.learn()
    numbers, _, exact = replicates(trees, population, REPLICATES, rng, map)
    return numbers, exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=10_000, help="the first seed; those below 2,000 set the margin")
    parser.add_argument("--population", type=int, default=4)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--dump", type=Path, help="append every run's replicates to this file, one JSON line each")
    options = parser.parse_args()
    print("| network | regions | covered | median (high - low) / 2 regions | mean / true | CPU s a run |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.case or CASES:
        network, domain = network_of(name)
        true = enumerate_regions(network, domain).regions
        covered, widths, means = 0, [], []
        start = time.process_time()
        for seed in range(options.first, options.first + options.seeds):
            numbers, exact = numbers_of(network, domain, seed, options.population)
            mean, low, high = interval(numbers)
            covered += exact or low <= true <= high
            widths.append((high - low) / (2 * true))
            means.append(mean / true)
            if options.dump:
                with options.dump.open("a") as file:
                    file.write(json.dumps([name, true, options.population, seed, numbers.tolist()]) + "\n")
        spent = (time.process_time() - start) / options.seeds
        print(f"| {name} | {true:,} | {covered} of {options.seeds} | {np.median(widths):.0%} | "
              f"{np.mean(means):.3f} | {spent:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
