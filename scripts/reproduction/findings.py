"""Sentences on what the results bear out of the paper's claims and what not, computed from the results themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from reproduction.results import Result
from reproduction.tasks import Task
from reproduction.ways import MAKE, MASK, ONE_LAYER, ORDINARY, STEPS

MODULAR = (STEPS, MASK, MAKE)


def findings(tasks: Sequence[Task], results: Sequence[Result]) -> str:
    """A section with a paragraph on each claim that the results say anything about."""
    said = [text for claim in (_accuracy, _specialised, _smaller, _listed) for text in claim(tasks, results)]
    if not said:
        return ""
    return "\n## What reproduces, and what does not\n\n" + "\n".join(f"- {text}" for text in said) + "\n"


def _accuracy(tasks: Sequence[Task], results: Sequence[Result]) -> Iterator[str]:
    """What modules cost, against the ordinary network of the same seed."""
    for task in tasks:
        pairs = []
        for way in MODULAR:
            for k in task.ks:
                gaps = list(_gained(task, results, (way, k)))
                if gaps:
                    pairs.append(f"{way} in {k} {_signed(gaps)}")
        one = list(_gained(task, results, (ONE_LAYER, 1)))
        if pairs:
            yield (f"**Accuracy, {task.name}**, in points more than the ordinary network of the same seed: "
                   + ", ".join(pairs) + (f"; one hidden layer {_signed(one)}." if one else "."))  # fmt: skip


def _specialised(tasks: Sequence[Task], results: Sequence[Result]) -> Iterator[str]:
    """Whether modules are for certain classes, more than groups of neurons drawn at random are."""
    for task in tasks:
        known = [one for one in _of(task, results) if one.get("special") is not None and one.get("random")]
        parts = []
        for way in (ORDINARY, *MODULAR):
            mine = [one for one in known if one["way"] == way]
            above = sum(one["special"] > max(one["random"]) for one in mine)
            gaps = [one["special"] - float(np.mean(one["random"])) for one in mine]
            if mine:
                chance = len(mine) / (1 + len(mine[0]["random"]))
                costs = np.mean([one["cost"] for one in mine]) / np.mean([one["random_cost"] for one in mine])
                parts.append(f"{way} above all random draws in {above} of {len(mine)} runs (chance alone: "
                             f"{chance:.1f}), difference {np.mean(gaps):+.3f} ± {np.std(gaps):.3f}, at {costs:.2f} "
                             "of the random groups' cost")  # fmt: skip
        if parts:
            yield f"**Specialisation, {task.name}**: " + "; ".join(parts) + "."


def _smaller(tasks: Sequence[Task], results: Sequence[Result]) -> Iterator[str]:
    """Whether circuits are smaller, in weights and per weight that there is."""
    for task in tasks:
        parts = []
        for way in MODULAR:
            pairs = [(kind, name) for kind in ("circuit_published", "circuit") for name in ("weights", "share")]
            ratios = [_ratio(task, results, way, kind, name) for kind, name in pairs]
            if None not in ratios:
                parts.append(f"{way} {ratios[0]:.2f} of the ordinary network's weights as published "
                             f"({ratios[1]:.2f} per available weight), {ratios[2]:.2f} repaired "
                             f"({ratios[3]:.2f})")  # fmt: skip
        if parts:
            yield f"**Size of circuits, {task.name}**, mean over k and seeds: " + "; ".join(parts) + "."


def _ratio(task: Task, results: Sequence[Result], way: str, kind: str, name: str) -> float | None:
    mine = [one[kind][name] for one in _of(task, results) if one["way"] == way]
    other = [one[kind][name] for one in _of(task, results) if one["way"] == ORDINARY and one["k"] == 1]
    return float(np.mean(mine) / np.mean(other)) if mine and other and np.mean(other) else None


def _listed(tasks: Sequence[Task], results: Sequence[Result]) -> Iterator[str]:
    """Which conversions end."""
    for task in tasks:
        parts = []
        for way in (ORDINARY, *MODULAR, ONE_LAYER):
            for k in (1, *task.ks):
                found = [one["count"] for one in _of(task, results, (way, k)) if "count" in one]
                ended = sum(one["ended"] for one in found)
                if found:
                    parts.append(f"{way}{f' in {k}' if k > 1 else ''} {ended} of {len(found)}")
        if parts:
            yield f"**Conversions that ended, {task.name}**: " + ", ".join(parts) + "."


def _gained(task: Task, results: Sequence[Result], pair: tuple[str, int]) -> Iterator[float]:
    """Accuracy of a (way, k) beyond that of the ordinary network of the same seed."""
    base = {result["seed"]: result["accuracy"] for result in _of(task, results, (ORDINARY, 1))}
    yield from (result["accuracy"] - base[result["seed"]] for result in _of(task, results, pair)
                if result["seed"] in base)  # fmt: skip


def _of(task: Task, results: Sequence[Result], pair: tuple[str, int] | None = None) -> list[Result]:
    return [one for one in results if one["task"] == task.name and pair in (None, (one["way"], one["k"]))]


def _signed(gaps: Sequence[float]) -> str:
    """Mean and standard deviation in percentage points."""
    points = 100 * np.array(gaps)
    return f"{points.mean():+.1f}" + (f" ± {points.std():.1f}" if len(points) > 1 else "")
