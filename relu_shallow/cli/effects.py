"""relu-shallow effects: exact partial dependence and individual curves of a feature, with their kinks."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import MODEL_OPTIONS, data_options, json_option, model_options, out_option, taken_out

if TYPE_CHECKING:
    from relu_shallow.questions.effects import Effects


class Range(click.ParamType[tuple[float, float]]):
    """Two numbers with a comma between them."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The numbers, refused where they are none."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r:.60} is not a range LO,HI, as -1,2.5", param, ctx)
        return low, high


@click.command("effects")
@click.argument("model_or_shallow", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--feature", metavar="NAME", required=True, help="The feature, by its name or number (from 0).")
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="This output only, counted from 0.")
@click.option("--range", "bounds", metavar="LO,HI", type=Range(), help="The feature's range; by default that of DATA.")
@click.option("--weights", metavar="NAME", help="The column of DATA that holds the rows' weights.")
@out_option("The table of the mean curve (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@click.option("--ice", metavar="FILE", type=click.Path(), help="Also write every row's own curve: row, value, outputs.")
@model_options
@data_options
@json_option
def command(
    model_or_shallow: str, data: str, feature: str, output: int | None, bounds: tuple[float, float] | None,
    weights: str | None, out: str | None, ice: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Show how the outputs move with one feature, averaged over the rows of DATA: exactly, not on a grid.

    The table holds the ends of the range and every kink of the mean curve (partial dependence); between two lines it is
    straight. Values are of the output before a final softmax, sigmoid or tanh.

    \b
    Example:
      relu-shallow effects model.onnx patients.csv --feature age -o age.csv --ice age-rows.csv
    """
    began = perf_counter()
    from relu_shallow.atomic import all_or_none, check_apart
    from relu_shallow.cli.opening import open_any
    from relu_shallow.cli.tables import check_table_target, put_table, say_how_matched
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.naming import named_by
    from relu_shallow.questions.effects import effects
    from relu_shallow.questions.source import network_of

    check_table_target(out, as_json)
    if ice:
        check_table_target(ice, as_json=False)
    check_apart({"the output": out, "the rows' curves": ice}, {"the model": model_or_shallow, "the data": data})
    source = open_any(model_or_shallow, taken_out(options, MODEL_OPTIONS))
    share = None
    if weights is not None:
        share = read_table(data, no_header=options["no_header"], columns=(weights,)).X[:, 0]
        options["drop"] = (*options["drop"], weights)
    table = read_table(data, **options)
    network = network_of(named_by(source, table))
    say_how_matched(table, network.feature_names)
    _check_output(output, network.outputs)
    found = effects(network, match_columns(table, network.feature_names), feature, weights=share, bounds=bounds)
    chosen = range(network.outputs) if output is None else [output]
    names = ["mean"] if len(chosen) == 1 else [f"mean_{found.outputs[k]}" for k in chosen]
    with all_or_none():
        put_table(out, ["value", *names], [found.at, *(found.mean[:, k] for k in chosen)])
        if ice:
            curves = [found.ice.value[:, k] for k in chosen]
            names = ["row", "value", *(found.outputs[k] for k in chosen)]
            put_table(ice, names, [found.ice.row, found.ice.at, *curves])
    _report(found, list(chosen), perf_counter() - began, out, as_json)


def _check_output(output: int | None, outputs: int) -> None:
    from relu_shallow.errors import UsageError

    if output is not None and output >= outputs:
        raise UsageError(f"there is no output {output}: the network has {outputs}, counted from 0")


def describe(found: Effects, chosen: list[int]) -> dict[str, Any]:
    """What `effects --json` prints."""
    entries = []
    for k in chosen:
        mean, slope = found.mean[:, k], found.slope[:, k]
        entries.append({
            "output": found.outputs[k],
            "min": mean.min(),
            "at_min": found.at[mean.argmin()],
            "max": mean.max(),
            "at_max": found.at[mean.argmax()],
            "slope_min": slope.min(),
            "slope_max": slope.max(),
        })  # fmt: skip
    return {
        "feature": found.feature,
        "range": [found.at[0], found.at[-1]],
        "rows": len(found.weights),
        "kinks": len(found.at) - 2,
        "kinks_of_rows": len(found.ice.at) - 2 * len(found.weights),
        "effects": entries,
    }


def _report(found: Effects, chosen: list[int], seconds: float, out: str | None, as_json: bool) -> None:
    from relu_shallow.cli.output import count, print_json, say

    report = describe(found, chosen)
    if as_json:
        print_json({**report, "seconds": seconds, "output": out})
        return
    say(f"the mean over {count(report['rows'], 'row')} along {found.feature} in [{found.at[0]:g}, {found.at[-1]:g}] "
        f"has {count(report['kinks'], 'kink')}; {seconds:.2f} s")  # fmt: skip
    for entry in report["effects"]:
        say(f"{entry['output']}: from {entry['min']:.4g} at {entry['at_min']:.4g} to {entry['max']:.4g} at "
            f"{entry['at_max']:.4g}; slopes {entry['slope_min']:.3g} to {entry['slope_max']:.3g}")  # fmt: skip
