"""What a page says of the model, of its list of regions and of how true the values are, as names and phrases."""

from __future__ import annotations

import numpy as np

from relu_shallow.domain import describe
from relu_shallow.explanation.attribution import BOUNDS, ESTIMATE, Attribution, max_additivity_gap, of_status
from relu_shallow.explanation.work import CONFIDENT
from relu_shallow.network import Network
from relu_shallow.plot.lettering import number
from relu_shallow.questions.source import Source, network_of
from relu_shallow.report.answers import Answers
from relu_shallow.shallow.table import ShallowNetwork

Facts = list[tuple[str, str]]

MEANING = {
    "exact": "The network's own interventional Shapley values, up to rounding: proved, or worked out over every "
    "mixture of the row with each background row.",
    "bounds": "Certified intervals. The network's own values are proved to lie within them; the value shown is one "
    "between them that adds up.",
    "estimate": "The mean of a random sample, with its standard error. The network's own values lie within about two "
    "standard errors in 95 of 100 cases; this is not a proof.",
    "local": "The exact Shapley values of the row's local formula, as if it held everywhere. Away from the row's "
    "region the network follows other formulas, so its own values may differ.",
}
INTEGRATED = ("Integrated gradients, averaged over the background, exact up to rounding: the gradient along the "
              "straight line from each background row, with every kink on the way.")  # fmt: skip

LEVELS = {
    "certified": "Every decision of the search was proved, rounding errors included: each listed region exists, and "
    "none is missing.",
    "witnessed": "Each listed region is proved to exist, by a point inside it. That none is missing is not proved.",
    "uncertified": "The list was found in floating point and is right up to rounding; nothing about it is proved.",
}


def model_facts(source: Source) -> Facts:
    """What the model is."""
    network = network_of(source)
    widths = " + ".join(str(width) for width in network.widths)
    facts = [
        ("Model", f"{network.source.name} ({network.source.format}), {network.source.dtype} weights"),
        ("SHA-256 of the model file", network.source.sha256 or "not read from a file"),
        ("Inputs and outputs", f"{network.inputs:,} and {network.outputs:,}"),
        ("Hidden neurons", f"{network.neurons:,} ({widths})" if len(network.widths) > 1 else f"{network.neurons:,}"),
    ]
    if network.head != "identity":
        facts.append(("Final function, kept apart", f"{network.head}; all values here are before it"))
    return facts


def certificate_facts(source: Source, answers: Answers) -> Facts:
    """What is known of the list of regions."""
    if isinstance(source, Network):
        return [("Linear regions", "not counted: the model was explained as it is, without converting it")]
    known = source.completeness
    facts = [
        ("Level of proof", f"{known.level}"),
        ("Converted on", describe(source.domain)),
        ("Linear regions", f"{source.regions:,}" + ("" if known.complete else " (a partial list)") + _modules(source)),
    ]
    if isinstance(source, ShallowNetwork):
        facts.append(("Half-spaces between them", f"{source.half_spaces:,}"))
    if not known.complete:
        facts.append(("Part of the domain's volume listed", _covered(answers)))
    settled = ((name, count) for name, count in vars(known.certificate).items() if count)
    decided = ", ".join(f"{_HOW[name]} {count:,}" for name, count in settled)
    return [*facts, ("Decisions of the search", decided or "none was needed")]


def _modules(source: Source) -> str:
    """Over how many modules a number of regions is summed."""
    if not isinstance(source, ShallowNetwork) or len(source.tables) == 1:
        return ""
    return f", the sum over {len(source.tables)} modules"


_HOW = {
    "interval": "by intervals",
    "dual": "by a dual bound",
    "earlier": "by an earlier dual bound",
    "cut": "both sides seen",
    "witness": "regions by a witness",
    "exact": "in exact arithmetic",
    "open": "left open",
}


def _covered(answers: Answers) -> str:
    found = answers.coverage
    if found is None:
        return "not known: the domain has no finite volume, or too little"
    return (f"{found.fraction:.1%} (95 % interval {found.low:.1%} to {found.high:.1%}, "
            f"from {found.points:,} random points)")  # fmt: skip


def fidelity_facts(attribution: Attribution, network: Network) -> Facts:
    """How far values add up, and how wide bounds and errors are."""
    gaps = np.abs(attribution.gap)
    outputs = network(attribution.X)[:, list(attribution.outputs)]
    apart = np.abs(outputs - attribution.prediction).max(initial=0.0)
    facts = [
        ("Largest additivity gap", number(max_additivity_gap(attribution))),
        ("Median additivity gap", number(float(np.median(gaps)) if gaps.size else 0.0)),
        ("Largest difference between a row's local formula and the network there", number(float(apart))),
    ]
    bounded, guessed = of_status(attribution, BOUNDS), of_status(attribution, ESTIMATE)
    if bounded.any():
        width = attribution.hi[bounded] - attribution.lo[bounded]
        facts.append(("Widest certified interval, and their median", f"{number(float(width.max()))}, "
                      f"{number(float(np.median(width)))}"))  # fmt: skip
    if guessed.any():
        error = CONFIDENT * attribution.se[guessed]
        facts.append(("Largest 95 % error of an estimate, and their median", f"{number(float(error.max()))}, "
                      f"{number(float(np.median(error)))}"))  # fmt: skip
    return facts
