"""relu-shallow counterfactual: the nearest point with another class that the constraints allow, proved nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import (
    MODEL_OPTIONS,
    NORMS,
    SCALES,
    Seconds,
    data_options,
    json_option,
    model_options,
    out_option,
    taken_out,
)

if TYPE_CHECKING:
    from relu_shallow.questions.constraints import Constraints
    from relu_shallow.questions.counterfactual import Counterfactual


@click.command("counterfactual")
@click.argument("model_or_shallow", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--row", "rows", metavar="R", type=click.IntRange(min=0), multiple=True, required=True,
              help="The row of DATA, from 0 (repeatable).")  # fmt: skip
@click.option("--norm", type=click.Choice(NORMS), default="1", show_default=True, help="How distance is measured.")
@click.option("--scale", type=click.Choice(SCALES), default="none", show_default=True,
              help="Measure a feature's change in its spread over DATA.")  # fmt: skip
@click.option("--target", metavar="K", type=click.IntRange(min=0), help="This class, counted from 0; else any other.")
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="Instead of the class: output K, from 0, must "
              "cross the threshold.")  # fmt: skip
@click.option("--threshold", metavar="T", type=float, default=0.0, show_default=True,
              help="Of an output before a final sigmoid or tanh.")  # fmt: skip
@click.option("--fix", metavar="NAME", multiple=True, help="This feature keeps its value (repeatable).")
@click.option("--only-up", metavar="NAME", multiple=True, help="This feature may only grow (repeatable).")
@click.option("--only-down", metavar="NAME", multiple=True, help="This feature may only fall (repeatable).")
@click.option("--range", "ranges", metavar="NAME LO HI", type=(str, float, float), multiple=True,
              help="This feature stays between LO and HI (repeatable).")  # fmt: skip
@click.option("--integer", metavar="NAME", multiple=True, help="This feature takes whole numbers (repeatable).")
@click.option("--one-hot", metavar="A,B,...", multiple=True, help="Of these features one is 1, the others 0 "
              "(repeatable).")  # fmt: skip
@click.option("--domain", metavar="SPEC", help="Where points count: all, box:LO,HI, box:FILE, data:FILE, vnnlib:FILE "
              "or ball:EPS@FILE:ROW; by default data:DATA, or the domain of a converted network.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(), default=10.0, show_default=True,
              help="At most S seconds for each row; then its bounds so far.")  # fmt: skip
@out_option("The table to write (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@model_options
@data_options
@json_option
def command(
    model_or_shallow: str, data: str, rows: tuple[int, ...], norm: str, scale: str, target: int | None,
    output: int | None, threshold: float, domain: str | None, time_limit: float, out: str | None, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Find the smallest change that gives a row of DATA another class, and prove that none is smaller.

    The table has a line for each feature: before, after, change; the distance and its proved lower bound stand beside
    them. Names are feature names, or numbers from 0.

    \b
    Example:
      relu-shallow counterfactual model.onnx patients.csv --row 3 --fix age --only-up income --scale mad
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.opening import domain_over, open_any
    from relu_shallow.cli.output import print_json, say
    from relu_shallow.cli.tables import check_table_target, put_table, say_how_matched
    from relu_shallow.compilation import ensure_nearest_compiled
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.errors import DataError
    from relu_shallow.naming import named_by
    from relu_shallow.questions.counterfactual import counterfactual
    from relu_shallow.questions.distance import spread_weights
    from relu_shallow.questions.source import network_of

    if out is not None:
        check_table_target(out, as_json)
    check_apart({"the output": out}, {"the model": model_or_shallow, "the data": data})
    source = open_any(model_or_shallow, taken_out(options, MODEL_OPTIONS))
    wishes = taken_out(options, ("fix", "only_up", "only_down", "ranges", "integer", "one_hot"))
    source, asked = domain_over(domain, source, options, default=f"data:{data}")
    table = read_table(data, **options)
    source = named_by(source, table)
    names = network_of(source).feature_names
    X = match_columns(table, names)
    say_how_matched(table, names)
    if max(rows) >= len(X):
        raise DataError(f"row {max(rows)} was asked for, but the data has the rows 0 to {len(X) - 1}")
    ensure_nearest_compiled(say)
    constraints, weights = constraints_of(wishes, names), spread_weights(X, scale)
    found = [
        counterfactual(source, X[row], norm=norm, constraints=constraints, domain=asked,  # type: ignore[arg-type]
                       weights=weights, target=target, output=output, threshold=threshold, time_limit=time_limit)
        for row in rows
    ]  # fmt: skip
    if out is not None or not as_json:
        put_table(out, *changes_table(rows, found, names))
    if as_json:
        print_json({"norm": norm, "scale": scale, "features": names, "output": out,
                    "rows": [describe(row, one) for row, one in zip(rows, found, strict=True)]})  # fmt: skip
    for row, one in zip(rows, found, strict=True):
        say(_told(row, one, names))


def constraints_of(wishes: dict[str, Any], feature_names: tuple[str, ...]) -> Constraints:
    """The constraints that the options say."""
    import csv

    from relu_shallow.questions.constraints import Constraints
    from relu_shallow.questions.features import feature_numbers

    def numbers(names: tuple[str, ...]) -> tuple[int, ...]:
        return feature_numbers(names, feature_names)

    groups = [next(csv.reader([group], skipinitialspace=True), []) for group in wishes["one_hot"]]
    ranges = {numbers((name,))[0]: (low, high) for name, low, high in wishes["ranges"]}
    return Constraints(
        fixed=numbers(wishes["fix"]), increasing=numbers(wishes["only_up"]), decreasing=numbers(wishes["only_down"]),
        whole=numbers(wishes["integer"]), groups=tuple(numbers(tuple(group)) for group in groups), ranges=ranges,
    )  # fmt: skip


def changes_table(
    rows: tuple[int, ...], found: list[Counterfactual], feature_names: tuple[str, ...]
) -> tuple[list[str], list[Any]]:
    """Names and columns of the table: a line for each row and feature."""
    names = ["row", "feature", "before", "after", "change", "distance", "lower", "status", "class", "class_there"]
    lines = [
        (row, name, before, after, after - before, one.nearest.upper, one.nearest.lower, one.nearest.status, one.own,
         one.there)
        for row, one in zip(rows, found, strict=True)
        for name, before, after in zip(feature_names, one.row.tolist(), one.nearest.point.tolist(), strict=True)
    ]  # fmt: skip
    return names, [list(column) for column in zip(*lines, strict=True)]


def describe(row: int, one: Counterfactual) -> dict[str, Any]:
    """One row's part of what --json prints."""
    return {
        "row": row, "status": one.nearest.status, "distance": one.nearest.upper, "lower": one.nearest.lower,
        "class": one.own, "class_there": one.there, "before": one.row, "after": one.nearest.point,
        "seconds": one.nearest.seconds,
    }  # fmt: skip


def _told(row: int, one: Counterfactual, feature_names: tuple[str, ...]) -> str:
    """One sentence about a row."""
    nearest = one.nearest
    if nearest.status == "none":
        return f"row {row}: proved that the domain and the rules leave no such point"
    if nearest.upper == 0.0:
        return f"row {row}: is as asked already (class {one.there}); nothing need change"
    if one.there < 0:
        return f"row {row}: none found in the time, and proved that none is nearer than {nearest.lower:.6g}"
    moved = [name for name, a, b in zip(feature_names, one.row, nearest.point, strict=True) if a != b]
    proof = "proved nearest" if nearest.status == "exact" else f"none is nearer than {nearest.lower:.6g}"
    shown = ", ".join(moved[:6]) + (f" and {len(moved) - 6} more" if len(moved) > 6 else "")
    return f"row {row}: class {one.own} becomes {one.there} at distance {nearest.upper:.6g} ({proof}); changed: {shown}"
