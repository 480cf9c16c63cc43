"""The record everything is lowered to: affine maps with gates of two slopes between them.

`z_1 = W_1 x + b_1`, `z_l = W_l gate_{l-1}(z_{l-1}) + b_l`, output `W_{L+1} gate_L(z_L) + b_{L+1}`.
A gate multiplies each pre-activation by one of two slopes: `active` where z > 0, `inactive` elsewhere
(ReLU: 1 and 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from relu_shallow.errors import ModelError

Matrix = Any  # np.ndarray or scipy.sparse.csr_array (not imported here: it costs 0.2 s of every start)
Head = Literal["identity", "softmax", "log_softmax", "sigmoid", "tanh"]
HEADS: tuple[Head, ...] = ("identity", "softmax", "log_softmax", "sigmoid", "tanh")


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine map x -> W x + b, with W dense or CSR, in float64."""

    W: Matrix
    b: Float[np.ndarray, " out"]


@dataclass(frozen=True, eq=False)
class Gate:
    """One layer of two-slope gates: z -> (active if z > 0 else inactive) * z, per neuron."""

    inactive: Float[np.ndarray, " neurons"]
    active: Float[np.ndarray, " neurons"]

    @staticmethod
    def relu(neurons: int) -> Gate:
        """The ordinary ReLU: slope 0 where inactive, 1 where active."""
        return Gate(np.zeros(neurons), np.ones(neurons))


@dataclass(frozen=True)
class Source:
    """Where a network came from: file name (no folder), format, SHA-256 of the file, precision of its weights.

    `assumed` says what the file itself left open, such as the order of its layers, and how it was read. `until`,
    `input_shape` and `output_name` are what was asked of the reading, and `checked` says by what program, and on how
    many rows, the source itself was run and found to agree; it is empty where the source was not run.
    """

    name: str = "memory"
    format: str = "python"
    sha256: str = ""
    dtype: str = "float64"
    assumed: str = ""
    until: str = ""
    input_shape: str = ""
    output_name: str = ""
    checked: str = ""


@dataclass(frozen=True, eq=False)
class Embedding:
    """The affine map x = M u + v that a network on a slice was composed with (relu_shallow/slices.py).

    `feature_names` are those of the original's inputs x, `label` says in words what the slice goes through.
    """

    M: Float[np.ndarray, "inputs d"]
    v: Float[np.ndarray, " inputs"]
    feature_names: tuple[str, ...]
    label: str

    def at(self, U: Float[np.ndarray, "points d"]) -> Float[np.ndarray, "points inputs"]:
        """The original's inputs at points of the slice."""
        return np.asarray(U, dtype=np.float64) @ self.M.T + self.v

    def place(
        self, X: Float[np.ndarray, "points inputs"]
    ) -> tuple[Float[np.ndarray, "points d"], Float[np.ndarray, " points"]]:
        """The coordinates of the slice's nearest points to inputs of the original, and their distances."""
        away = np.asarray(X, dtype=np.float64) - self.v
        U = np.linalg.lstsq(self.M, away.T, rcond=None)[0].T
        return U, np.linalg.norm(away - U @ self.M.T, axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A piecewise-linear network: L + 1 affine maps with L layers of two-slope gates between them.

    `head` is the final softmax, log-softmax, sigmoid or tanh, kept apart: every value, region and explanation is
    of the output before it. Weights are exact float64 images of the file's own; `source` says where they came from.
    On a slice the inputs are its coordinates, the first layer is composed with the embedding, and `slice` holds that.
    `brackets` says how the gates of a largest of k belong together: rows (gate, later gate, state), where the gate
    compares two of the k, and unless the later one is in that state both have lost (see `without_losers`).
    """

    affine: tuple[Affine, ...]
    gates: tuple[Gate, ...]
    head: Head = "identity"
    feature_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)
    slice: Embedding | None = None
    brackets: Int[np.ndarray, "entries 3"] = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __post_init__(self) -> None:
        if len(self.affine) != len(self.gates) + 1:
            raise ModelError(f"{len(self.affine)} affine maps need {len(self.affine) - 1} layers of gates, "
                             f"got {len(self.gates)}")  # fmt: skip
        _check_shapes(self)
        if not self.feature_names:
            object.__setattr__(self, "feature_names", tuple(f"x{i}" for i in range(self.inputs)))
        if not self.output_names:
            object.__setattr__(self, "output_names", tuple(f"y{k}" for k in range(self.outputs)))
        for what, names, count in (
            ("feature", self.feature_names, self.inputs),
            ("output", self.output_names, self.outputs),
        ):
            if len(names) != count:
                raise ModelError(f"{len(names)} {what} names were given for a network with {count} {what}s")
            if len(set(names)) != count:
                raise ModelError(f"{what} names must differ from one another")

    def __repr__(self) -> str:
        """One line, without the weights."""
        return f"Network({self.source.name}: {self.inputs} inputs, hidden layers {self.widths}, {self.outputs} outputs)"

    @property
    def inputs(self) -> int:
        """n, the number of inputs."""
        return int(self.affine[0].W.shape[1])

    @property
    def outputs(self) -> int:
        """m, the number of outputs."""
        return int(self.affine[-1].W.shape[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons in each hidden layer."""
        return tuple(len(gate.active) for gate in self.gates)

    @property
    def neurons(self) -> int:
        """N, the number of hidden neurons."""
        return sum(self.widths)

    @property
    def matrix_entries(self) -> int:
        """Entries of all weight matrices, zeros of sparse ones too: the products that one evaluation takes."""
        return sum(layer.W.shape[0] * layer.W.shape[1] for layer in self.affine)

    def __call__(self, X: Float[np.ndarray, "rows inputs"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs before the head, in float64."""
        return evaluate(self, X)


def from_layers(
    weights: Sequence[tuple[np.ndarray, np.ndarray]], head: Head = "identity", source: Source | None = None
) -> Network:
    """The ReLU network of the given (W, b) pairs, the last pair being the output layer."""
    affine = tuple(Affine(np.array(W, dtype=np.float64), np.array(b, dtype=np.float64)) for W, b in weights)
    gates = tuple(Gate.relu(len(layer.b)) for layer in affine[:-1])
    return Network(affine, gates, head, source=source or Source())


def named(network: Network, feature_names: Sequence[str] = (), output_names: Sequence[str] = ()) -> Network:
    """The same network with other feature or output names (an empty sequence keeps the present ones)."""
    return replace(
        network,
        feature_names=tuple(feature_names) or network.feature_names,
        output_names=tuple(output_names) or network.output_names,
    )


def with_outputs(network: Network, outputs: Sequence[int]) -> Network:
    """The network with only these outputs, in this order; one may come twice."""
    last, names = network.affine[-1], tuple(f"y{k}" for k in range(len(outputs)))
    only = Affine(last.W[list(outputs)], last.b[list(outputs)])
    return replace(network, affine=(*network.affine[:-1], only), output_names=names)


def dense(W: Matrix) -> Float[np.ndarray, "out in"]:
    """W as a C-contiguous float64 array."""
    array = W if isinstance(W, np.ndarray) else W.toarray()
    return np.ascontiguousarray(array, dtype=np.float64)


def stacked(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Hidden layers end to end, as compiled code reads them: (WT, woff, bias, off, inactive slopes, active slopes).

    WT holds W_l^T of layers 2..L row by row; layer l (from 0) starts at WT[woff[l]], its neurons at off[l].
    """
    weights = [dense(layer.W).T for layer in network.affine[1:-1]]
    WT = np.concatenate([w.ravel() for w in weights]) if weights else np.zeros(0)
    woff = np.concatenate([[0, 0], np.cumsum([w.size for w in weights])])[: len(network.gates)]
    off = np.concatenate([[0], np.cumsum(network.widths)])
    bias = np.concatenate([layer.b for layer in network.affine[:-1]])
    lo = np.concatenate([gate.inactive for gate in network.gates])
    hi = np.concatenate([gate.active for gate in network.gates])
    return WT, woff.astype(np.int64), bias, off.astype(np.int64), lo, hi


def preactivations(network: Network, X: Float[np.ndarray, "rows inputs"]) -> list[Float[np.ndarray, "rows neurons"]]:
    """z_1, ..., z_{L+1} at each row of X; the last one is the output."""
    layers = []
    h = np.asarray(X, dtype=np.float64)
    for index, layer in enumerate(network.affine):
        z = (layer.W @ h.T).T + layer.b
        layers.append(z)
        if index < len(network.gates):
            gate = network.gates[index]
            h = z * np.where(z > 0, gate.active, gate.inactive)
    return layers


def evaluate(network: Network, X: Float[np.ndarray, "rows inputs"]) -> Float[np.ndarray, "rows outputs"]:
    """Outputs before the head at each row of X."""
    return preactivations(network, X)[-1]


def switching(network: Network) -> Bool[np.ndarray, " neurons"]:
    """Which neurons have two different slopes; the others are linear, bound no region and count as inactive."""
    none = np.zeros(0, dtype=bool)
    return np.concatenate([none, *(gate.active != gate.inactive for gate in network.gates)])


def without_losers(
    network: Network, patterns: Bool[np.ndarray, "rows neurons"]
) -> Bool[np.ndarray, "rows neurons"]:
    """Patterns in which a gate that compared two losers of a largest of k counts as inactive, whatever it said.

    Patterns that differ only in the order of losers, which changes nothing, become one; the union of their cells is
    where one of the k is the largest, a convex set like any cell.
    """
    layer = np.repeat(np.arange(len(network.widths)), network.widths)
    out = np.zeros_like(patterns)
    gate, later, state = network.brackets.T
    for level in range(len(network.widths) - 1, -1, -1):  # a later gate lies in a layer above
        now = layer[later] == level
        lost = out[:, later[now]] | (patterns[:, later[now]] != state[now].astype(bool))
        out[:, gate[now]] |= lost
    return patterns & ~out


def activation_patterns(network: Network, X: Float[np.ndarray, "rows inputs"]) -> Bool[np.ndarray, "rows neurons"]:
    """w(x): which of the N neurons are active (pre-activation strictly positive) at each row of X."""
    hidden = preactivations(network, X)[:-1]
    none = np.zeros((len(X), 0), dtype=bool)
    return np.concatenate([none, *(z > 0 for z in hidden)], axis=1) & switching(network)


def apply_head(network: Network, Y: Float[np.ndarray, "rows outputs"]) -> Float[np.ndarray, "rows outputs"]:
    """The network's head applied to outputs before it."""
    if network.head in ("softmax", "log_softmax"):
        from scipy.special import log_softmax, softmax

        return (softmax if network.head == "softmax" else log_softmax)(Y, axis=1)
    if network.head == "sigmoid":
        from scipy.special import expit

        return expit(Y)
    return np.tanh(Y) if network.head == "tanh" else Y


def local_maps(
    network: Network, pattern: Bool[np.ndarray, " neurons"]
) -> list[tuple[Float[np.ndarray, "out inputs"], Float[np.ndarray, " out"]]]:
    """(G_l, g_l) for l = 1..L+1: each layer's pre-activation as an affine function of the input under one pattern.

    The last entry is (alpha, beta). Recursion of section 2 of Villani and Schoots (arXiv 2306.11827), with slopes.
    """
    maps = [(dense(network.affine[0].W), network.affine[0].b)]
    start = 0
    for gate, layer in zip(network.gates, network.affine[1:], strict=True):
        stop = start + len(gate.active)
        slope = np.where(pattern[start:stop], gate.active, gate.inactive)
        G, g = maps[-1]
        maps.append((layer.W @ (slope[:, None] * G), layer.W @ (slope * g) + layer.b))
        start = stop
    return maps


def _check_shapes(network: Network) -> None:
    """Raises ModelError unless shapes chain and every number is finite."""
    width = network.affine[0].W.shape[1] if network.affine[0].W.ndim == 2 else -1
    for index, layer in enumerate(network.affine, start=1):
        if layer.W.ndim != 2 or layer.W.shape[1] != width or layer.b.shape != (layer.W.shape[0],):
            raise ModelError(
                f"layer {index} has weights of shape {tuple(layer.W.shape)} and bias of shape "
                f"{tuple(layer.b.shape)}, but {width} values come in"
            )
        if min(layer.W.shape) < 1:
            raise ModelError(f"layer {index} is empty: its weights have shape {tuple(layer.W.shape)}")
        data = layer.W if isinstance(layer.W, np.ndarray) else layer.W.data
        if not (np.isfinite(data).all() and np.isfinite(layer.b).all()):
            raise ModelError(f"layer {index} holds NaN or infinite weights, so it has no linear regions")
        width = layer.W.shape[0]
        if index <= len(network.gates):
            gate = network.gates[index - 1]
            if gate.active.shape != (width,) or gate.inactive.shape != (width,):
                raise ModelError(f"layer {index} has {width} neurons but {len(gate.active)} gates")
    gate, later, state = network.brackets.T if network.brackets.shape[1:] == (3,) else np.full((3, 1), -1)
    if ((gate < 0) | (gate >= later) | (later >= network.neurons) | (state < 0) | (state > 1)).any():
        raise ModelError("the brackets of its largest-of-k choices do not fit its gates")
