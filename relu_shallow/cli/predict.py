"""relu-shallow predict: the shallow network's outputs for a table of rows, its head applied."""

from __future__ import annotations

from typing import Any

import click

from relu_shallow.cli.options import data_options, json_option, out_option


@click.command("predict")
@click.argument("shallow", type=click.Path())
@click.argument("data", type=click.Path())
@out_option("The table to write (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@data_options
@json_option
def command(shallow: str, data: str, out: str | None, as_json: bool, **options: Any) -> None:
    """Predict each row of DATA with a converted network.

    SHALLOW is a converted file, or a folder of regions, of which only what the rows need is read. A final softmax,
    sigmoid or tanh of the original is applied.

    \b
    Example:
      relu-shallow predict model.shallow.safetensors patients.csv -o predictions.csv
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.output import print_json
    from relu_shallow.cli.tables import check_table_target, put_table, say_how_matched
    from relu_shallow.data import match_columns, read_table
    from relu_shallow.network import apply_head
    from relu_shallow.shallow.stored import open_converted

    check_table_target(out, as_json)
    check_apart({"the output": out}, {"the converted network": shallow, "the data": data})
    converted = open_converted(shallow)
    table = read_table(data, **options)
    X = match_columns(table, converted.network.feature_names)
    say_how_matched(table, converted.network.feature_names)
    Y = apply_head(converted.network, converted(X))
    put_table(out, converted.network.output_names, list(Y.T))
    if as_json:
        print_json({"rows": len(X), "outputs": list(converted.network.output_names), "output": out})
