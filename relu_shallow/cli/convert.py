"""relu-shallow convert: from a model file to its shallow equivalent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import ENGINES, LP_BACKENDS, EngineSpec, Seconds, data_options, json_option, out_option

if TYPE_CHECKING:
    from relu_shallow.conversion import Seconds as StepSeconds
    from relu_shallow.shallow.table import ShallowNetwork

REQUIREMENTS = ("complete", "witnessed", "certified")


@click.command("convert")
@click.argument("model", type=click.Path())
@out_option("The file to write; by default NAME.shallow.safetensors beside the model.")
@click.option("--domain", metavar="SPEC", default="all", show_default=True, help="Where to look for regions: all, "
              "box:LO,HI, box:FILE, data:FILE, vnnlib:FILE or ball:EPS@FILE:ROW.")  # fmt: skip
@click.option("--max-regions", metavar="K", type=click.IntRange(min=1), help="Stop with a partial list of K regions.")
@click.option("--time-limit", metavar="S", type=Seconds(), help="Stop with a partial list after S seconds.")
@click.option("--workers", metavar="W", type=click.IntRange(min=1),
              help="Threads, or processes of --engine dask; by default one per usable core.")  # fmt: skip
@click.option("--engine", metavar="E", type=EngineSpec(), default=ENGINES[0], show_default=True,
              help="Who does the work: threads, dask (a cluster of processes here), or dask:tcp://HOST:PORT, the "
              "scheduler of a cluster.")  # fmt: skip
@click.option("--lp", type=click.Choice(LP_BACKENDS), default="kernel", show_default=True,
              help="Who solves the linear programs; the others are slow references.")  # fmt: skip
@click.option("--certify/--no-certify", default=True, show_default=True,
              help="Prove every decision, or take it as it looks in floating point.")  # fmt: skip
@click.option("--proof", is_flag=True, help="Keep a proof of the whole list in the output, for anyone to check.")
@click.option("--trust", metavar="CLASS", multiple=True,
              help="Let a pickled model run this class's code, named by its import path (repeatable).")  # fmt: skip
@click.option("--require", metavar="LEVEL", type=click.Choice(REQUIREMENTS),
              help="Exit 1 where the list is below this level: complete, witnessed or certified.")  # fmt: skip
@data_options
@json_option
def command(
    model: str, out: str | None, domain: str, trust: tuple[str, ...], require: str | None, as_json: bool,
    proof: bool, no_header: bool, columns: tuple[str, ...], drop: tuple[str, ...], **search: Any,
) -> int:  # fmt: skip
    """Find every linear region of MODEL; write its shallow equivalent.

    MODEL is a PyTorch (.pt, .pth, .pt2), TorchScript, ONNX, .nnet or safetensors file; no code in it is run,
    unless --trust names its class. --no-header, --columns and --drop say how a data file of --domain is read.

    \b
    Example:
      relu-shallow convert model.onnx --domain data:train.csv --drop target
    """
    began = perf_counter()
    from relu_shallow.atomic import check_apart, check_writable
    from relu_shallow.cli import NO
    from relu_shallow.cli.output import print_json, say
    from relu_shallow.cli.progress import SEARCH_ADVICE, progress_of
    from relu_shallow.domain_spec import parse_domain
    from relu_shallow.errors import UsageError
    from relu_shallow.load import load_network
    from relu_shallow.network import named
    from relu_shallow.shallow.store import save_shallow

    if proof and not (search["certify"] and search["lp"] == LP_BACKENDS[0]):
        raise UsageError("--proof is made of a certified list: leave out --no-certify and --lp")
    target = _target(model, out)
    check_apart({"the output": target}, {"the model": model, **_files_of(domain)})
    check_writable(target)
    network = load_network(model, trust=trust)
    options = {"no_header": no_header, "columns": columns, "drop": drop}
    region, names = parse_domain(domain, network, read_options=options, announce=say)
    network = named(network, names)
    loaded = perf_counter()
    from relu_shallow.conversion import convert_timed  # only now: a bad model is refused without the compiler

    with progress_of("region", SEARCH_ADVICE) as progress:
        shallow, seconds = convert_timed(network, region, progress=progress, announce=say, **search)
    proving = perf_counter()
    refused = ""
    if proof:
        shallow, refused = _prove(shallow)
    storing = perf_counter()
    save_shallow(shallow, target)
    now = perf_counter()
    report = describe(shallow, seconds, target)
    report["seconds"] |= {"load": loaded - began, "store": seconds.build + now - storing, "total": now - began}
    report["seconds"] |= {"prove": storing - proving} if shallow.proof else {}
    print_json(report) if as_json else _print(report, shallow)
    if refused:
        say(f"written without a proof: {refused}")
    return NO if refused else _check(shallow, require)


def describe(shallow: ShallowNetwork, seconds: StepSeconds, output: Path) -> dict[str, Any]:
    """What `convert --json` prints; the seconds that only the command knows are added by it."""
    known, network = shallow.completeness, shallow.network
    return {
        "regions": shallow.regions,
        "complete": known.complete,
        "level": known.level,
        "certified": known.level == "certified",
        "certificate": asdict(known.certificate),
        "neurons": network.neurons,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "half_spaces": shallow.half_spaces,
        "lps": known.effort.lps,
        "seconds": {"load": seconds.load, "compile": seconds.compile, "enumerate": seconds.enumerate},
        "modules": [table.regions for table in shallow.tables],
        "proof": sum(array.nbytes for array in shallow.proof.values()),
        "assumed": network.source.assumed,
        "output": str(output),
    }


def _prove(shallow: ShallowNetwork) -> tuple[ShallowNetwork, str]:
    """The network with a proof of its list, unless that is partial, and why there is none."""
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import PROOF_ADVICE, progress_of
    from relu_shallow.errors import OutputError
    from relu_shallow.proof.prove import with_proof

    if not shallow.completeness.complete:
        say("the list is partial, so no proof that none is missing is kept")
        return shallow, ""
    with progress_of("proved cell", PROOF_ADVICE) as progress:
        try:
            return with_proof(shallow, progress), ""
        except OutputError as error:  # the list itself is not lost
            return shallow, str(error)


def _target(model: str, out: str | None) -> Path:
    """Where the result goes; the model must not be a result already."""
    from relu_shallow.errors import ModelError
    from relu_shallow.shallow.store import ENDING, is_shallow_file

    target = Path(out) if out else Path(model).parent / (Path(model).stem + ENDING)
    if Path(model).is_file() and is_shallow_file(model):
        raise ModelError(f"{model} is already a converted network; give the model it was made from")
    return target


def _files_of(domain: str) -> dict[str, Path]:
    """The file that a domain's specification may name, for `check_apart`."""
    _, _, rest = domain.partition(":")
    path = rest.partition("@")[2].rpartition(":")[0] if domain.startswith("ball:") else rest
    return {"the domain's file": Path(path)} if Path(path).is_file() else {}


def _print(report: dict[str, Any], shallow: ShallowNetwork) -> None:
    from relu_shallow.cli.output import count
    from relu_shallow.domain import describe as describe_domain

    how = "all of them" if report["complete"] else "a partial list"
    click.echo(f"{count(report['regions'], 'region')} on {describe_domain(shallow.domain)} ({how}, {report['level']})")
    click.echo(f"{count(report['neurons'], 'neuron')}, {count(report['half_spaces'], 'half-space')}, "
               f"{count(report['lps'], 'linear program')}")  # fmt: skip
    if report["proof"]:
        click.echo(f"proved; {report['proof']:,} bytes of proof, to be checked with: "
                   f"python -m relu_shallow.proof.check {report['output']}")  # fmt: skip
    click.echo(f"{report['output']} written; {report['seconds']['total']:.2f} s, "
               f"of which {report['seconds']['enumerate']:.2f} s searching")  # fmt: skip


def _check(shallow: ShallowNetwork, require: str | None) -> int:
    """1 where the result is below what was required; each level asks for a complete list first."""
    from relu_shallow.cli import DONE, NO
    from relu_shallow.cli.output import say
    from relu_shallow.regions.partition import LEVELS

    known = shallow.completeness
    reached = {
        None: True,
        "complete": known.complete,
        "witnessed": known.complete and LEVELS.index(known.level) >= LEVELS.index("witnessed"),
        "certified": known.complete and known.level == "certified",
    }[require]
    if not reached:
        state = f"{'complete' if known.complete else 'partial'} and {known.level}"
        say(f"the list is {state}, below the required level {require}; it was written all the same")
    return DONE if reached else NO
