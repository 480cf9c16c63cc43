"""relu-shallow plot: the linear regions as a picture, from exact polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import data_options, json_option, out_option

if TYPE_CHECKING:
    from relu_shallow.plot.points import Points
    from relu_shallow.shallow.stored import StoredNetwork
    from relu_shallow.shallow.table import ShallowNetwork


@click.command("plot")
@click.argument("file", type=click.Path())
@out_option("The picture to write: .png, .svg, or .html, a page that tells each region's local model on hover.",
            required=True)  # fmt: skip
@click.option("--color", metavar="WHAT", help="class (predicted), output:K, alpha:FEATURE (slope of the local model) "
              "or region; by default class where there are several outputs.")  # fmt: skip
@click.option("--output", metavar="K", type=click.IntRange(min=0),
              help="The output whose slope alpha:FEATURE shows, counted from 0.")  # fmt: skip
@click.option("--view", metavar="X0,X1,Y0,Y1", help="What to show; by default the domain, or all corners of regions.")
@click.option("--decision/--no-decision", default=None, help="Draw the decision boundary, where classes tie; by "
              "default with colours of classes, or where the network ends in softmax or sigmoid.")  # fmt: skip
@click.option("--data", metavar="FILE", type=click.Path(), help="Rows to draw as points on top.")
@click.option("--target", metavar="NAME", help="The column of --data that colours the points: classes from 0, or "
              "values of the output.")  # fmt: skip
@click.option("--domain", metavar="SPEC", help="Where to look for regions, if FILE is a model (see convert).")
@data_options
@json_option
def command(
    file: str, out: str, color: str | None, output: int | None, view: str | None, decision: bool | None,
    data: str | None, target: str | None, domain: str | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Draw the linear regions of FILE, a converted network whose domain leaves one or two inputs free.

    FILE is a converted file, a folder of regions, or a model to convert on the fly. Of more inputs, convert a slice:
    --domain plane:FILE:ROW,ROW,ROW or line:FILE:ROW,ROW, or box:FILE with all but two inputs fixed. One free input
    gives the outputs as functions with their kinks.

    \b
    Example:
      relu-shallow plot model.shallow.safetensors -o regions.png --data train.csv --target label
      relu-shallow plot model.onnx --domain box:-1,1 -o regions.html --color output:0
    """
    from relu_shallow.atomic import check_apart, check_writable
    from relu_shallow.cli.output import count, print_json, say
    from relu_shallow.errors import UsageError
    from relu_shallow.plot.frame import given_view
    from relu_shallow.plot.regions import choose_drawing, plot_regions

    choose_drawing(check_writable(out))
    if target and not data:
        raise UsageError("--target names a column of --data, so give that too")
    check_apart({"the picture": out}, {"the network": file, "the data": data})
    window = given_view(view) if view else None
    shallow = _network(file, domain, options)
    shallow, points = _points(data, target, shallow, options) if data else (shallow, None)
    scene = plot_regions(shallow, out, color=color, output=output, view=window, data=points, decision=decision)
    if as_json:
        print_json({
            "regions": shallow.regions,
            "drawn": len(scene.fills),
            "complete": not scene.partial,
            "view": list(scene.view),
            "points": 0 if points is None else len(points.X),
            "output": out,
        })  # fmt: skip
    else:
        say(f"{out} written: {count(len(scene.fills), 'region')} drawn")


def _network(file: str, domain: str | None, options: dict[str, Any]) -> ShallowNetwork | StoredNetwork:
    """The converted network, or the model converted on the domain, all of the input space by default."""
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import SEARCH_ADVICE, progress_of
    from relu_shallow.errors import UsageError
    from relu_shallow.shallow.stored import is_converted, open_converted

    if is_converted(file):
        if domain is not None:
            raise UsageError(f"{file} is converted already, on its own domain: leave out --domain, or choose a --view")
        return open_converted(file)
    from relu_shallow.domain_spec import parse_domain
    from relu_shallow.load import load_network
    from relu_shallow.network import named
    from relu_shallow.plot.frame import axes_of
    from relu_shallow.slices import on_slice

    network = load_network(file)
    where, names = parse_domain(domain or "all", network, read_options=options, announce=say)
    network = named(network, names)
    axes_of(*on_slice(network, where))  # before any search
    from relu_shallow.conversion import convert

    with progress_of("region", SEARCH_ADVICE) as progress:
        return convert(network, where, progress=progress)


def _points(
    data: str, target: str | None, shallow: ShallowNetwork | StoredNetwork, options: dict[str, Any]
) -> tuple[ShallowNetwork | StoredNetwork, Points]:
    """The network, with the names of --data where it had none, and the rows with their values in --target."""
    from relu_shallow.cli.tables import say_how_matched
    from relu_shallow.data import read_table
    from relu_shallow.naming import named_by
    from relu_shallow.plot.regions import points_of

    drop = (*options["drop"], *([target] if target else []))
    table = read_table(data, **{**options, "drop": drop})
    known = read_table(data, no_header=options["no_header"], columns=[target]) if target else None
    if shallow.network.slice is None:
        shallow = named_by(shallow, table)
        say_how_matched(table, shallow.network.feature_names)
    return shallow, points_of(table, shallow.network, known)
