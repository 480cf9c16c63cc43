"""Options that several commands share."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

LP_BACKENDS = ("kernel", "highs", "cvxpy")  # a test holds these to the library's own
ENGINES = ("threads", "dask")
EXPORT_FORMS = ("table", "literal")
NORMS = ("1", "2", "inf")
SCALES = ("none", "range", "sd", "mad")
METHODS = ("auto", "local", "exact", "bounds", "estimate", "integrated")


class Seconds(click.FloatRange):
    """A positive number of seconds; "nan" is none."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, refused where it is not one."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


class Bytes(click.ParamType[float]):
    """An amount of memory: a number with an ending, as 500MB or 2GB."""

    name = "bytes"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of bytes, refused where it is none."""
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)B?\s*", str(value), re.IGNORECASE)
        if not found or not float(found[1]) > 0:
            self.fail(f"{value!r:.60} is not an amount of memory, as 500MB or 2GB", param, ctx)
        return float(found[1]) * 1000.0 ** " kmgt".index(found[2].lower() or " ")


class Part(click.ParamType[tuple[int, int]]):
    """One part of several: I/K, counted from 1."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The two numbers, refused unless 1 <= I <= K."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r:.60} is not a part I/K with I from 1 to K, as 3/16", param, ctx)
        return int(found[1]), int(found[2])


class EngineSpec(click.ParamType[str]):
    """Who does the work: the name of an engine, with or without an address after a colon."""

    name = "engine"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The words as given, refused where they begin with no engine's name."""
        if value.partition(":")[0] not in ENGINES:
            self.fail(f"{value!r:.60} is not one of {', '.join(ENGINES)}, dask:tcp://HOST:PORT", param, ctx)
        return value


def _split(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Names separated by commas; a name that holds a comma stands in double quotes, as in CSV."""
    if value is None:
        return ()
    return tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True), []))


def data_options(function: Command) -> Command:
    """How data files are read: --no-header, --columns, --drop."""
    for option in (
        click.option("--drop", metavar="NAME", multiple=True, help="Leave this column of the data out (repeatable)."),
        click.option("--columns", metavar="A,B,...", callback=_split, help="Take these columns, in this order."),
        click.option("--no-header", is_flag=True, help="The data's first line is data, not names."),
    ):
        function = option(function)
    return function


class Shape(click.ParamType[tuple[int, ...]]):
    """The shape of one row: whole numbers with commas between them."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers, refused where they are none."""
        if isinstance(value, tuple):
            return value
        sizes = value.replace("x", ",").split(",")
        if not all(size.strip().isdecimal() and len(size) < 10 and int(size) for size in sizes):
            self.fail(f"{value!r:.60} is not the shape of one row, as 3,32,32", param, ctx)
        return tuple(map(int, sizes))


def model_options(function: Command) -> Command:
    """How a model is read: --trust, --until, --input-shape, --output-name, --check-source; keywords of load_network."""
    for option in (
        click.option("--check-source", is_flag=True, help="Run the model by its own framework too, where that is "
                     "installed and runs no code of the file, and compare outputs."),
        click.option("--output-name", metavar="NAME", default="", help="The output tensor, where there are several."),
        click.option("--input-shape", metavar="N,N,...", type=Shape(), default=None,
                     help="The shape of one row, where the model does not tell it, as 3,32,32."),
        click.option("--until", metavar="LAYER", default="", help="Only the part of the model before this layer."),
        click.option("--trust", metavar="CLASS", multiple=True,
                     help="Let a pickled model run this class's code, named by its import path (repeatable)."),
    ):  # fmt: skip
        function = option(function)
    return function


MODEL_OPTIONS = ("trust", "until", "input_shape", "output_name", "check_source")


def taken_out(options: dict[str, Any], names: tuple[str, ...] = MODEL_OPTIONS) -> dict[str, Any]:
    """The named options, which are then no longer among the others."""
    return {name: options.pop(name) for name in names}


def json_option(function: Command) -> Command:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def out_option(help_text: str, required: bool = False) -> Callable[[Command], Command]:
    """-o OUT."""
    return click.option("-o", "out", metavar="OUT", type=click.Path(), required=required, help=help_text)
