"""relu-shallow modular: make a network fall apart into modules, train one that does, and measure modularity."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import Shape, data_options, json_option, model_options, out_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relu_shallow.data import DataTable
    from relu_shallow.modular.fitting import Progress
    from relu_shallow.modular.making import Modular
    from relu_shallow.modular.tables import Examples

ENDINGS = (".pt", ".pth")
HOWS = ("steps", "mask")  # a test holds these to the library's own
TASKS = ("auto", "classes", "values")
SEARCHES = ("single", "blocks")


class Widths(Shape):
    """Neurons of hidden layers: whole numbers with commas between them."""

    name = "widths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers, refused where they are none."""
        if isinstance(value, str) and not all(part.strip().isdecimal() and int(part) for part in value.split(",")):
            self.fail(f"{value!r:.60} is no list of hidden layers' neurons, as 32,32", param, ctx)
        return super().convert(value, param, ctx)


@click.group("modular")
def command() -> None:
    """Make networks that fall apart into modules, whose regions add instead of multiply.

    \b
    Example:
      relu-shallow modular make model.onnx patients.csv --target ill --modules 4 -o modular.pt
      relu-shallow convert modular.pt --modular --domain data:patients.csv --drop ill
    """


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What make and train share."""
    for option in (
        click.option("--published", is_flag=True, help="Tell C by the published procedure too."),
        click.option("--tolerance", metavar="T", type=click.FloatRange(min=0), help="Refuse a removal that changes the "
                     "class of more than this share of the rows held out (0.05: five in a hundred), or of values one "
                     "by more than T; exit status 1."),
        click.option("--held-out", metavar="SHARE", type=click.FloatRange(0, 1, max_open=True), default=0.2,
                     show_default=True, help="Measure on this share of the rows, not trained on; 0: on all."),
        click.option("--seed", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
                     help="What chance starts from."),
        click.option("--batch", metavar="N", type=click.IntRange(min=1), default=64, show_default=True,
                     help="Rows in a training step."),
        click.option("--task", type=click.Choice(TASKS), default="auto", show_default=True, help="What the target is; "
                     "auto: classes where it holds at most 20 different whole numbers."),
        click.option("--modules", metavar="K", type=click.IntRange(min=1), required=True, help="How many modules."),
        click.option("--target", metavar="NAME", required=True, help="The column of DATA that is to be predicted."),
    ):  # fmt: skip
        function = option(function)
    return function


@command.command("make")
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@out_option("The network to write, .pt.", required=True)
@click.option("--epochs", metavar="N", type=click.IntRange(min=0), default=20, show_default=True,
              help="Passes over the data after the removal; 0: leave it at that.")  # fmt: skip
@click.option("--step", metavar="S", type=click.FloatRange(min=0, min_open=True), default=1e-3, show_default=True,
              help="Adam's step.")  # fmt: skip
@click.option("--by-gradients", is_flag=True, help="Cluster gradients of the loss in place of weights.")
@click.option("--uneven", is_flag=True, help="Let modules have different numbers of neurons.")
@training_options
@model_options
@data_options
@json_option
def make(
    model: str, data: str, out: str, target: str, modules: int, task: str, held_out: float, seed: int,
    published: bool, uneven: bool, as_json: bool, no_header: bool, columns: tuple[str, ...], drop: tuple[str, ...],
    epochs: int, step: float, batch: int, by_gradients: bool, tolerance: float | None, **reading: Any,
) -> int:  # fmt: skip
    """Make MODEL modular: cluster its hidden neurons, remove the weights between clusters, train on without them.

    What the removal changes is bounded and measured before the training after it. DATA has the inputs and the target.

    \b
    Example:
      relu-shallow modular make digits.pt digits.csv --target digit --modules 16 -o modular.pt
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli import NO
    from relu_shallow.cli.output import say
    from relu_shallow.load import load_network
    from relu_shallow.modular.making import RemovalError, make_modular
    from relu_shallow.modular.tables import examples, split
    from relu_shallow.modular.torch_module import module_of, with_head

    _check_target(out)
    check_apart({"the output": out}, {"the model": model, "the data": data})
    network = load_network(model, **reading)
    table = _table(data, no_header, columns, drop)
    single = network.outputs == 1 and network.head != "sigmoid"
    kind: Any = ("values" if single else "classes") if task == "auto" else task
    rows = examples(table, target, feature_names=network.feature_names, task=kind, outputs=network.outputs)
    _say_matched(table, target, network.feature_names)
    train, test = split(rows, held_out, seed)
    module = module_of(network)
    values = rows.task == "values"
    try:
        with _progress() as progress:
            made = make_modular(
                with_head(module, network.head) if values else module, (train.X, train.y), modules,
                test=(test.X, test.y), epochs=epochs, step=step, batch=batch, seed=seed, tolerance=tolerance,
                by_gradients=by_gradients, balanced=not uneven, progress=progress,
            )  # fmt: skip
    except RemovalError as refusal:
        say(str(refusal))
        return NO
    _save(out, made.module if values else with_head(made.module, network.head))
    return _tell(made, "make", rows, train, test, out, seed, published, as_json)


@command.command("train")
@click.argument("data", type=click.Path())
@out_option("The network to write, .pt.", required=True)
@click.option("--hidden", metavar="N,N,...", type=Widths(), default="32,32", show_default=True,
              help="Neurons of the hidden layers, two layers or more.")  # fmt: skip
@click.option("--how", type=click.Choice(HOWS), default="steps", show_default=True, help="The paper's three steps "
              "(train, cluster, train with the enmeshment loss), or a mask from the start.")  # fmt: skip
@click.option("--epochs", metavar="N", type=click.IntRange(min=0), default=60, show_default=True,
              help="Passes over the data; in steps, half of them before the clustering.")  # fmt: skip
@click.option("--tune", metavar="N", type=click.IntRange(min=0), default=20, show_default=True,
              help="Passes after the removal, with smaller steps.")  # fmt: skip
@click.option("--step", metavar="S", type=click.FloatRange(min=0, min_open=True), default=3e-3, show_default=True,
              help="Adam's step.")  # fmt: skip
@click.option("--strength", metavar="L", type=click.FloatRange(min=0), default=20.0, show_default=True,
              help="Weight of the enmeshment loss, the paper's lambda.")  # fmt: skip
@training_options
@data_options
@json_option
def train(
    data: str, out: str, hidden: tuple[int, ...], target: str, modules: int, task: str, held_out: float, seed: int,
    published: bool, as_json: bool, no_header: bool, columns: tuple[str, ...], drop: tuple[str, ...],
    **options: Any,
) -> int:  # fmt: skip
    """Train a modular ReLU network on DATA from scratch.

    Its first layer scales each feature by the mean and spread of the rows trained on.

    \b
    Example:
      relu-shallow modular train digits.csv --target digit --hidden 32,32 --modules 16 -o modular.pt
    """
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli import NO
    from relu_shallow.cli.output import say
    from relu_shallow.modular.making import RemovalError, train_modular
    from relu_shallow.modular.tables import examples, split
    from relu_shallow.modular.torch_module import new_module

    _check_target(out)
    check_apart({"the output": out}, {"the data": data})
    table = _table(data, no_header, columns, drop)
    kind: Any = None if task == "auto" else task
    rows = examples(table, target, task=kind)
    learnt, test = split(rows, held_out, seed)
    module = new_module(learnt.X, hidden, len(rows.classes) if rows.classes else learnt.y, seed)
    try:
        with _progress() as progress:
            made = train_modular(module, (learnt.X, learnt.y), modules, test=(test.X, test.y), seed=seed,
                                 progress=progress, **options)  # fmt: skip
    except RemovalError as refusal:
        say(str(refusal))
        return NO
    _save(out, made.module)
    return _tell(made, options["how"], rows, learnt, test, out, seed, published, as_json)


@command.command("measure")
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--target", metavar="NAME", required=True, help="The column of DATA with the classes, from 0.")
@click.option("--modules", metavar="K", type=click.IntRange(min=1), required=True, help="How many modules.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
              help="What chance starts from.")  # fmt: skip
@click.option("--circuits", type=click.Choice(SEARCHES), help="Find each class's circuit too, trying weights one at a "
              "time or in blocks that are halved.")  # fmt: skip
@model_options
@data_options
@json_option
def measure(
    model: str, data: str, target: str, modules: int, seed: int, circuits: Any, as_json: bool, no_header: bool,
    columns: tuple[str, ...], drop: tuple[str, ...], **reading: Any,
) -> None:  # fmt: skip
    """Measure how modular MODEL is, and what its modules are for.

    Clusterability and effective circuit sizes are told as repaired, and as published beside them.

    
    Example:
      relu-shallow modular measure modular.pt digits.csv --target digit --modules 16
    """
    from relu_shallow.cli.modular_account import describe_measures, measure_lines
    from relu_shallow.cli.output import print_aligned, print_json
    from relu_shallow.cli.progress import progress_of
    from relu_shallow.load import load_network
    from relu_shallow.modular.measuring import measure as measured
    from relu_shallow.modular.tables import examples

    network = load_network(model, **reading)
    table = _table(data, no_header, columns, drop)
    rows = examples(table, target, feature_names=network.feature_names, task="classes", outputs=network.outputs)
    _say_matched(table, target, network.feature_names)
    with progress_of("circuit", "--circuits blocks is faster than single; without --circuits none are sought") as told:
        found = measured(network, rows.X, rows.y, modules, seed=seed, search=circuits, progress=told)
    report = describe_measures(found)
    print_json(report) if as_json else print_aligned(measure_lines(report))


def _table(data: str, no_header: bool, columns: tuple[str, ...], drop: tuple[str, ...]) -> DataTable:
    from relu_shallow.data import read_table

    return read_table(data, no_header=no_header, columns=columns, drop=drop)


def _check_target(out: str) -> None:
    from relu_shallow.atomic import check_writable
    from relu_shallow.errors import OutputError

    if check_writable(out).suffix.lower() not in ENDINGS:
        raise OutputError(f"{out}: the network is written by PyTorch; choose an ending of {', '.join(ENDINGS)}")


def _say_matched(table: DataTable, target: str, feature_names: tuple[str, ...]) -> None:
    from relu_shallow.cli.tables import say_how_matched
    from relu_shallow.data import columns_by_name
    from relu_shallow.modular.tables import without

    if columns_by_name(table, feature_names) is None:
        say_how_matched(without(table, target), feature_names)


def _save(out: str, module: Any) -> None:
    import torch

    from relu_shallow.atomic import replacing

    with replacing(out) as temporary:
        torch.save(module.eval(), temporary)


@contextmanager
def _progress() -> Iterator[Progress]:
    from relu_shallow.cli.progress import progress_of

    with progress_of("epoch", "fewer are enough for a first look: --epochs N") as told:
        yield lambda _, done, __: told(done)


def _tell(
    made: Modular, how: str, rows: Examples, train: Examples, test: Examples, out: str, seed: int, published: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Prints what was made."""
    from relu_shallow.cli import DONE
    from relu_shallow.cli.modular_account import account_lines, describe
    from relu_shallow.cli.output import print_aligned, print_json, say
    from relu_shallow.modular.account import account_of

    account = account_of(made, rows, test, seed=seed)
    if how == "make" and not account.removal.bound.any():
        say("no weight joins the modules found: the network is modular already, and nothing was removed")
    report = describe(account, how, rows, len(train), len(test), out)
    if not published:
        report.pop("published")
    print_json(report) if as_json else print_aligned(account_lines(report))
    return DONE
