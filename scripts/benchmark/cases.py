"""The networks and domains measured, and the targets set for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.images import digit_slice
from benchmark.problem import Problem
from relu_shallow.domain import Box, Domain, WholeSpace, fit
from relu_shallow.domain_spec import parse_domain
from relu_shallow.load import load_network
from relu_shallow.network import dense
from relu_shallow.slices import Subspace

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RELU_SHALLOW_DATA", ROOT.parent / "shared" / "data"))
ACAS_1_1 = "onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx"
BIAS = 0.1  # standard deviation of random biases: most borders cross the box, and few of them meet in one point

PAPER_SIZE = (2, 4, 4, 4, 1)
SECONDS_IN_PAPER = 600.0  # "about 10 minutes" for 12 neurons in 3 layers (arXiv 2306.11827)


class MissingData(Exception):  # noqa: N818
    """A file of the folder of real networks is not there."""


@dataclass(frozen=True)
class Target:
    """A limit on one number (`seconds`, `rate` in regions per second, `besides` in bytes) of one thread's search."""

    what: str
    metric: str
    limit: float

    def met(self, value: float) -> bool:
        return value >= self.limit if self.metric == "rate" else value < self.limit


@dataclass(frozen=True)
class Case:
    """A problem by name, how to get it, and its targets."""

    title: str
    problem: Callable[[], Problem]
    targets: tuple[Target, ...] = ()


def random_network(sizes: tuple[int, ...], seed: int, half_width: float) -> Problem:
    """Normal weights of variance 2 / fan-in and normal biases, over [-half_width, half_width]^n."""
    random = np.random.default_rng(seed)
    layers = [
        (random.normal(size=(out, into)) * np.sqrt(2 / into), BIAS * random.normal(size=out))
        for into, out in pairwise(sizes)
    ]
    return Problem(layers, np.full(sizes[0], -half_width), np.full(sizes[0], half_width))


def plane_network(neurons: int, seed: int = 0) -> Problem:
    """The paper's figure: 2 inputs, 1 output, `neurons` in three hidden layers as even as can be, over [-1,1]^2."""
    widths = [neurons // 3 + (layer < neurons % 3) for layer in range(3)]
    return random_network((2, *[width for width in widths if width], 1), seed, 1.0)


def real_network(model: str, domain: str | Domain) -> Problem:
    """A network of the data folder over a domain, which may be `vnnlib:` and a file there."""
    network = load_network(_data(model))
    if any(gate.inactive.any() or (gate.active != 1).any() for gate in network.gates):
        raise ValueError(f"{model} has gates that are not ReLU; the other systems know no others")
    if isinstance(domain, str):
        kind, _, name = domain.partition(":")
        found, _ = parse_domain(f"{kind}:{_data(name)}", network)
        assert not isinstance(found, Subspace), "slices are cases of their own"
        domain = found
    layers = [(dense(layer.W), layer.b) for layer in network.affine]
    if isinstance(domain, WholeSpace):
        return Problem(layers, np.full(network.inputs, -np.inf), np.full(network.inputs, np.inf))
    box = fit(domain, network.inputs)
    return Problem(layers, box.lo, box.hi)


def _data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        raise MissingData(f"{name} is not in the data folder (set RELU_SHALLOW_DATA)")
    return path


def _archcomp(name: str, half_width: float, *targets: Target, title: str) -> Case:
    model = f"onnx/archcomp/{name}.onnx"
    return Case(title, partial(real_network, model, Box(-half_width, half_width)), targets)


def _paper(seed: int, half_width: float, where: str, *targets: Target) -> Case:
    problem = partial(random_network, PAPER_SIZE, seed, half_width)
    return Case(f"The paper's size: 2 inputs, 3 layers of 4, random (seed {seed}), over {where}", problem, targets)


def _acas(number: int, *targets: Target) -> Case:
    problem = partial(real_network, ACAS_1_1, f"vnnlib:onnx/acasxu/prop_{number}.vnnlib")
    return Case(f"ACAS Xu 1_1 (5 inputs, 6 layers of 50) over the box of property {number}", problem, targets)


def _acas_box(half_width: float, what: str) -> Case:
    problem = partial(real_network, ACAS_1_1, Box(-half_width, half_width))
    return Case(f"ACAS Xu 1_1 ({what}) over [-{half_width},{half_width}]^5 of its normalised inputs", problem)


def _digits(*digits: int) -> Problem:
    return digit_slice(_data("images/mnist/mnist_train_10k.npz"), *digits)


def _five_inputs(seed: int) -> Case:
    problem = partial(random_network, (5, 16, 16, 1), seed, 1.0)
    return Case(f"5-16-16-1, random (seed {seed}), over [-1,1]^5", problem, (AT_LEAST_200_000,))


UNDER_1_MS = Target("under 1 ms", "seconds", 1e-3)
AT_LEAST_200_000 = Target("at least 200,000 regions/s", "rate", 200_000)
UNDER_500_MB = Target("under 500 MB besides the result", "besides", 500e6)

CASES: dict[str, Case] = {
    "paper-0": _paper(0, 1.0, "[-1,1]^2", UNDER_1_MS),
    "paper-1": _paper(1, 1.0, "[-1,1]^2", UNDER_1_MS),
    "paper-2": _paper(2, 1.0, "[-1,1]^2", UNDER_1_MS),
    "paper-plane": _paper(0, np.inf, "the whole plane", UNDER_1_MS),
    "five-0": _five_inputs(0),
    "five-1": _five_inputs(1),
    "single-pendulum": _archcomp(
        "Single_Pendulum_controller_single_pendulum", 2.0,
        title="Single pendulum controller (2 inputs, 2 layers of 25) over [-2,2]^2",
    ),
    "double-pendulum": _archcomp(
        "Double_Pendulum_controller_double_pendulum_less_robust", 2.0,
        title="Double pendulum controller (4 inputs, 2 layers of 25) over [-2,2]^4",
    ),
    "acas-3": _acas(3, Target("under 1 s", "seconds", 1.0)),
    "acas-4": _acas(4),
    "acas-box": _acas_box(0.1, "5 inputs, 6 layers of 50"),
    "acc": _archcomp(
        "ACC_controller_5_20", 1.0, Target("under 3 s", "seconds", 3.0),
        title="Adaptive cruise controller (5 inputs, 5 layers of 20) over [-1,1]^5",
    ),
    "vcas": _archcomp(
        "VCAS_VertCAS_noResp_pra01_v9_20HU_200", 1.0,
        title="VCAS (3 inputs, 5 layers of 20) over [-1,1]^3",
    ),
    "nav-set": _archcomp(
        "NAV_nn-nav-set", 1.0, title="NAV, trained on sets (4 inputs, layers of 64 and 32), over [-1,1]^4",
    ),
    "nav-point": _archcomp(
        "NAV_nn-nav-point", 1.0, Target("under 10 s", "seconds", 10.0), UNDER_500_MB,
        title="NAV, trained on points (4 inputs, layers of 64 and 32), over [-1,1]^4",
    ),
    "digits-line": Case(
        "Digits, 784-512-512-10, on the line between a 3 and an 8", partial(_digits, 3, 8),
        (Target("under 0.5 s", "seconds", 0.5),),
    ),
    "digits-plane": Case(
        "Digits, 784-512-512-10, on the plane through a 3, an 8 and a 5", partial(_digits, 3, 8, 5),
        (Target("under 60 s", "seconds", 60.0),),
    ),
}  # fmt: skip
LARGE: dict[str, Case] = {
    "acas-ten-million": _acas_box(0.16, "about ten million regions"),
    "acas-hundred-million": _acas_box(0.2, "86 million regions"),
}
QUICK = ("paper-0", "paper-plane", "acas-3")
