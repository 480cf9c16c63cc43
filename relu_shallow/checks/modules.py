"""Do the tables' networks add up to the whole one? Read off the weights, which proves it: no point is evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from relu_shallow.checks.record import Check
from relu_shallow.network import Network, dense
from relu_shallow.shallow.table import ShallowNetwork, Table, is_sum


def modules_add_up(shallow: ShallowNetwork) -> Iterator[Check]:
    """Nothing for one table of the whole network; else whether the tables' networks sum to it for every input.

    They do if each table's neurons compute what they compute in the whole network (same weights, and none from other
    neurons), and the weights of the outputs, set side by side, are those of the whole.
    """
    if not is_sum(shallow):
        return
    whole = shallow.network
    wrong = next((f"table {k}: {why}" for k, table in enumerate(shallow.tables) if (why := _not_of(whole, table))), "")
    if not wrong:
        wrong = _not_the_outputs(whole, shallow.tables)
    yield Check("modules add up", not wrong, wrong or f"{len(shallow.tables)} modules hold all that the outputs take")


def _not_of(whole: Network, table: Table) -> str:
    """Why a table's neurons do not compute what they do in the whole network, or an empty text."""
    if table.module is None:
        return "it does not say which neurons it holds"
    own, n = table.network, whole.inputs
    if (own.inputs, own.outputs) != (n, whole.outputs):
        return "its network has other inputs or outputs"
    levels = _levels(whole, table.module.neurons)[: len(own.gates)]
    if [len(level) for level in levels] != list(own.widths) or sum(own.widths) != len(table.module.neurons):
        return "its network has other widths than its neurons"
    before = np.arange(n)
    for depth, numbers in enumerate(levels):
        row = dense(whole.affine[depth].W[numbers])
        if not np.array_equal(row[:, before], dense(own.affine[depth].W)):
            return f"its weights in layer {depth + 1} are not those of the network"
        if np.delete(row, before, axis=1).any():
            return f"a neuron of layer {depth + 1} takes from neurons of other modules"
        pairs = [(whole.affine[depth].b, own.affine[depth].b), (whole.gates[depth].active, own.gates[depth].active),
                 (whole.gates[depth].inactive, own.gates[depth].inactive)]  # fmt: skip
        if not all(np.array_equal(a[numbers], b) for a, b in pairs):
            return f"its biases or slopes in layer {depth + 1} are not those of the network"
        before = numbers
    return ""


def _not_the_outputs(whole: Network, tables: tuple[Table, ...]) -> str:
    """Why the outputs' weights of all tables are not those of the whole network, or an empty text."""
    last = dense(whole.affine[-1].W)
    taken, parts = np.zeros_like(last), np.zeros(last.shape, dtype=np.int64)
    for table in tables:
        W = dense(table.network.affine[-1].W)
        if len(table.network.gates) < len(whole.gates):
            if W.any():
                return "a module that ends early adds to the outputs"
            continue
        assert table.module is not None
        place = _levels(whole, table.module.neurons)[-1]
        taken[:, place] += W
        parts[:, place] += W != 0
    if not np.array_equal(taken, last) or (parts > 1).any():
        return "the outputs' weights are not shared out among the modules"
    constants = np.array([table.network.affine[-1].b for table in tables])
    if (np.count_nonzero(constants, axis=0) > 1).any() or not np.array_equal(constants.sum(axis=0), whole.affine[-1].b):
        return "the outputs' constants are not shared out among the modules"
    return ""


def _levels(network: Network, neurons: Int[np.ndarray, " own"]) -> list[Int[np.ndarray, " numbers"]]:
    """Neurons layer by layer, numbered within the layer."""
    ends = np.cumsum(network.widths)
    starts = ends - network.widths
    return [neurons[(neurons >= a) & (neurons < b)] - a for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
