"""Every model file of the folder of real networks: read, or refused and why; with --regions, its linear regions.

    python scripts/zoo.py
    python scripts/zoo.py --regions 2 --write

Prints a Markdown table; `--write` makes docs/zoo.md of it. ONNX files are run by onnxruntime as well and compared.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from relu_shallow.domain import Box, fit
from relu_shallow.errors import ReluShallowError
from relu_shallow.load import load_network
from relu_shallow.network import Network

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))
ENDINGS = (".onnx", ".nnet", ".h5", ".keras", ".pt", ".pth", ".pt2", ".safetensors")
HALF = 0.01  # half the side of the box in which regions are listed
LONGEST_REASON = 200
LARGEST = 100_000  # inputs times neurons of a network whose regions are listed with all its inputs
INTRODUCTION = """# The zoo of real files

Every model file of the folder of real networks (`shared/data`), each read and its outputs held to those of onnxruntime
where that runs it, or refused for a reason that names the layer.

- Command: `{command}`
- Commit: {commit}
- Machine: {machine}
- Versions: {versions}

{table}

{summary}

**hidden** are the layers of gates by their sizes, carriers of residuals among them; **agrees** is the largest
difference from onnxruntime's own outputs, relative to the largest of them, on 96 rows of six sizes; `-` where the
source was not run (Keras, `.nnet` and PyTorch files are held to their own references in the tests). A refused file
names the layer before which `--until` ends the network.{regions}
"""
REGIONS = """ **regions** are those that meet the box
[-{half:g}, {half:g}]^n around zero: all of them, or how many were listed in {seconds:g} seconds of one thread.
*a slice only*: a network so large is for slices through it (`--domain line:` or `plane:`)."""


def files() -> Iterator[Path]:
    """Every model file, in the order of its path."""
    yield from sorted(path for path in DATA.rglob("*") if path.suffix in ENDINGS)


def row(path: Path, seconds: float) -> list[str]:
    """The cells of one file."""
    name = path.relative_to(DATA).as_posix()
    notes = io.StringIO()
    try:
        with contextlib.redirect_stderr(notes):
            network = load_network(path, check_source=True)
    except ReluShallowError as error:
        reason = str(error).replace("|", "\\|")
        cut = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON].rsplit(' ', 1)[0]} ..."
        return [f"`{name}`", "", "", "", "", *([""] if seconds else []), f"refused: {cut}"]
    difference = network.source.checked.rpartition(" ")[2]
    agrees = "-" if not difference else "equal" if float(difference) == 0 else difference
    hidden = ", ".join(f"{count} x {width}" if count > 1 else str(width) for count, width in runs(network.widths))
    cells = [f"`{name}`", f"{network.inputs:,}", hidden or "none", f"{network.outputs:,}", agrees]
    head = "" if network.head == "identity" else f", then {network.head}"
    return [*cells, *([regions(network, seconds)] if seconds else []), f"read{head}"]


def runs(widths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(how often, which size) of equal neighbours."""
    count = 0
    for place, width in enumerate(widths):
        count += 1
        if place + 1 == len(widths) or widths[place + 1] != width:
            yield count, width
            count = 0


def regions(network: Network, seconds: float) -> str:
    """How many regions meet the small box, or were listed in the time."""
    from relu_shallow.regions.search import enumerate_regions

    if network.inputs * network.neurons > LARGEST:
        return "a slice only"
    partition = enumerate_regions(network, fit(Box(-HALF, HALF), network.inputs), time_limit=seconds)
    return f"{partition.regions:,}" if partition.complete else f"{partition.regions:,} in {seconds:g} s"


def table(seconds: float) -> tuple[str, str]:
    """(the table, how many were read)."""
    heading = ["file", "inputs", "hidden", "outputs", "agrees", *(["regions"] if seconds else []), "outcome"]
    lines = [heading, ["---", *["---:"] * (len(heading) - 2), "---"]]
    read = 0
    begin = time.perf_counter()
    for path in files():
        lines.append(row(path, seconds))
        read += lines[-1][-1].startswith("read")
        print(f"{path.name}: {lines[-1][-1]} ({time.perf_counter() - begin:.0f} s)", file=sys.stderr)
    made = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return made, f"{read} of {len(lines) - 2} files are read."


def page(seconds: float, command: str) -> str:
    """The page of the docs."""
    made, summary = table(seconds)
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"],
                            cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip
    packages = ("relu-shallow", "numpy", "onnx", "onnxruntime")
    return INTRODUCTION.format(
        command=command, commit=commit.stdout.strip(), machine=f"{os.cpu_count()} cores, {platform.system()}",
        versions=", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]),
        table=made, summary=summary, regions=REGIONS.format(half=HALF, seconds=seconds) if seconds else "",
    )  # fmt: skip


def main() -> None:
    """Prints the page, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=float, default=0.0, metavar="SECONDS", help="list regions for so long a file")
    parser.add_argument("--write", action="store_true", help="write docs/zoo.md")
    chosen = parser.parse_args()
    text = page(chosen.regions, " ".join(["python", "scripts/zoo.py", *sys.argv[1:]]))
    if chosen.write:
        (ROOT / "docs" / "zoo.md").write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
