"""Local SHAP values of many rows: what the whole takes, and what each step of it does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmark.report import seconds
from benchmark.shapley import layers
from relu_shallow.explanation import Background
from relu_shallow.explanation.local import certified, local_values
from relu_shallow.explanation.methods import explain_rows
from relu_shallow.explanation.model import boundary_distance, local_model
from relu_shallow.load import load_network
from relu_shallow.network import Network

ROWS, QUICK_ROWS, INPUTS, HIDDEN, POINTS = 100_000, 2000, 13, (16, 16), 20
TARGET = 2.0  # seconds for ROWS, the gap included, certificates of pairs not
ABOUT = f"""\
The method `local` for {ROWS:,} rows, with their additivity gap, and its steps one by one. The certificates say for
which rows the local values are proved to be the network's own; they are looked for only where all background rows lie
in one region, and there in the rows of that region. Target: {TARGET:g} seconds without certificates."""


def section(quick: bool, rounds: int, say: Callable[[str], None]) -> str:
    """The part as Markdown: the whole and its steps, medians of the rounds."""
    import torch

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    rows = QUICK_ROWS if quick else ROWS
    network = load_network(layers(INPUTS, *HIDDEN, 1), input_shape=(INPUTS,))
    X = random.normal(size=(rows, INPUTS))
    background = Background(random.normal(size=(POINTS, INPUTS)), np.ones(POINTS))
    center = X[: rows // 100].mean(axis=0)
    near = center + 1e-3 * random.normal(size=(rows, INPUTS))
    widths = "-".join(map(str, (INPUTS, *HIDDEN, 1)))
    parts = ["## Local SHAP values", ABOUT]
    cases = {"in many regions": (X, background), "nearly all in one region": (near, Background(near[:1], np.ones(1)))}
    for title, (some, chosen) in cases.items():
        say(title)
        table = _table(network, some, chosen, 1 if quick else rounds, say)
        count = len(chosen.X)
        points = f"{count} background row{'s' if count > 1 else ''}"
        parts.append(f"**{widths}, random, {rows:,} rows, {points}, {title}**\n\n{table}")
    return "\n\n".join(parts)


def _table(network: Network, X: np.ndarray, B: Background, rounds: int, say: Callable[[str], None]) -> str:
    model = local_model(network, X, [0])
    steps: dict[str, Callable[[], object]] = {
        "`explain_rows(method=\"local\")`": lambda: explain_rows(network, X, background=B, method="local"),
        "of it: region and affine map of every row": lambda: local_model(network, X, [0]),
        "of it: values and gap": lambda: local_values(model, X, B).sum(axis=2) + network(X) - B.weights @ network(B.X),
        "of it: certificates": lambda: certified(network, model, X, B),
        "of it: distance to the nearest boundary": lambda: boundary_distance(network, model, X),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, do in steps.items():
            begin = time.process_time()
            do()
            times[name].append(time.process_time() - begin)
            say(f"  {name}: {times[name][-1]:.3g} s")
    lines = ["| step | CPU time |", "| --- | --- |"]
    lines += [f"| {name} | {seconds(statistics.median(took))} |" for name, took in times.items()]
    return "\n".join(lines)
