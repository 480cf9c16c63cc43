"""Bounds and constants beside which ordinary values would be lost in floats: read right, or refused, never wrong."""

import contextlib

import numpy as np
import pytest
import torch
from framework_agreement import Loaded
from torch import nn
from torch.nn import functional as F  # noqa: N812

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.agreement import difference, rows_to_compare
from relu_shallow.load.graph import Bend, Graph, Linear, Made, Shift
from relu_shallow.load.lowering import assemble
from relu_shallow.network import Source
from relu_shallow.precision import UNIT


class Bounded(nn.Module):
    def __init__(self, bound):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.bound, self.last = nn.Linear(4, 3), bound, nn.Linear(3, 2)

    def forward(self, x):
        return self.last(self.bound(self.first(x)))


BOUNDS = {
    "below": lambda y: torch.clamp(y, min=-1e30),
    "above": lambda y: torch.clamp(y, max=1e15),
    "both": nn.Hardtanh(-1e20, 1e20),
    "one of them near": lambda y: torch.clamp(y, -0.1, 3e38),
    "the least float": lambda y: torch.clamp(y, min=torch.finfo(torch.float32).min),
    "just far enough": lambda y: torch.clamp(y, -1025.0, 0.3),
    "just near enough": lambda y: torch.clamp(y, -1024.0, 0.3),
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_value_keeps_its_digits_beside_a_far_bound(kind, monkeypatch):
    module = Bounded(BOUNDS[kind]).double()
    with torch.no_grad():
        loaded = Loaded(monkeypatch, "module", module)
        X = np.random.default_rng(1).normal(size=(50, 4))
        theirs = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(loaded.network(X), theirs, rtol=0, atol=1e-11)


def test_a_far_constant_in_padding_is_refused():
    module = Bounded(lambda y: F.max_pool1d(F.pad(y[:, None], (1, 1), value=-1e30), 3, 1)[:, 0])
    with pytest.raises(ModelError, match=r"pads with -1e\+30, beside which"):
        load_network(module)


def test_the_comparison_with_the_source_sees_what_a_far_bound_would_hide():
    """x + 1e30 - 1e30 through a gate, as a careless lowering of clip would do it: outputs are lost, the bound is wide;
    the careful one, with a gate that is surely closed, is held to a few roundings."""
    b = np.array([1e30])
    steps = (Made(Linear("w", np.eye(1)), (0,)), Made(Shift("far", -b), (1,)),
             Made(Bend("gate", np.zeros(1), np.ones(1)), (2,)), Made(Linear("sum", np.eye(1)), (3,)))  # fmt: skip
    graph = Graph(1, steps, 4)
    network = assemble(graph, Source())
    X = rows_to_compare(1)
    assert difference(network, graph, X, np.zeros_like(X), UNIT) == ""
    assert difference(network, graph, X, X, UNIT) != ""


class Numbers(nn.Module):
    """What `change` makes of a constant of whole numbers, added to a linear layer."""

    def __init__(self, change):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 3)
        self.register_buffer("whole", torch.tensor([0, 2, 5]))
        self.change = change

    def forward(self, x):
        return self.first(x) + self.change(self.whole, x)


CHANGES = {
    "to bool": lambda w, x: w.to(torch.bool),
    "to bytes": lambda w, x: (w * 100).to(torch.uint8),
    "a sum of whole numbers": lambda w, x: x.sum(dtype=torch.int32, dim=1, keepdim=True),
    "filled with whole numbers": lambda w, x: torch.full((3,), 2.7, dtype=torch.int64),
    "as large, of whole numbers": lambda w, x: torch.full_like(x[:1], 2.7, dtype=torch.int64),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_number_types_that_round_are_refused_or_followed_in_files(kind, tmp_path):
    """A traced file is not run, so that nothing else would notice."""
    module = Numbers(CHANGES[kind]).eval()
    X = torch.randn(5, 3)
    torch.jit.trace(module, X[:1]).save(tmp_path / "m.pt")
    with contextlib.suppress(ModelError):
        network = load_network(tmp_path / "m.pt")
        theirs = torch.cat([module(row[None]) for row in X]).detach().numpy()
        np.testing.assert_allclose(network(X.double().numpy()), theirs, atol=1e-5)
