"""The hidden linear layers of a live PyTorch module: which they are, in the order of running, and their masks.

Of linear layers 1, ..., m in a chain, layers 2 to m - 1 join hidden neurons to hidden neurons; whatever comes before
the first (convolutions, say) belongs to the first, and first and last layer stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.modular.clustering import kept
from relu_shallow.precision import UNIT, UNIT32


@dataclass(frozen=True)
class Hidden:
    """The names of a module's linear layers as they run, and the neurons of each hidden layer between them."""

    names: tuple[str, ...]
    widths: tuple[int, ...]

    @property
    def joining(self) -> tuple[str, ...]:
        """The layers that join hidden neurons to hidden neurons."""
        return self.names[1:-1]


def hidden_layers(module: Any, x: Any) -> Hidden:
    """The linear layers that run on a batch x, in order.

    Raises ModelError where they are no chain, one runs twice, or fewer than three run: with one hidden layer a network
    is modular already.
    """
    import torch

    order: list[str] = []
    hooks = [part.register_forward_hook(lambda *_, name=name: order.append(name))
             for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)]  # fmt: skip
    try:
        with evaluating(module), torch.no_grad():
            module(x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ModelError(f"the data do not fit the model: on rows of shape {tuple(x.shape[1:])} it fails with "
                         f"{next(iter(str(error).splitlines()), repr(error))}") from error  # fmt: skip
    finally:
        for hook in hooks:
            hook.remove()
    parts = dict(module.named_modules())
    _check_chain(order, parts)
    return Hidden(tuple(order), tuple(int(parts[name].out_features) for name in order[:-1]))


def _check_chain(order: Sequence[str], parts: Mapping[str, Any]) -> None:
    twice = sorted({name for name in order if order.count(name) > 1})
    if twice:
        raise ModelError(f"the linear layer {twice[0]} runs more than once; modules need a chain of layers")
    if len(order) < 3:
        raise ModelError(f"the model has {len(order)} linear layers, so no hidden-to-hidden matrix: with one hidden "
                         "layer it is modular already, every neuron a module "
                         "(relu-shallow convert --modular)")  # fmt: skip
    for before, after in pairwise(order):
        out, into = parts[before].out_features, parts[after].in_features
        if out != into:
            raise ModelError(f"layer {before} gives {out} values, but layer {after}, which runs next, takes {into}; "
                             "modules need a chain of linear layers")  # fmt: skip


def weights_of(module: Any, hidden: Hidden) -> list[np.ndarray]:
    """The hidden-to-hidden matrices, (out, in), as float64 copies."""
    return [part.weight.detach().cpu().double().numpy().copy() for part in joining_parts(module, hidden)]


def joining_parts(module: Any, hidden: Hidden) -> list[Any]:
    """The layers that join hidden neurons to hidden neurons."""
    return [module.get_submodule(name) for name in hidden.joining]


def masks_of(module: Any, hidden: Hidden, labels: Sequence[np.ndarray]) -> list[Any]:
    """Which weights of the joining layers are within modules, as boolean tensors beside the weights."""
    import torch

    pairs = zip(joining_parts(module, hidden), kept(labels), strict=True)
    return [torch.from_numpy(mask).to(part.weight.device) for part, mask in pairs]


def remove_between(module: Any, hidden: Hidden, masks: Sequence[Any]) -> None:
    """Makes every weight outside the masks exactly zero, in place."""
    import torch

    with torch.no_grad():
        for part, mask in zip(joining_parts(module, hidden), masks, strict=True):
            part.weight.masked_fill_(~mask, 0.0)


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """A block in which every part of a module is as in evaluation; afterwards each is as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def only(module: Any, hidden: Hidden, keep: Sequence[np.ndarray]) -> Iterator[None]:
    """A block in which the hidden neurons outside `keep` (booleans, an array per layer) pass 0 on."""
    import torch

    hooks = []
    for name, mask in zip(hidden.names[1:], keep, strict=True):
        part = module.get_submodule(name)
        factor = torch.from_numpy(np.asarray(mask, dtype=np.float64)).to(part.weight)
        hooks.append(part.register_forward_pre_hook(lambda _, given, factor=factor: (given[0] * factor,)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_separate(module: Any, hidden: Hidden, labels: Sequence[np.ndarray], x: Any) -> None:
    """Raises ModelError where modules still reach one another between the layers, on rows x.

    A sum of two layers, a normalisation over neurons or a softmax between linear layers would: so for each module all
    others are disturbed, and what its neurons pass on must stay what it is.
    """
    whole = _passed_on(module, hidden, x)
    for j in range(1 + max(int(label.max()) for label in labels)):
        with _disturbed(module, hidden, [label != j for label in labels]):
            others = _passed_on(module, hidden, x)
        for name, label, one, all_ in zip(hidden.names[1:], labels, others, whole, strict=True):
            rounding = np.sqrt(UNIT32 if one.dtype == np.float32 else UNIT)  # half the digits: sums in another order
            apart = np.abs(one - all_)[..., label == j]
            if (apart > rounding * max(float(np.abs(all_).max()), 1.0)).any():
                raise ModelError(f"before layer {name} something other than its own neurons reaches a module: no "
                                 "connection around a layer, no normalisation over neurons between linear layers "
                                 "can stay in a modular network")  # fmt: skip


@contextmanager
def _disturbed(module: Any, hidden: Hidden, chosen: Sequence[np.ndarray]) -> Iterator[None]:
    """A block in which the chosen neurons' pre-activations z are 1 - z."""
    import torch

    hooks = []
    for name, mask in zip(hidden.names[:-1], chosen, strict=True):
        part = module.get_submodule(name)
        there = torch.from_numpy(mask).to(part.weight.device)
        hooks.append(part.register_forward_hook(lambda _, __, z, there=there: torch.where(there, 1 - z, z)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _passed_on(module: Any, hidden: Hidden, x: Any) -> list[np.ndarray]:
    """What comes into linear layers 2 to m."""
    import torch

    seen: list[np.ndarray] = []
    hooks = [module.get_submodule(name).register_forward_hook(lambda _, given, __: seen.append(
        given[0].detach().cpu().numpy())) for name in hidden.names[1:]]  # fmt: skip
    try:
        with evaluating(module), torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen
