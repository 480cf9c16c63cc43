"""relu-shallow explain: SHAP values for every row of a table, and how far each can be trusted."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import METHODS, Seconds, data_options, json_option, model_options, out_option, taken_out

if TYPE_CHECKING:
    from relu_shallow.explanation import Attribution


@click.command("explain")
@click.argument("shallow_or_model", type=click.Path())
@click.argument("data", type=click.Path())
@out_option("The table to write (.csv, .parquet, .json, .npz); by default CSV on stdout.")
@click.option("--background", metavar="FILE|SPEC",
              help="Rows that stand for absent features: a file, or of DATA all, kmeans:ROWS, sample:ROWS[:SEED]; by "
              "default kmeans:100.")  # fmt: skip
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True,
              help="auto: exact values of rows within reach, else bounds or an estimate, the narrower.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(),
              help="Stop after S seconds: bounds are as good as they got, rows left keep local values.")  # fmt: skip
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="Explain this output only, counted from 0.")
@click.option("--group", "groups", metavar="NAME=COLUMN,...", multiple=True,
              help="Sum the values of these columns, as --group 'job=job_*' (repeatable).")  # fmt: skip
@click.option("--tolerance", metavar="T", type=click.FloatRange(min=0, min_open=True), default=0.01, show_default=True,
              help="Estimate until standard errors are T of the prediction's scale.")  # fmt: skip
@click.option("--seed", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
              help="What estimates start from.")  # fmt: skip
@click.option("--workers", metavar="W", type=click.IntRange(min=1), help="Threads; by default one per usable core.")
@click.option("--interactions", metavar="FILE", type=click.Path(),
              help="Write the exact interactions of all pairs of features, too, to a table.")  # fmt: skip
@click.option("--modules", metavar="FILE", type=click.Path(),
              help="Write the values of each module of the network, which add up, too, to a table.")  # fmt: skip
@click.option("--html", metavar="FILE", type=click.Path(), help="Write a self-contained page with plots.")
@model_options
@data_options
@json_option
def command(
    shallow_or_model: str, data: str, out: str | None, background: str | None, method: str, time_limit: float | None,
    output: int | None, groups: tuple[str, ...], tolerance: float, seed: int, workers: int | None,
    interactions: str | None, modules: str | None, html: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Explain each row of DATA by SHAP values.

    SHALLOW_OR_MODEL is a converted file, a folder of regions, or a model file as for convert. Values are of the output
    before a final softmax, sigmoid or tanh; each row says whether its values are exact for the network, certified
    bounds, an estimate with standard errors, or local.

    \b
    Example:
      relu-shallow explain model.shallow.safetensors patients.csv -o shap.csv --html report.html
    """
    began = perf_counter()
    from relu_shallow.atomic import all_or_none, check_apart
    from relu_shallow.cli.opening import open_any
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import EXPLAIN_ADVICE, progress_of
    from relu_shallow.cli.tables import check_page_target, check_table_target, put_table, say_how_matched
    from relu_shallow.compilation import ensure_explanation_compiled
    from relu_shallow.data import read_table
    from relu_shallow.explanation import (
        attribution_table,
        explain_by_module,
        explain_rows,
        interaction_table,
        module_table,
        write_attribution,
    )
    from relu_shallow.explanation.background import is_spec
    from relu_shallow.naming import named_by
    from relu_shallow.questions.source import network_of

    check_table_target(out, as_json)
    for further in filter(None, (interactions, modules)):
        check_table_target(further, as_json=False)
    page = check_page_target(html) if html else None
    named_file = background if background and not is_spec(background) else None
    check_apart(
        {"the output": out, "the page": page, "the interactions": interactions, "the modules": modules},
        {"the model": shallow_or_model, "the data": data, "the background": named_file},
    )
    reading = taken_out(options)
    table = read_table(data, **options)
    absent = read_table(named_file, **options, spare=True) if named_file else background
    source = named_by(open_any(shallow_or_model, reading), table)
    network = network_of(source)
    say_how_matched(table, network.feature_names)
    ensure_explanation_compiled(method, network.inputs, time_limit, say)
    asked: dict[str, Any] = {
        "background": absent, "method": method, "output": output, "time_limit": time_limit, "groups": groups or None,
        "tolerance": tolerance, "seed": seed, "workers": workers,
    }  # fmt: skip
    parts: tuple[Attribution, ...] = ()
    with progress_of("row", EXPLAIN_ADVICE) as progress:
        if modules:
            attribution, parts = explain_by_module(source, table, progress=progress, **asked)
        else:
            attribution = explain_rows(source, table, progress=progress, **asked)
        pairs = interaction_table(network, attribution) if interactions else None
    with all_or_none():
        if out:
            write_attribution(attribution, out)
        if pairs:
            put_table(interactions, *pairs)
        if parts:
            put_table(modules, *module_table(parts))
        if page:
            from relu_shallow.report.page import write_page

            write_page(attribution, source, page)
    if background is None and len(attribution.background.X) == 1:
        say("the background is the data itself, a single row, so all its values are 0; give another with --background")
    if not out:
        put_table(None, *attribution_table(attribution))
    written = {"output": out, "html": html, "interactions": interactions, "modules": modules}
    _report(attribution, perf_counter() - began, written, as_json)


def _report(attribution: Attribution, seconds: float, written: dict[str, str | None], as_json: bool) -> None:
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
            **written,
        })  # fmt: skip
    else:
        kinds = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
        say(f"{count(len(attribution.X), 'row')} explained ({kinds}); largest gap {gap:.3g}; {seconds:.2f} s")
