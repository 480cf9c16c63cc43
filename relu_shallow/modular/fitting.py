"""Training loops: rows and loaders, losses of classes and of values, and what makes a run repeat itself.

A module is trained in the modes in which it was given: parts in evaluation (a fixed normalisation, frozen dropout)
stay so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from relu_shallow.errors import DataError, UsageError
from relu_shallow.machine import usable_cores
from relu_shallow.modular.hidden import evaluating

Task = Literal["classes", "values"]
TASKS: tuple[Task, ...] = ("classes", "values")
Progress = Callable[[str, int, int], None]  # of what is done, how much, of how much


@dataclass(frozen=True, eq=False)
class Plan:
    """How long and how fast to train: passes over the data, rows in a batch, Adam's step, what chance starts from."""

    epochs: int
    batch: int = 64
    step: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1 or not self.step > 0:
            raise UsageError(f"{self.epochs} epochs of batches of {self.batch} rows with a step of {self.step}: give "
                             "0 or more epochs, 1 or more rows, and a positive step")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and targets as tensors: classes 0 to m - 1, or values (rows, outputs)."""

    x: Any
    y: Any
    task: Task


Data = Rows | Iterable[Any]  # rows, or a loader of batches (x, y)


def rows_of(X: Any, y: Any, *, like: Any, task: Task | None = None) -> Rows:
    """Arrays as tensors of a module's precision; `like` is the module.

    By default whole numbers in an array of an integer type are classes, others values. Raises DataError where X and y
    do not fit one another, or a number is not finite.
    """
    import torch

    first = next(like.parameters())
    x, target = torch.as_tensor(X).to(first.device, first.dtype), torch.as_tensor(y).to(first.device)
    if not len(x) or len(x) != len(target):
        raise DataError(f"{len(x)} rows and {len(target)} targets: give one target for each row")
    if task is None:
        task = "values" if target.is_floating_point() else "classes"
    if not (torch.isfinite(x).all() and torch.isfinite(target.double()).all()):
        raise DataError("the rows or targets hold NaN or infinity; every value must be a finite number")
    if task == "values":
        target = target.to(first.dtype)
        return Rows(x, target[:, None] if target.ndim == 1 else target, task)
    whole = target.long()
    if target.ndim != 1 or (whole != target).any():
        raise DataError("classes are whole numbers, one for each row, counted from 0")
    return Rows(x, whole, task)


def check_targets(rows: Rows, outputs: int) -> None:
    """Raises DataError unless the targets fit a network of so many outputs, and classes are two or more."""
    if rows.task == "values":
        if rows.y.shape[1] != outputs:
            raise DataError(f"the targets have {rows.y.shape[1]} columns, but the network {outputs} outputs")
        return
    classes, found = class_count(outputs), sorted(set(rows.y.tolist()))
    if found[0] < 0 or found[-1] >= classes:
        raise DataError(f"the target has classes {found[0]} to {found[-1]}, but the network tells {classes} classes "
                        f"apart, counted from 0: 0 to {classes - 1}")  # fmt: skip
    if len(found) == 1:
        raise DataError(f"all rows have the one class {found[0]}: nothing can be told apart; give rows of two classes "
                        "or more")  # fmt: skip


def class_count(outputs: int) -> int:
    """The classes that outputs tell apart: one output tells two, by its sign."""
    return max(outputs, 2)


def batches(module: Any, data: Data, plan: Plan, seed: int) -> Iterator[Rows]:
    """One pass: rows in an order of their own, or what the loader gives, in the module's precision."""
    import torch

    if not isinstance(data, Rows):
        yield from (rows_of(x, y, like=module) for x, y in data)
        return
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(seed)).to(data.x.device)
    for chosen in order.split(plan.batch):
        yield Rows(data.x[chosen], data.y[chosen], data.task)


def task_loss(module: Any, rows: Rows, unit: float = 1.0) -> Any:
    """Cross-entropy of classes, mean squared error of values in the given unit."""
    from torch.nn import functional

    out = module(rows.x)
    if rows.task == "values":
        return functional.mse_loss(out.reshape(len(out), -1), rows.y.to(out.dtype)) / unit**2
    return functional.cross_entropy(logits(out), rows.y)


def logits(out: Any) -> Any:
    """Outputs as one number per class: one output alone is class 1's, against 0."""
    import torch

    flat = out.reshape(len(out), -1)
    return torch.cat([torch.zeros_like(flat), flat], dim=1) if flat.shape[1] == 1 else flat


def fit(
    module: Any,
    data: Data,
    plan: Plan,
    *,
    unit: float = 1.0,
    extra: Callable[[], Any] | None = None,
    after: Callable[[], None] | None = None,
    progress: Progress | None = None,
    what: str = "training",
) -> None:
    """Trains a module in place with Adam; `extra` is added to the loss, `after` runs after every step.

    Errors of values are measured in `unit`, so that the loss is of the size of `extra`.

    Raises DataError where the loss is no longer finite.
    """
    import torch

    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=plan.step)
    with repeatable(plan.seed):
        for epoch in range(plan.epochs):
            for rows in batches(module, data, plan, plan.seed * 1_000_003 + epoch):
                loss = task_loss(module, rows, unit)
                loss = loss if extra is None else loss + extra()
                if not torch.isfinite(loss):
                    raise DataError(f"the loss is {loss.item()} in epoch {epoch + 1}: training diverges; scale the "
                                    "inputs, or take smaller steps (--step)")  # fmt: skip
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if after is not None:
                    after()
            if progress is not None:
                progress(what, epoch + 1, plan.epochs)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """A block in which torch draws from this seed, on no more threads than there are usable cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, usable_cores()))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def outputs_of(module: Any, x: Any, batch: int = 1024) -> Any:
    """A module's outputs in evaluation, (rows, outputs)."""
    import torch

    with evaluating(module), torch.no_grad():
        return torch.cat([module(part).reshape(len(part), -1) for part in x.split(batch)])


def unit_of(rows: Rows) -> float:
    """The spread of the values to be learnt; 1 of classes, and where values do not vary."""
    spread = float(rows.y.double().std(unbiased=False)) if rows.task == "values" else 1.0
    return spread if spread > 0 else 1.0


def score(module: Any, rows: Rows) -> float:
    """The share of rows whose class is right; of values the explained share of their variance (R^2)."""
    out = outputs_of(module, rows.x)
    if rows.task == "classes":
        return float((logits(out).argmax(dim=1) == rows.y).double().mean())
    left, spread = (out - rows.y).double().square().sum(), (rows.y - rows.y.mean(dim=0)).double().square().sum()
    return float(1 - left / spread) if spread > 0 else float("nan")


def gradients(module: Any, parts: Sequence[Any], data: Data, plan: Plan) -> list[list[np.ndarray]]:
    """For each part, the gradient of the task's loss by its weight in every batch of one pass."""
    import torch

    found: list[list[np.ndarray]] = [[] for _ in parts]
    with repeatable(plan.seed):
        for rows in batches(module, data, plan, plan.seed):
            given = torch.autograd.grad(task_loss(module, rows), [part.weight for part in parts])
            for kept, gradient in zip(found, given, strict=True):
                kept.append(gradient.cpu().double().numpy())
    return found
