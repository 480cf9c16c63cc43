"""A chain of linear layers inferred from the names and shapes of saved tensors alone.

Only weights and biases of linear layers may be there, and their shapes must chain; ReLU is assumed between them, and
the inferred architecture is printed. Anything else is refused: a table of tensors says nothing about order, activation
or where a normalisation sits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.operations import gate, linear
from relu_shallow.load.reading import say
from relu_shallow.load.walk import Vector, Walk, meet

INSTEAD = "Save the whole model instead: torch.onnx.export(...), torch.export.save(...) or torch.save(nn.Sequential)."

MOST_TRIED = 20_000  # steps of the search for an order


def walk_state_dict(walk: Walk, v: Vector, tensors: Mapping[str, np.ndarray], what: str, ordered: bool) -> Vector:
    """The value after the inferred layers; `ordered` says whether the tensors come in order of registration."""
    layers = _linear_layers(tensors, what)
    order = list(layers) if ordered else _natural_order(layers)
    if not _chains([layers[name] for name in order]):
        order = [] if ordered else _only_order(layers)
    if not order:
        shapes = ", ".join(f"{name} {layers[name].shape}" for name in layers)
        raise ModelError(f"{what} holds linear layers whose shapes do not make one chain: {shapes}. {INSTEAD}")
    sizes = [layers[order[0]].shape[1], *(layers[name].shape[0] for name in order)]
    walk.assumed = (f"from tensor names and shapes: {' -> '.join(map(str, sizes))} with ReLU between linear "
                    f"layers ({', '.join(order)}) and none at the end")  # fmt: skip
    say(f"{what}: inferred {walk.assumed}")
    for place, name in enumerate(order):
        meet(walk, name, [v])
        v = linear(walk, name, v, layers[name], tensors.get(_key(name, "bias")))
        v = v if place == len(order) - 1 else gate(walk, f"ReLU after {name}", v, 0.0)
    return v


def _linear_layers(tensors: Mapping[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """Weights by layer name; raises ModelError where a tensor is no part of a linear layer."""
    layers = {}
    for key, tensor in tensors.items():
        name, _, kind = key.rpartition(".")
        if kind == "weight" and tensor.ndim == 2 and not tensor.size:
            raise ModelError(f"{what} holds {key} of shape {tensor.shape}, a layer without weights. {INSTEAD}")
        if kind == "weight" and tensor.ndim == 2:
            layers[name] = tensor
        elif kind != "bias" or tensor.ndim != 1 or _key(name, "weight") not in tensors:
            raise ModelError(f"{what} holds {key} of shape {tensor.shape}, which is no weight or bias of a linear "
                             f"layer, so the order of the layers is ambiguous. {INSTEAD}")  # fmt: skip
    if not layers:
        raise ModelError(f"{what} holds no linear layers. {INSTEAD}")
    return layers


def _key(name: str, kind: str) -> str:
    return f"{name}.{kind}" if name else kind


def _chains(weights: Sequence[np.ndarray]) -> bool:
    return all(after.shape[1] == before.shape[0] for before, after in pairwise(weights))


def _natural_order(layers: Mapping[str, np.ndarray]) -> list[str]:
    """Names sorted with their numbers as numbers: fc2 before fc10."""
    number: Callable[[str], tuple[int, str]] = lambda part: (len(part.lstrip("0")), part.lstrip("0"))  # noqa: E731
    return sorted(layers, key=lambda name: [(part.isdecimal(), number(part) if part.isdecimal() else (0, ""), part)
                                            for part in re.split(r"(\d+)", name)])  # fmt: skip


def _only_order(layers: Mapping[str, np.ndarray]) -> list[str]:
    """The one order in which the shapes chain; empty where there is none, more than one, or the search is too long."""
    orders = _orders(layers, [], iter(range(MOST_TRIED)))
    first = next(orders, [])
    return first if next(orders, None) is None else []


def _orders(layers: Mapping[str, np.ndarray], begun: list[str], tries: Iterator[int]) -> Iterator[list[str]]:
    if len(begun) == len(layers):
        yield begun
    for name in layers:
        if next(tries, None) is None:
            yield []  # told apart from no order at all: the chain is then refused as ambiguous
            return
        if name not in begun and (not begun or layers[name].shape[1] == layers[begun[-1]].shape[0]):
            yield from _orders(layers, [*begun, name], tries)
