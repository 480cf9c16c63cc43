"""relu-shallow estimate: how many regions there are, and what a conversion would cost, before starting one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import Seconds, data_options, json_option, model_options

if TYPE_CHECKING:
    from relu_shallow.estimation.record import Estimate

MANY_CORES = 64  # the report's other machine
OUT_OF_REACH = 24.0  # hours on this machine
MUCH = 20e9  # bytes on the disk


@click.command("estimate")
@click.argument("model", type=click.Path())
@click.option("--domain", metavar="SPEC", default="all", show_default=True, help="Where to look for regions: all, "
              "box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW, or a slice: line:FILE:ROW,ROW or "
              "plane:FILE:ROW,ROW,ROW, through rows of data.")  # fmt: skip
@click.option("--time-limit", metavar="S", type=Seconds(), default=10.0, show_default=True,
              help="Spend about S seconds; the interval shrinks as their square root.")  # fmt: skip
@click.option("--workers", metavar="W", type=click.IntRange(min=1), help="Threads; by default one per usable core.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
              help="What chance starts from.")  # fmt: skip
@model_options
@data_options
@json_option
def command(
    model: str, domain: str, time_limit: float, workers: int | None, seed: int,
    no_header: bool, columns: tuple[str, ...], drop: tuple[str, ...], as_json: bool, **reading: Any,
) -> None:  # fmt: skip
    """Estimate how many regions MODEL has, and what converting it takes.

    The number comes with a 95 % confidence interval, or is exact where the time was enough to list them all.

    \b
    Example:
      relu-shallow estimate model.onnx --domain box:-1,1
    """
    from relu_shallow.cli.output import print_aligned, print_json, say
    from relu_shallow.domain_spec import parse_domain
    from relu_shallow.load import load_network

    network = load_network(model, **reading)
    options = {"no_header": no_header, "columns": columns, "drop": drop}
    region, _ = parse_domain(domain, network, read_options=options, announce=say)
    from relu_shallow.estimation import estimate  # only now: a bad model is refused without the compiler

    found = estimate(network, region, time_limit=time_limit, workers=workers, seed=seed, announce=say)
    print_json(describe(found)) if as_json else print_aligned(_lines(found))


def describe(found: Estimate) -> dict[str, Any]:
    """What `estimate --json` prints."""
    return {
        "regions": found.regions,
        "interval": [found.low, found.high],
        "confidence": 1.0 if found.exact else 0.95,
        "exact": found.exact,
        "counted": found.counted,
        "replicates": found.replicates,
        "cores": found.cores,
        "cpu_seconds": found.cpu_seconds,
        "hours": found.hours(),
        "bytes": found.bytes,
        "folder_bytes": found.folder_bytes,
        "advice": advice(found),
        "seconds": found.seconds,
    }


def advice(found: Estimate) -> str:
    """What to do about a conversion that is out of reach here, or too large for a file; empty where it is not."""
    if found.hours() <= OUT_OF_REACH and found.bytes <= MUCH:
        return ""
    if found.hours() <= OUT_OF_REACH and found.folder_bytes <= MUCH:
        return "write a folder, which takes little memory: -o DIR.regions, with --resume where it is stopped"
    return (
        "a full conversion is out of reach here: narrow the domain (--domain box:LO,HI around the inputs that matter, "
        "ball:EPS@FILE:ROW around one, or a slice, line:FILE:ROW,ROW or plane:FILE:ROW,ROW,ROW), stop with a partial "
        "list (--max-regions, --time-limit), or share it out "
        "(--shard I/K, --engine dask:ADDRESS)"
    )


def _lines(found: Estimate) -> list[tuple[str, str]]:
    number = f"{found.regions:,.0f} (exact)" if found.exact else (
        f"about {_rounded(found.regions)} (95 % interval {_rounded(found.low)} to {_rounded(found.high)})")  # fmt: skip
    more = MANY_CORES if found.cores < MANY_CORES else 16 * found.cores
    lines = [
        ("regions", number),
        (f"to convert, {found.cores} core{'s' * (found.cores > 1)}", _duration(found.hours())),
        (f"to convert, {more} cores", f"{_duration(found.hours(more))}, if they share the work perfectly"),
        ("file", f"up to {_size(found.bytes)}; a folder (-o DIR.regions): {_size(found.folder_bytes)}"),
        ("this took", f"{found.seconds:.1f} s"),
    ]
    return [*lines, ("advice", advice(found))] if advice(found) else lines


def _rounded(number: float) -> str:
    """Three significant digits, in words a person reads."""
    return f"{float(f'{number:.3g}'):,.0f}" if number < 1e15 else f"{number:.2e}"


def _duration(hours: float) -> str:
    for size, name in ((24 * 365.25, "years"), (24.0, "days"), (1.0, "hours"), (1 / 60, "minutes")):
        if hours >= 2 * size:
            return f"{hours / size:,.3g} {name}"
    return f"{hours * 3600:.2g} s"


def _size(number: float) -> str:
    for size, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= size:
            return f"{number / size:,.3g} {name}"
    return f"{number / 1e3:,.3g} kB"
