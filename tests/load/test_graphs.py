"""Graphs with branches: what PyTorch computes, over residuals, sums, shared layers and changes in place."""

import numpy as np
import pytest
import torch
from framework_agreement import Loaded
from torch import nn

from relu_shallow.domain import Box
from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.network import activation_patterns
from relu_shallow.precision import UNIT
from relu_shallow.regions.search import enumerate_regions


class Model(nn.Module):
    """Three inputs; `forward` is what a subclass writes with these layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)


class Residual(Model):
    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.c(torch.relu(h + self.b(torch.relu(self.b(h)))))


class PreActivation(Model):
    """Sums without an activation, three times over, so that the same value is carried past several layers."""

    def forward(self, x):
        h = self.a(x)
        for _ in range(3):
            h = h + self.b(torch.relu(h))
        return self.c(h)


class InputAgain(Model):
    def forward(self, x):
        return self.c(torch.relu(self.a(x - 2 * torch.relu(x)) + self.a(x)))


class TwoSums(Model):
    def forward(self, x):
        u, v = torch.relu(self.a(x)), torch.relu(-self.a(x))
        return self.c(u - 0.5 * v) - self.c(u + v) + self.c(v)


class Twice(Model):
    """The same value added to itself, and the input as it is beside a gate of it."""

    def forward(self, x):
        h = self.a(x)
        return self.c(h + h + torch.relu(h))


class InPlace(Model):
    """The name of a value that was changed in place is used again."""

    def forward(self, x):
        h = self.a(x)
        g = h
        h.relu_()
        return self.c(g + self.b(h))


class ThroughAView(Model):
    def forward(self, x):
        h = self.a(x)
        h.view(-1, 2, 2).relu_()
        return self.c(h)


class Slopes(Model):
    def forward(self, x):
        h = nn.functional.leaky_relu(self.a(x), 0.2, True)
        return self.c(h + nn.functional.relu(self.b(h), inplace=True))


KINDS = (Residual, PreActivation, InputAgain, TwoSums, Twice, InPlace, ThroughAView, Slopes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_gives_what_pytorch_gives(kind, monkeypatch):
    module = kind().double()
    with torch.no_grad():
        Loaded(monkeypatch, "module", module).assert_same(lambda X: module(torch.from_numpy(X)).numpy(), UNIT)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_that_is_met_is_listed(kind):
    network = load_network(kind())
    box = Box(np.full(3, -1.0), np.full(3, 1.0))
    found = enumerate_regions(network, box)
    assert found.level == "certified"
    X = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    met = {row.tobytes() for row in activation_patterns(network, X)}
    assert met <= {row.tobytes() for row in found.patterns}
    assert len(met) > len(found.patterns) / 4


def test_a_residual_carries_no_more_than_it_needs():
    """A value past a layer, or what it is made of where that is less: the three inputs, and then four values."""
    assert load_network(Residual()).widths == (4, 8, 4)
    assert load_network(PreActivation()).widths == (7, 8, 8)


class LostCopy(Model):
    def forward(self, x):
        h = self.a(x)
        g = h.clone()
        h.relu_()
        return self.c(g + h)


class LostTurn(Model):
    def forward(self, x):
        h = self.a(x)
        h.reshape(-1, 2, 2).transpose(1, 2).relu_()
        return self.c(h)


@pytest.mark.parametrize("kind", [LostCopy, LostTurn])
def test_a_change_in_place_that_cannot_be_followed_is_refused(kind):
    with pytest.raises(ModelError, match="changed in place by another name"):
        load_network(kind())


class Products(Model):
    def forward(self, x):
        return self.c(torch.relu(self.b(self.a(x) * self.a(x))))


def test_a_product_of_two_values_is_refused_by_its_name():
    with pytest.raises(ModelError, match=r"layer mul is the product of two values.*--until mul"):
        load_network(Products())
    part = load_network(Products(), until="mul")
    assert (part.widths, part.outputs) == ((), 4)


def test_a_layer_that_is_not_there_ends_nothing():
    with pytest.raises(ModelError, match=r"has no layer 'lost'.*its layers are a, relu"):
        load_network(Residual(), until="lost")
