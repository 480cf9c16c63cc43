"""relu-shallow report: one page about a network on its data, to give to a reviewer."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import METHODS, SCALES, Seconds, data_options, json_option, model_options, taken_out

if TYPE_CHECKING:
    from relu_shallow.explanation import Attribution
    from relu_shallow.report.answers import Answers


class Rows(click.ParamType[tuple[int, ...]]):
    """Numbers of rows with commas between them."""

    name = "rows"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers, refused where they are none."""
        if isinstance(value, tuple):
            return value
        numbers = [number.strip() for number in value.split(",")]
        if not all(number.isascii() and number.isdecimal() and len(number) < 10 for number in numbers):
            self.fail(f"{value!r:.60} are not rows, counted from 0, as 3,7,12", param, ctx)
        return tuple(map(int, numbers))


@click.command("report")
@click.argument("shallow_or_model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("-o", "out", metavar="FILE", type=click.Path(), required=True, help="The page to write (.html).")
@click.option("--rows", metavar="R,R,...", type=Rows(), default=(),
              help="The rows of DATA to show in full, from 0; by default a few that stand out.")  # fmt: skip
@click.option("--background", metavar="FILE|SPEC",
              help="Rows that stand for absent features: a file, or of DATA all, kmeans:ROWS, sample:ROWS[:SEED]; by "
              "default kmeans:100.")  # fmt: skip
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True, help="As for explain.")
@click.option("--time-limit", metavar="S", type=Seconds(),
              help="Explain for at most S seconds; bounds are as good as they got, rows left keep local values.")
@click.option("--output", metavar="K", type=click.IntRange(min=0), help="Only this output, counted from 0.")
@click.option("--group", "groups", metavar="NAME=COLUMN,...", multiple=True,
              help="Sum the values of these columns, as --group 'job=job_*' (repeatable).")  # fmt: skip
@click.option("--features", metavar="N", type=click.IntRange(min=0), default=6, show_default=True,
              help="Features whose effect is drawn, for each output.")  # fmt: skip
@click.option("--regions", metavar="N", type=click.IntRange(0, 6), default=4, show_default=True,
              help="Regions that are described.")  # fmt: skip
@click.option("--nearest-limit", metavar="S", type=Seconds(), default=5.0, show_default=True,
              help="At most S seconds for each row's radius, and for its counterfactual.")  # fmt: skip
@click.option("--no-nearest", is_flag=True, help="Neither radius nor counterfactual.")
@click.option("--threshold", metavar="T", type=float,
              help="Ask when the output crosses T, instead of when the class changes; for a network without classes "
              "by default its mean prediction.")  # fmt: skip
@click.option("--scale", type=click.Choice(SCALES), default="sd", show_default=True,
              help="Measure a feature's change in its spread over DATA.")  # fmt: skip
@click.option("--fix", metavar="NAME", multiple=True, help="In a counterfactual, this feature keeps its value "
              "(repeatable).")  # fmt: skip
@click.option("--no-check", is_flag=True, help="Do not verify a converted network again.")
@model_options
@data_options
@json_option
def command(
    shallow_or_model: str, data: str, out: str, rows: tuple[int, ...], background: str | None, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Write one page about a network on DATA that a reviewer can be given.

    It says what the model is, what is proved of its regions, what matters, exact effects with their kinks, the fullest
    regions with their rules, and of chosen rows each step, bounds, the certified radius and the nearest counterfactual.
    The page is one file and loads nothing. SHALLOW_OR_MODEL is as for explain.

    \b
    Example:
      relu-shallow report model.shallow.safetensors patients.csv -o report.html --rows 3,7 --fix age
    """
    began = perf_counter()
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.opening import open_any
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import EXPLAIN_ADVICE, progress_of
    from relu_shallow.cli.tables import check_page_target, say_how_matched
    from relu_shallow.compilation import ensure_explanation_compiled, ensure_nearest_compiled
    from relu_shallow.data import read_table
    from relu_shallow.explanation import explain_rows
    from relu_shallow.explanation.background import is_spec
    from relu_shallow.naming import named_by
    from relu_shallow.questions.source import network_of
    from relu_shallow.report.answers import goal_of
    from relu_shallow.report.page import write_page
    from relu_shallow.report.rows import chosen_rows

    page = check_page_target(out)
    named_file = background if background and not is_spec(background) else None
    check_apart({"the page": page}, {"the model": shallow_or_model, "the data": data, "the background": named_file})
    reading = taken_out(options)
    asked = taken_out(options, ("method", "time_limit", "output", "groups"))
    wishes = _wishes(options)
    table = read_table(data, **options)
    absent = read_table(named_file, **options, spare=True) if named_file else background
    source = named_by(open_any(shallow_or_model, reading), table)
    network = network_of(source)
    say_how_matched(table, network.feature_names)
    _check_early(rows, len(table.values), wishes.fixed, network.feature_names)
    ensure_explanation_compiled(asked["method"], network.inputs, asked["time_limit"], say)
    with progress_of("row", EXPLAIN_ADVICE) as progress:
        asked["groups"] = asked["groups"] or None
        attribution = explain_rows(source, table, background=absent, progress=progress, **asked)
    if wishes.nearest is not None:
        ensure_nearest_compiled(say)
        goal = goal_of(attribution, network, wishes.threshold)
        if wishes.threshold is None and goal.output is not None:
            say(f"the network tells no class, so radius and counterfactual are of {goal.words} crossing "
                f"{goal.threshold:.4g}, its mean prediction; say another with --threshold")  # fmt: skip
    chosen = chosen_rows(attribution, rows)
    with progress_of("row", "to be content with wider bounds, give a lower --nearest-limit") as progress:
        answers = write_page(attribution, source, page, chosen, wishes, progress)
    _report(attribution, answers, perf_counter() - began, out, as_json)


def _wishes(options: dict[str, Any]) -> Any:
    """What the options ask, which are then no longer among the others."""
    from relu_shallow.report.answers import Wishes

    names = ("features", "regions", "nearest_limit", "no_nearest", "threshold", "scale", "fix", "no_check")
    of = taken_out(options, names)
    return Wishes(of["features"], of["regions"], None if of["no_nearest"] else of["nearest_limit"], of["threshold"],
                  of["scale"], tuple(of["fix"]), not of["no_check"])  # fmt: skip


def _check_early(rows: tuple[int, ...], count: int, fixed: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Raises before the work where a row or a feature is none."""
    from relu_shallow.errors import DataError
    from relu_shallow.questions.features import feature_numbers

    if rows and max(rows) >= count:
        raise DataError(f"there is no row {max(rows)} to show: the data has {count}, counted from 0")
    feature_numbers(fixed, names)


def _report(attribution: Attribution, answers: Answers, seconds: float, out: str, as_json: bool) -> None:
    from relu_shallow.cli.output import count, print_json, say
    from relu_shallow.explanation import max_additivity_gap, status_counts

    statuses = status_counts(attribution)
    if as_json:
        print_json({
            "rows": len(attribution.X),
            "method": attribution.method,
            "status": statuses,
            "max_additivity_gap": max_additivity_gap(attribution),
            "checks_hold": answers.verification.ok if answers.verification else None,
            "nearest": [_near(row, near) for row, near in answers.near.items()],
            "left_out": answers.left_out,
            "seconds": seconds,
            "output": out,
        })  # fmt: skip
        return
    kinds = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
    say(f"{out}: {count(len(attribution.X), 'row')} explained ({kinds}), {seconds:.1f} s")
    if answers.verification is not None and not answers.verification.ok:
        say("checks of the converted network do not hold; the page names them")


def _near(row: int, near: Any) -> dict[str, Any]:
    """One row's radius and counterfactual, for --json."""
    found = near.counterfactual.nearest
    return {
        "row": row,
        "radius": [near.radius.lower[0], near.radius.upper[0]],
        "radius_status": near.radius.status[0],
        "counterfactual": found.point,
        "distance": [found.lower, found.upper],
        "status": found.status,
    }
