"""relu-shallow radius: how far each row may move before its class can change, proved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import (
    MODEL_OPTIONS,
    NORMS,
    Seconds,
    data_options,
    json_option,
    model_options,
    out_option,
    taken_out,
)

if TYPE_CHECKING:
    from relu_shallow.questions.radius import Radii


@click.command("radius")
@click.argument("model_or_shallow", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--norm", type=click.Choice(NORMS), default="inf", show_default=True, help="How distance is measured.")
@click.option("--domain", metavar="SPEC", help="Where points count: all, box:LO,HI, box:FILE, data:FILE, vnnlib:FILE "
              "or ball:EPS@FILE:ROW; by default all, or the domain of a converted network.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(), default=10.0, show_default=True,
              help="At most S seconds for each row; then its bounds so far.")  # fmt: skip
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="Instead of the class: output K, from 0, must "
              "not cross the threshold.")  # fmt: skip
@click.option("--threshold", metavar="T", type=float, default=0.0, show_default=True,
              help="Of an output before a final sigmoid or tanh.")  # fmt: skip
@out_option("The table to write (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@model_options
@data_options
@json_option
def command(
    model_or_shallow: str, data: str, norm: str, domain: str | None, time_limit: float, output: int | None,
    threshold: float, out: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Prove how far each row of DATA may move before its class can change.

    Within `lower` of a row every point of the domain has the row's class; at `upper` lies one that has not, given as
    to_NAME. Where both agree the radius is exact. No conversion is needed. Values are in the data's own units.

    \b
    Example:
      relu-shallow radius model.onnx patients.csv --norm inf --domain box:0,1 -o radius.csv
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.opening import domain_over, open_any
    from relu_shallow.cli.output import print_json, say
    from relu_shallow.cli.progress import progress_of
    from relu_shallow.cli.tables import check_table_target, put_table, say_how_matched
    from relu_shallow.compilation import ensure_nearest_compiled
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.naming import named_by
    from relu_shallow.questions.radius import robust_radii
    from relu_shallow.questions.source import network_of

    if out is not None:
        check_table_target(out, as_json)
    check_apart({"the output": out}, {"the model": model_or_shallow, "the data": data})
    source = open_any(model_or_shallow, taken_out(options, MODEL_OPTIONS))
    source, asked = domain_over(domain, source, options, default="all")
    table = read_table(data, **options)
    source = named_by(source, table)
    names = network_of(source).feature_names
    X = match_columns(table, names)
    say_how_matched(table, names)
    ensure_nearest_compiled(say)
    with progress_of("row", "to be content with wider bounds, give a lower --time-limit") as told:
        found = robust_radii(source, X, norm, domain=asked, output=output, threshold=threshold,  # type: ignore[arg-type]
                             time_limit=time_limit, progress=lambda done, _: told(done))  # fmt: skip
    if out is not None or not as_json:
        put_table(out, *radii_table(found, names))
    if as_json:
        print_json({"rows": len(X), "norm": norm, "exact": found.status.count("exact"), "status": found.status,
                    "lower": found.lower, "upper": found.upper, "output": out})  # fmt: skip


def radii_table(found: Radii, feature_names: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    """Names and columns of the table."""
    names = ["row", "class", "lower", "upper", "status", "class_there", "seconds"]
    columns: list[Any] = [range(len(found.lower)), found.classes, found.lower, found.upper, found.status,
                          found.classes_there, found.seconds]  # fmt: skip
    return [*names, *(f"to_{name}" for name in feature_names)], [*columns, *found.points.T]
