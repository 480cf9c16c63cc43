"""relu-shallow explain: SHAP values for every row of a table, and how far each can be trusted."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import METHODS, Seconds, data_options, json_option, out_option

if TYPE_CHECKING:
    from relu_shallow.explanation import Attribution


@click.command("explain")
@click.argument("shallow_or_model", type=click.Path())
@click.argument("data", type=click.Path())
@out_option("The table to write (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@click.option("--background", metavar="FILE", type=click.Path(),
              help="Rows that stand for absent features; by default DATA, shrunk to 100 rows.")  # fmt: skip
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True,
              help="auto: local values where they are proved exact, else the best within reach.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(), help="Keep local values for rows left after S seconds.")
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="Explain this output only, counted from 0.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write a self-contained page with plots.")
@data_options
@json_option
def command(
    shallow_or_model: str, data: str, out: str | None, background: str | None, method: str, time_limit: float | None,
    output: int | None, html: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Explain each row of DATA by SHAP values.

    SHALLOW_OR_MODEL is a converted file, a folder of regions, or a model file as for convert. Values are of the output
    before a final softmax, sigmoid or tanh; each row says whether its values are exact for the network, or local.

    \b
    Example:
      relu-shallow explain model.shallow.safetensors patients.csv -o shap.csv --html report.html
    """
    began = perf_counter()
    from relu_shallow.atomic import all_or_none, check_apart
    from relu_shallow.cli.progress import EXPLAIN_ADVICE, progress_of
    from relu_shallow.cli.tables import check_page_target, check_table_target, put_table, say_how_matched
    from relu_shallow.data import read_table
    from relu_shallow.explanation import attribution_table, explain_rows, write_attribution
    from relu_shallow.load import load_network
    from relu_shallow.naming import named_by
    from relu_shallow.network import Network
    from relu_shallow.shallow.stored import is_converted, open_converted

    check_table_target(out, as_json)
    page = check_page_target(html) if html else None
    check_apart(
        {"the output": out, "the page": page},
        {"the model": shallow_or_model, "the data": data, "the background": background},
    )
    table = read_table(data, **options)
    absent = read_table(background, **options) if background else None
    opened = open_converted(shallow_or_model) if is_converted(shallow_or_model) else load_network(shallow_or_model)
    source = named_by(opened, table)
    network = source if isinstance(source, Network) else source.network
    say_how_matched(table, network.feature_names)
    with progress_of("row", EXPLAIN_ADVICE) as progress:
        attribution = explain_rows(
            source, table, background=absent, method=method, output=output, time_limit=time_limit, progress=progress
        )
    with all_or_none():
        if out:
            write_attribution(attribution, out)
        if page:
            from relu_shallow.report.page import write_page

            write_page(attribution, source, page)
    if not out:
        put_table(None, *attribution_table(attribution))
    _report(attribution, perf_counter() - began, out, as_json)


def _report(attribution: Attribution, seconds: float, out: str | None, as_json: bool) -> None:
    from relu_shallow.cli.output import count, print_json, say
    from relu_shallow.explanation import max_additivity_gap, status_counts

    statuses, gap = status_counts(attribution), max_additivity_gap(attribution)
    if as_json:
        print_json({
            "rows": len(attribution.X),
            "method": attribution.method,
            "status": statuses,
            "max_additivity_gap": gap,
            "seconds": seconds,
            "output": out,
        })  # fmt: skip
    else:
        kinds = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
        say(f"{count(len(attribution.X), 'row')} explained ({kinds}); largest gap {gap:.3g}; {seconds:.2f} s")
