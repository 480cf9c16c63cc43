"""`.nnet` text files (K. Julian, Stanford), with their input and output normalisation folded in.

The network is `range_out * net((x - mean) / range) + mean_out`, so folding rounds the first and last layer's weights
once or twice, in float64. The file's input minima and maxima, to which its own evaluator clips the input, are no part
of the affine network and are not applied: give them as the domain.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.lowering import assemble
from relu_shallow.load.operations import divide, gate, linear, scale, shift
from relu_shallow.load.reading import ModelFile, damaged
from relu_shallow.load.walk import Vector, Walk, Wanted, meet, most_entries, source_of, start, walked
from relu_shallow.network import Network

HEADER_LINES = 7  # sizes of the network, layer sizes, a flag, minima, maxima, means, ranges


def read_nnet(file: ModelFile, wanted: Wanted) -> Network:
    """The network of a `.nnet` file."""
    rows = _rows(file)
    sizes = _sizes(file, rows)
    means, ranges = _normalisation(file, rows, sizes[0])
    walk = Walk(room=most_entries(file), wanted=wanted)
    layers, place = [], HEADER_LINES
    for layer, (width, out) in enumerate(pairwise(sizes), start=1):
        W = _block(file, rows, place, out, width, f"weights of layer {layer}")
        b = _block(file, rows, place + out, out, 1, f"biases of layer {layer}")
        layers.append((W, b[:, 0]))
        place += 2 * out
    if len(rows) > place:
        raise damaged(file, ".nnet", f"{len(rows) - place} more lines than its layer sizes say")

    def run() -> Vector:
        v = start(walk, (1, sizes[0]))
        v = divide(walk, "input range", shift(walk, "input mean", v, -means[:-1]), ranges[:-1])
        for layer, (W, b) in enumerate(layers, start=1):
            meet(walk, f"layer {layer}", [v])
            v = linear(walk, f"layer {layer}", v, W, b)
            v = gate(walk, f"ReLU {layer}", v, 0.0) if layer < len(layers) else v
        return _denormalised(walk, v, means[-1], ranges[-1])

    return assemble(walked(walk, file.name, run), source_of(walk, file.name, "nnet", file.sha256))


def _denormalised(walk: Walk, v: Vector, mean: float, spread: float) -> Vector:
    return shift(walk, "output mean", scale(walk, "output range", v, spread), mean)


def _rows(file: ModelFile) -> list[np.ndarray]:
    """The numbers of every line that is not a comment."""
    rows = []
    try:
        lines = file.data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise damaged(file, ".nnet", "it is not text") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("//"):
            continue
        try:
            rows.append(np.array([float(part) for part in text.split(",") if part.strip()]))
        except ValueError as error:
            raise damaged(file, ".nnet", f"line {number}: {error}") from error
    ends = [line.rstrip().endswith(",") for line in lines if line.strip() and not line.strip().startswith("//")]
    if len(ends) > 1 and all(ends[:-1]) and not ends[-1]:
        raise damaged(file, ".nnet", "its last line is cut short: unlike all others it does not end in a comma")
    return rows


def _sizes(file: ModelFile, rows: list[np.ndarray]) -> list[int]:
    """Inputs, neurons of each hidden layer, outputs."""
    if len(rows) < HEADER_LINES:
        raise damaged(file, ".nnet", "its header is incomplete")
    if not all(len(row) and np.isfinite(row).all() for row in rows[:2]):
        raise damaged(file, ".nnet", "its layer sizes are no numbers")
    layers = int(rows[0][0])
    sizes = [int(size) for size in rows[1][: layers + 1]]
    if max(sizes, default=0) > sum(map(len, rows)):
        raise damaged(file, ".nnet", f"its header claims a layer of {max(sizes)} values, more than it has numbers")
    if layers < 1 or len(sizes) != layers + 1 or min(sizes) < 1:
        raise damaged(file, ".nnet", "its layer sizes do not fit the number of layers")
    return sizes


def _normalisation(file: ModelFile, rows: list[np.ndarray], inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and ranges of the inputs and, last, of the outputs; a file that gives one zero for each has none."""
    means, ranges = rows[5], rows[6]
    if len(means) < inputs + 1 and not means.any() and not ranges.any():
        return np.zeros(inputs + 1), np.ones(inputs + 1)
    if len(means) != inputs + 1 or len(ranges) != inputs + 1:
        raise damaged(file, ".nnet", f"{inputs + 1} means and ranges were expected, got {len(means)} and {len(ranges)}")
    if not ranges.all():
        raise ModelError(f"{file.name} has a range of zero, by which its inputs would be divided")
    return means, ranges


def _block(file: ModelFile, rows: list[np.ndarray], place: int, height: int, width: int, what: str) -> np.ndarray:
    """`height` lines of `width` numbers."""
    lines = rows[place : place + height]
    if len(lines) < height or any(len(line) != width for line in lines):
        raise damaged(file, ".nnet", f"{what}: {height} lines of {width} numbers were expected")
    return np.array(lines)
