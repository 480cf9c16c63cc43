"""relu-shallow monotone: in which features each output only rises or only falls, proved or with a counterexample."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import MODEL_OPTIONS, NORMS, Seconds, data_options, json_option, model_options, taken_out

if TYPE_CHECKING:
    from relu_shallow.questions.monotone import Monotone


@click.command("monotone")
@click.argument("model_or_shallow", type=click.Path())
@click.option("--domain", metavar="SPEC", help="Where: box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW; "
              "by default that of a converted network.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(), default=60.0, show_default=True,
              help="For a model: what is open after about S seconds is said to be undecided.")  # fmt: skip
@model_options
@data_options
@json_option
def command(model_or_shallow: str, domain: str | None, time_limit: float, as_json: bool, **options: Any) -> None:
    """Say in which features each output never falls, or never rises, when that feature alone grows.

    Each answer is proved, refuted by two points that differ in the feature only, or undecided. From a converted network
    all its regions are looked at, and the Lipschitz constants are exact; from a model the search may end undecided.

    \b
    Example:
      relu-shallow monotone model.shallow.safetensors
    """
    began = perf_counter()
    from relu_shallow.cli.opening import domain_over, open_any
    from relu_shallow.cli.output import print_json
    from relu_shallow.questions.monotone import monotone

    source = open_any(model_or_shallow, taken_out(options, MODEL_OPTIONS))
    source, asked = domain_over(domain, source, options)
    found = monotone(source, domain=asked, time_limit=time_limit)
    if as_json:
        print_json({**describe(found), "seconds": perf_counter() - began})
    else:
        _print(found)


def describe(found: Monotone) -> dict[str, Any]:
    """What `monotone --json` prints; bounds that are not known are null."""
    entries = []
    for k, output in enumerate(found.outputs):
        for j, feature in enumerate(found.features):
            entries.append({
                "output": output,
                "feature": feature,
                "answer": answer(found, k, j),
                "never_falls": found.status[0, k, j],
                "never_rises": found.status[1, k, j],
                "slope_min": found.slopes[0, k, j],
                "slope_max": found.slopes[1, k, j],
                "falls_between": None if found.status[0, k, j] != "refuted" else found.pairs[0, k, j],
                "rises_between": None if found.status[1, k, j] != "refuted" else found.pairs[1, k, j],
            })  # fmt: skip
    constants = [dict(zip(NORMS, row, strict=True)) for row in found.lipschitz.tolist()]
    return {
        "features": found.features,
        "monotone": entries,
        "lipschitz": dict(zip(found.outputs, constants, strict=True)),
        "lipschitz_exact": found.exact_lipschitz,
    }


def answer(found: Monotone, k: int, j: int) -> str:
    """The two statuses in words."""
    rising, falling = found.status[:, k, j].tolist()
    if rising == falling == "proved":
        return "no effect"
    if rising == "proved":
        return "never falls"
    if falling == "proved":
        return "never rises"
    return "not monotone" if rising == falling == "refuted" else "undecided"


def _print(found: Monotone) -> None:
    from relu_shallow.cli.output import print_aligned

    for k, output in enumerate(found.outputs):
        rows = []
        for j, feature in enumerate(found.features):
            low, high = found.slopes[:, k, j].tolist()
            rows.append((f"  {feature}", f"{answer(found, k, j)} (slopes within [{low:.4g}, {high:.4g}])"))
        one, two, most = found.lipschitz[k].tolist()
        kind = "exact" if found.exact_lipschitz else "at most"
        print_aligned([(output, ""), *rows, ("  Lipschitz", f"{kind} {one:.6g} in L1, {two:.6g} in L2, {most:.6g} in "
                                             "L-infinity")])  # fmt: skip
