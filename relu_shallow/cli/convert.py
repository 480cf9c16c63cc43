"""relu-shallow convert: from a model file to its shallow equivalent."""

from __future__ import annotations

from dataclasses import asdict
from math import log10, prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from relu_shallow.cli.options import (
    ENGINES,
    LP_BACKENDS,
    Bytes,
    EngineSpec,
    Part,
    Seconds,
    data_options,
    json_option,
    model_options,
    out_option,
    taken_out,
)

if TYPE_CHECKING:
    from relu_shallow.conversion import Seconds as StepSeconds
    from relu_shallow.domain import Domain
    from relu_shallow.network import Network
    from relu_shallow.regions.folder import RegionsFolder
    from relu_shallow.shallow.table import Completeness, ShallowNetwork
    from relu_shallow.slices import Subspace

COUNTED = 1 << 28  # signs of neurons over all regions that are looked at for what --modular would save
WRITTEN_OUT = 10**9
REQUIREMENTS = ("complete", "witnessed", "certified")


@click.command("convert")
@click.argument("model", type=click.Path())
@out_option("The file to write, or a folder DIR.regions for lists of any size; by default "
            "NAME.shallow.safetensors beside the model.")  # fmt: skip
@click.option("--domain", metavar="SPEC", default="all", show_default=True, help="Where to look for regions: all, "
              "box:LO,HI, box:FILE, data:FILE, vnnlib:FILE, ball:EPS@FILE:ROW, or a slice: line:FILE:ROW,ROW or "
              "plane:FILE:ROW,ROW,ROW, through rows of data.")  # fmt: skip
@click.option("--max-regions", metavar="K", type=click.IntRange(min=1), help="Stop with a partial list of K regions.")
@click.option("--time-limit", metavar="S", type=Seconds(), help="Stop with a partial list after S seconds.")
@click.option("--max-memory", metavar="SIZE", type=Bytes(), help="Hold no more than SIZE, as 2GB, in memory: a file "
              "then gets a partial list, a folder does not mind.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the folder of a run that was stopped.")
@click.option("--shard", "share", metavar="I/K", type=Part(), default=None,
              help="Search part I of K only, into a folder of its own; merge puts the parts together.")  # fmt: skip
@click.option("--workers", metavar="W", type=click.IntRange(min=1),
              help="Threads, or processes of --engine dask; by default one per usable core.")  # fmt: skip
@click.option("--engine", metavar="E", type=EngineSpec(), default=ENGINES[0], show_default=True,
              help="Who does the work: threads, dask (a cluster of processes here), or dask:tcp://HOST:PORT, the "
              "scheduler of a cluster.")  # fmt: skip
@click.option("--lp", type=click.Choice(LP_BACKENDS), default="kernel", show_default=True,
              help="Who solves the linear programs; the others are slow references.")  # fmt: skip
@click.option("--certify/--no-certify", default=True, show_default=True,
              help="Prove every decision, or take it as it looks in floating point.")  # fmt: skip
@click.option("--modular", is_flag=True, help="Where no weight joins the network's modules, list the regions of each: "
              "they add, where those of the network multiply.")  # fmt: skip
@click.option("--proof", is_flag=True, help="Keep a proof of the whole list in the output, for anyone to check.")
@model_options
@click.option("--require", metavar="LEVEL", type=click.Choice(REQUIREMENTS),
              help="Exit 1 where the list is below this level: complete, witnessed or certified.")  # fmt: skip
@data_options
@json_option
def command(
    model: str, out: str | None, domain: str, require: str | None, as_json: bool,
    proof: bool, resume: bool, share: tuple[int, int] | None, no_header: bool, columns: tuple[str, ...],
    drop: tuple[str, ...], **search: Any,
) -> int:  # fmt: skip
    """Find every linear region of MODEL; write its shallow equivalent.

    MODEL is a PyTorch (.pt, .pth, .pt2), TorchScript, ONNX, .nnet or safetensors file; no code in it is run,
    unless --trust names its class. --no-header, --columns and --drop say how a data file of --domain is read.

    \b
    Example:
      relu-shallow convert model.onnx --domain data:train.csv --drop target
      relu-shallow convert model.onnx --domain box:-1,1 -o model.regions --resume
    """
    began = perf_counter()
    from relu_shallow.archive import FOLDER
    from relu_shallow.atomic import check_apart
    from relu_shallow.cli.output import say
    from relu_shallow.domain_spec import parse_domain
    from relu_shallow.load import load_network
    from relu_shallow.network import named

    target = _target(model, out)
    _check_choices(target, proof, resume, share, search)
    check_apart({"the output": target}, {"the model": model, **_files_of(domain)})
    network = load_network(model, **taken_out(search))
    options = {"no_header": no_header, "columns": columns, "drop": drop}
    region, names = parse_domain(domain, network, read_options=options, announce=say)
    network = named(network, names)
    loaded = perf_counter() - began
    if target.suffix == FOLDER:
        del search["lp"], search["modular"]
        return _to_folder(network, region, target, loaded, require, as_json, resume=resume, share=share or (1, 1),
                          **search)  # fmt: skip
    return _to_file(network, region, target, loaded, require, as_json, proof, **search)


def _to_file(
    network: Network, region: Domain | Subspace, target: Path, loaded: float, require: str | None, as_json: bool,
    proof: bool, **search: Any,
) -> int:  # fmt: skip
    """Converts into one file; the exit status."""
    from relu_shallow.cli import NO
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import SEARCH_ADVICE, progress_of
    from relu_shallow.conversion import convert_timed  # only now: a bad model is refused without the compiler
    from relu_shallow.modules import modules_of
    from relu_shallow.shallow.store import save_shallow

    began = perf_counter()
    if search["modular"] and len(modules_of(network)) == 1:
        say("the network is a single module: its weights join all hidden neurons, so there is one list")
    with progress_of("region", SEARCH_ADVICE) as progress:
        shallow, seconds = convert_timed(network, region, progress=progress, announce=say, **search)
    proving = perf_counter()
    refused = ""
    if proof:
        shallow, refused = _prove(shallow)
    storing = perf_counter()
    save_shallow(shallow, target)
    now = perf_counter()
    report = {**describe(shallow, seconds, target), "by_module": _by_module(shallow)}
    report["seconds"] |= {"load": loaded, "store": seconds.build + now - storing, "total": loaded + now - began}
    report["seconds"] |= {"prove": storing - proving} if shallow.proof else {}
    _tell(report, shallow, as_json)
    if refused:
        say(f"written without a proof: {refused}")
    return NO if refused else _check(shallow.completeness, require)


def _to_folder(
    network: Network, region: Domain | Subspace, target: Path, loaded: float, require: str | None, as_json: bool,
    **search: Any,
) -> int:  # fmt: skip
    """Converts into a folder; the exit status."""
    from relu_shallow.cli.output import say
    from relu_shallow.cli.progress import FOLDER_ADVICE, progress_of
    from relu_shallow.conversion import convert_to_folder_timed

    began = perf_counter()
    with progress_of("region", FOLDER_ADVICE) as progress:
        folder, seconds = convert_to_folder_timed(network, target, region, progress=progress, announce=say, **search)
    report = describe_folder(folder)
    report["seconds"] = {"load": loaded, "compile": seconds.compile, "enumerate": seconds.enumerate, "store": 0.0,
                         "total": loaded + perf_counter() - began}  # fmt: skip
    _tell(report, folder, as_json)
    return _check(folder, require)


def describe(shallow: ShallowNetwork, seconds: StepSeconds, output: Path) -> dict[str, Any]:
    """What `convert --json` prints of a file; the seconds that only the command knows are added by it."""
    return {
        **_described(shallow.network, shallow.completeness, shallow.regions),
        "choices": shallow.choices,
        "half_spaces": shallow.half_spaces,
        "seconds": {"load": seconds.load, "compile": seconds.compile, "enumerate": seconds.enumerate},
        "modules": [table.regions for table in shallow.tables],
        "proof": sum(array.nbytes for array in shallow.proof.values()),
        "output": str(output),
    }


def _by_module(shallow: ShallowNetwork) -> list[int] | None:
    """The regions of each module, also where one list is of all; null where those would take long to count."""
    from relu_shallow.modules import modules_of
    from relu_shallow.shallow.projection import regions_by_module

    if len(shallow.tables) > 1:
        return [table.regions for table in shallow.tables]
    (table,) = shallow.tables
    if not shallow.completeness.complete or table.regions * table.network.neurons > COUNTED:
        return None
    return regions_by_module(table, modules_of(shallow.network)).tolist()


def describe_folder(folder: RegionsFolder) -> dict[str, Any]:
    """What `convert --json` and `merge --json` print of a folder, which keeps no half-spaces."""
    return {
        **_described(folder.network, folder, folder.regions),
        "choices": None if len(folder.network.brackets) else folder.regions,
        "half_spaces": None,
        "modules": [folder.regions],
        "by_module": None,
        "proof": 0,
        "files": len(folder.shards),
        "unfinished": folder.unfinished,
        "shard": list(folder.share),
        "output": str(folder.path),
    }


def _described(network: Network, known: Completeness | RegionsFolder, regions: int) -> dict[str, Any]:
    """What a file and a folder have in common."""
    return {
        "regions": regions,
        "complete": known.complete,
        "level": known.level,
        "certified": known.level == "certified",
        "certificate": asdict(known.certificate),
        "neurons": network.neurons,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "lps": known.effort.lps,
        "slice": None if network.slice is None else network.slice.label,
        "assumed": network.source.assumed,
        "source_checked": network.source.checked or "source not run",
    }


def _check_choices(
    target: Path, proof: bool, resume: bool, share: tuple[int, int] | None, search: dict[str, Any]
) -> None:
    """Raises, before any work, where options do not go together."""
    from relu_shallow.archive import FOLDER
    from relu_shallow.atomic import check_writable
    from relu_shallow.errors import UsageError

    if proof and not (search["certify"] and search["lp"] == LP_BACKENDS[0]):
        raise UsageError("--proof is made of a certified list: leave out --no-certify and --lp")
    if proof and search["modular"]:
        raise UsageError("a proof is kept of one list of all regions: leave out --proof, or --modular")
    if target.suffix == FOLDER:
        if search["modular"]:
            raise UsageError("the lists of modules are kept in one file: leave out --modular, or write a file")
        if proof or search["lp"] != LP_BACKENDS[0]:
            raise UsageError("a folder of regions is searched by the kernel and keeps no proof: leave out --lp and "
                             "--proof, or write a file")  # fmt: skip
    elif resume or share:
        raise UsageError("--resume and --shard are for folders of regions: give one with -o DIR.regions")
    else:
        check_writable(target)


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
    if _is_folder(model) or (Path(model).is_file() and is_shallow_file(model)):
        raise ModelError(f"{model} is already a converted network; give the model it was made from")
    return target


def _is_folder(path: str) -> bool:
    """Whether it is a folder of regions; that needs the compiler, which nothing else does before the input is read."""
    if not Path(path).is_dir():
        return False
    from relu_shallow.regions.folder import is_folder

    return is_folder(path)


def _files_of(domain: str) -> dict[str, Path]:
    """The file that a domain's specification may name, for `check_apart`."""
    from relu_shallow.domain_spec import file_of

    path = file_of(domain)
    return {"the domain's file": path} if path is not None and path.is_file() else {}


def _tell(report: dict[str, Any], listed: ShallowNetwork | RegionsFolder, as_json: bool) -> None:
    """Prints the report; that of a partial list says how much of the domain it covers."""
    from relu_shallow.cli.output import print_json
    from relu_shallow.covering import coverage

    found = None if report["complete"] else coverage(listed)
    report["coverage"] = None if found is None else asdict(found)
    print_json(report) if as_json else _print(report, listed)


def _print(report: dict[str, Any], listed: ShallowNetwork | RegionsFolder) -> None:
    from relu_shallow.cli.output import count
    from relu_shallow.domain import describe as describe_domain
    from relu_shallow.errors import printable

    how = "all of them" if report["complete"] else "a partial list"
    where = describe_domain(listed.domain) + (f" of {printable(report['slice'])}" if report["slice"] else "")
    click.echo(f"{count(report['regions'], 'region')} on {where} ({how}, {report['level']})")
    if report["choices"] not in (None, report["regions"]):
        click.echo(f"{count(report['choices'], 'region')} where the order of losers of a max does not count")
    modules, by_module = len(report.get("modules", ())), report.get("by_module") or ()
    if modules > 1:
        most = prod(report["modules"])
        many = count(most, "joint region") if most < WRITTEN_OUT else f"about 10^{log10(most):.0f} joint regions"
        click.echo(f"the sum of {count(modules, 'module')}, where one list would hold up to {many}")
    elif len(by_module) > 1:
        click.echo(f"the network is the sum of {count(len(by_module), 'module')}: --modular would list "
                   f"{count(sum(by_module), 'region')}")  # fmt: skip
    spaces = "" if report["half_spaces"] is None else f"{count(report['half_spaces'], 'half-space')}, "
    click.echo(f"{count(report['neurons'], 'neuron')}, {spaces}{count(report['lps'], 'linear program')}")
    if report["coverage"]:
        share = report["coverage"]
        click.echo(f"covers {share['fraction']:.2%} of the domain's volume (95 % interval {share['low']:.2%} to "
                   f"{share['high']:.2%})")  # fmt: skip
    if report["proof"]:
        click.echo(f"proved; {report['proof']:,} bytes of proof, to be checked with: "
                   f"python -m relu_shallow.proof.check {report['output']}")  # fmt: skip
    if report.get("unfinished"):
        click.echo(f"{count(report['unfinished'], 'subtree')} still to be searched; go on with --resume")
    click.echo(f"{report['output']} written; {report['seconds']['total']:.2f} s, "
               f"of which {report['seconds']['enumerate']:.2f} s searching")  # fmt: skip


def _check(known: Completeness | RegionsFolder, require: str | None) -> int:
    """1 where the result is below what was required; each level asks for a complete list first."""
    from relu_shallow.cli import DONE, NO
    from relu_shallow.cli.output import say
    from relu_shallow.regions.partition import LEVELS

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
