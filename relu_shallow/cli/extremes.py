"""relu-shallow extremes: the least and largest value of an output over a domain, proved, with the points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import MODEL_OPTIONS, Seconds, data_options, json_option, model_options, taken_out

if TYPE_CHECKING:
    from relu_shallow.questions.extremes import Extreme, Extremes, RegionExtremes

ADVICE = "to stop with certified bounds after S seconds, give --time-limit S; a narrower --domain is faster"


@click.command("extremes")
@click.argument("model_or_shallow", type=click.Path())
@click.option("--domain", metavar="SPEC", help="Where: box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW "
              "or all; by default that of a converted network.")  # fmt: skip
@click.option("--output", metavar="K", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of this output, counted from 0.")  # fmt: skip
@click.option("--minus", metavar="K", type=click.IntRange(min=0), help="Of the difference: the output minus this one.")
@click.option("--time-limit", metavar="S", type=Seconds(), help="Stop after about S seconds, with certified bounds.")
@click.option("--per-region", metavar="OUT", type=click.Path(),
              help="Also write the extremes on every region of a converted network: a table as .csv, .parquet, .json "
              "or .npz.")  # fmt: skip
@model_options
@data_options
@json_option
def command(
    model_or_shallow: str, domain: str | None, output: int, minus: int | None, time_limit: float | None,
    per_region: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Find the least and the largest value of an output over a domain, with the points where they are taken.

    Both are certified: no point of the domain is beyond the bound, and the point given has at least the value said.
    Values are before a final softmax, sigmoid or tanh; two outputs are compared with --minus.

    \b
    Example:
      relu-shallow extremes model.onnx --domain box:-1,1 --output 0
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.opening import counting, domain_over, open_any
    from relu_shallow.cli.output import print_json, say
    from relu_shallow.cli.progress import progress_of
    from relu_shallow.cli.tables import check_table_target, put_table
    from relu_shallow.compilation import ensure_bounds_compiled
    from relu_shallow.errors import UsageError
    from relu_shallow.network import Network
    from relu_shallow.questions.extremes import extremes, region_extremes
    from relu_shallow.questions.source import in_modules, network_of

    if per_region:
        check_table_target(per_region, as_json=False)
        check_apart({"the table of regions": per_region}, {"the model": model_or_shallow})
    source = open_any(model_or_shallow, taken_out(options, MODEL_OPTIONS))
    source, asked = domain_over(domain, source, options)
    if per_region and isinstance(source, Network):
        raise UsageError("--per-region needs a converted network: convert the model first")
    if in_modules(source):
        ensure_bounds_compiled(say)
    with progress_of("part", ADVICE) as progress:
        found = extremes(source, output, minus=minus, domain=asked, time_limit=time_limit or float("inf"),
                         progress=counting(progress))  # fmt: skip
    if per_region and not isinstance(source, Network):
        with progress_of("region", "each takes two linear programs") as progress:
            regions = region_extremes(source, output, minus=minus, progress=counting(progress))
        put_table(per_region, *regions_table(regions, network_of(source).feature_names))
    names = network_of(source).feature_names
    if as_json:
        print_json({**describe(found), "feature_names": names, "regions_table": per_region})
    else:
        _print(found, names)


def describe(found: Extremes) -> dict[str, Any]:
    """What `extremes --json` prints; infinite bounds are null."""

    def end(extreme: Extreme) -> dict[str, Any]:
        return {name: getattr(extreme, name) for name in ("value", "bound", "status", "point")}

    return {"output": found.label, "minimum": end(found.minimum), "maximum": end(found.maximum),
            "seconds": found.seconds}  # fmt: skip


def regions_table(found: RegionExtremes, features: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    """Names and columns of the table of regions."""
    names = ["region", "least", "least_bound", "largest", "largest_bound"]
    names += [f"least_at_{name}" for name in features] + [f"largest_at_{name}" for name in features]
    return names, [found.region, found.least, found.least_bound, found.largest, found.largest_bound,
                   *found.least_at.T, *found.largest_at.T]  # fmt: skip


def _print(found: Extremes, features: tuple[str, ...]) -> None:
    from relu_shallow.cli.output import print_aligned

    lines: list[tuple[str, object]] = [("output", found.label)]
    for name, extreme, beyond in (("least", found.minimum, "below"), ("largest", found.maximum, "above")):
        place = ", ".join(f"{feature} = {x:.6g}" for feature, x in zip(features, extreme.point.tolist(), strict=True))
        if extreme.status == "unbounded":
            lines.append((name, f"unbounded: changes by {extreme.value:.6g} for each step along ({place}), in the end"))
            continue
        told = "proved" if extreme.status == "exact" else "not settled"
        if f"{extreme.bound:.9g}" != f"{extreme.value:.9g}":
            told += f"; nothing is {beyond} {extreme.bound:.9g}"
        lines += [(name, f"{extreme.value:.9g} ({told})"), ("  at", place)]
    print_aligned([*lines, ("this took", f"{found.seconds:.2f} s")])
