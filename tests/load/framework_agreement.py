"""Loads a model and holds its outputs to the original framework's own, within proved rounding error."""

from importlib import import_module

import numpy as np

from relu_shallow.load import load_network
from relu_shallow.load.agreement import predicted, rounding
from relu_shallow.precision import UNIT, UNIT32


class Loaded:
    """A network with the graph it was assembled from."""

    def __init__(self, monkeypatch, reader, model, **options):
        module = import_module(f"relu_shallow.load.{reader}")
        graphs, assemble = [], module.assemble

        def recording(graph, *rest):
            graphs.append(graph)
            return assemble(graph, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(module, "assemble", recording)
            self.network = load_network(model, **options)
        self.graph = graphs[-1]

    def assert_same(self, framework, unit=UNIT32, rows=50, seed=0):
        """`framework` takes (rows, inputs) in the precision of `unit` and returns its outputs."""
        dtype = np.float32 if unit == UNIT32 else np.float64
        X = np.random.default_rng(seed).normal(size=(rows, self.network.inputs)).astype(dtype)
        theirs = np.asarray(framework(X), dtype=np.float64).reshape(rows, -1)
        ours, allowed = predicted(self.network, X.astype(np.float64)), rounding(self.graph, X, max(unit, UNIT))
        assert ours.shape == theirs.shape
        beyond = np.abs(ours - theirs) - allowed
        assert beyond.max() <= 0, f"off by {beyond.max():.3g} more than the rounding error"
        if unit == UNIT:  # in single precision the proved bound of a deep network says little
            assert allowed.max() < 1e-5 * (1 + np.abs(theirs).max()), "the bound is too loose to mean anything"
