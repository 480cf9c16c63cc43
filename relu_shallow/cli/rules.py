"""relu-shallow rules: regions as the fewest inequalities, in the user's names and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import data_options, json_option, out_option

if TYPE_CHECKING:
    from relu_shallow.questions.rules import Rule


@click.command("rules")
@click.argument("shallow", type=click.Path())
@click.option("--region", metavar="R", type=click.IntRange(min=0), help="This region, counted from 0.")
@click.option("--data", metavar="FILE", type=click.Path(), help="The regions that hold most rows of this table.")
@click.option("--top", metavar="K", type=click.IntRange(min=1), default=5, show_default=True,
              help="How many regions; without --data the widest ones.")  # fmt: skip
@click.option("--units", metavar="FILE", type=click.Path(),
              help="CSV with the columns feature, scale, offset: show x scale + offset instead of x.")  # fmt: skip
@click.option("--digits", metavar="N", type=click.IntRange(min=1, max=17),
              help="Significant digits in text; by default as many as keep each border within 1 % of the region's "
              "depth, and the point inside within the text.")  # fmt: skip
@out_option("The table of all inequalities to write (.csv, .parquet, .json, .npz), in full precision.")
@data_options
@json_option
def command(
    shallow: str, region: int | None, data: str | None, top: int, units: str | None, digits: int | None,
    out: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Describe regions of a converted network by as few inequalities as possible, with the model inside.

    SHALLOW is a converted file or a folder of regions. An inequality is left out only where it is proved to follow from
    the others. Outputs are those before a final softmax, sigmoid or tanh.

    \b
    Example:
      relu-shallow rules model.shallow.safetensors --data patients.csv --top 3
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.output import print_json
    from relu_shallow.cli.tables import check_table_target, put_table

    if out:
        check_table_target(out, as_json=False)
    check_apart({"the output": out}, {"the converted network": shallow, "the data": data, "the units": units})
    regions, found = _ask(shallow, region, data, top, units, options)
    if out:
        put_table(out, *rules_table(found))
    if as_json:
        print_json({"regions": regions, "rules": [describe(rule) for rule in found], "output": out})
    else:
        for rule in found:
            _print(rule, digits)


def _ask(
    shallow: str, region: int | None, data: str | None, top: int, units: str | None, options: dict[str, Any]
) -> tuple[int, tuple[Rule, ...]]:
    """(regions of the network, the rules asked for)."""
    from relu_shallow.cli.tables import say_how_matched
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.naming import named_by
    from relu_shallow.questions.rules import rules
    from relu_shallow.questions.units import read_units
    from relu_shallow.shallow.stored import open_converted

    converted = open_converted(shallow)
    X = None
    if data is not None:
        table = read_table(data, **options)
        converted = named_by(converted, table)
        say_how_matched(table, converted.network.feature_names)
        X = match_columns(table, converted.network.feature_names)
    own = read_units(units, converted.network) if units else None
    return converted.regions, rules(converted, region, data=X, top=top, units=own)


def rules_table(found: tuple[Rule, ...]) -> tuple[list[str], list[Any]]:
    """Names and columns of the table: region, inequality, coefficients of the features, bound, kind."""
    import numpy as np

    features = found[0].features if found else ()
    rows = np.concatenate([rule.A for rule in found]) if found else np.zeros((0, 0))
    numbers = [rule.region for rule in found for _ in rule.b]
    kinds = ["domain" if neuron < 0 else f"neuron {neuron}" for rule in found for neuron in rule.neuron.tolist()]
    bounds = np.concatenate([rule.b for rule in found]) if found else np.zeros(0)
    names = ["region", *(f"coefficient_{name}" for name in features), "at_most", "from"]
    return names, [numbers, *rows.T, bounds, kinds]


def describe(rule: Rule) -> dict[str, Any]:
    """What `rules --json` prints of a region: in full precision, {A x <= b}."""
    from relu_shallow.questions.rules import model_lines, rule_lines

    return {
        "region": rule.region,
        "features": rule.features,
        "A": rule.A,
        "b": rule.b,
        "neuron": rule.neuron,
        "alpha": rule.alpha,
        "beta": rule.beta,
        "witness": rule.witness,
        "radius": rule.radius,
        "share": rule.share,
        "proved_needless": rule.proved_needless,
        "digits": rule.digits,
        "model_digits": rule.model_digits,
        "text": rule_lines(rule),
        "model": model_lines(rule),
    }


def _print(rule: Rule, digits: int | None) -> None:
    """A region for people."""
    from relu_shallow.cli.output import say
    from relu_shallow.errors import printable
    from relu_shallow.questions.rules import model_lines, number_text, rule_lines

    share = "" if rule.share != rule.share else f", {rule.share:.1%} of the data"  # NaN: no data
    shown = rule.digits if digits is None else digits
    click.echo(f"region {rule.region}{share}: {len(rule.b)} inequalities ({rule.proved_needless} left out, proved to "
               f"follow), inscribed radius {number_text(rule.radius, 3)}, {shown} digits shown")  # fmt: skip
    for line in rule_lines(rule, shown):
        click.echo(f"  {printable(line)}")
    for line in model_lines(rule, digits):
        click.echo(f"  => {printable(line)}")
    if digits is not None and digits < rule.digits:
        inside = "" if rule.holds_witness(digits) else ": even the point inside that the list holds violates the text"
        say(f"region {rule.region} needs {rule.digits} digits, and {digits} are shown{inside}")
    elif not rule.holds_witness(shown):
        say(f"region {rule.region} is too small for numbers of {shown} digits; its exact shape is in --json")
