"""PyTorch's operations on numbers alone: sizes, options, transposed weights, and constants as large as a tensor.

A constant made as large as a batch stands for any number of rows: its axis of rows has the size 1, and nothing here
sums along an axis.
"""

# ruff: noqa: ARG001, ARG005  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from relu_shallow.load.axes import ROWS, Size
from relu_shallow.load.walk import MOST_VALUES

Operation = Callable[..., Any]
LIKE_THE_INPUT = "as the input"  # a number type or device read from a value that depends on the input
SCRIPT_FLOATS = (6, 7)  # float32 and float64 among the number types as TorchScript writes them
OTHER_TYPES = {"uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "bool", "int", "long", "short",
               "half", "complex64", "complex128"}  # fmt: skip


NARROW = {"uint8", "int8", "int16", "bool", "short"}
NARROW_NUMBERS = (0, 1, 2, 11)  # the same as TorchScript writes them


def check_float(*values: Any) -> None:
    """Raises ValueError where values would be turned to a number type that rounds them."""
    for value in values:
        named = str(value).removeprefix("torch.") in OTHER_TYPES
        numbered = isinstance(value, int) and not isinstance(value, bool) and value not in SCRIPT_FLOATS
        if named or numbered or (isinstance(value, np.ndarray) and value.dtype.kind != "f"):
            raise ValueError("its values would be rounded to another number type")


def arithmetic(operation: Operation) -> Operation:
    """An operation on numbers and arrays, not on Python's lists and texts, which it would repeat."""

    def computed(*args: Any, **kwargs: Any) -> Any:
        if not all(isinstance(value, (int, float, np.ndarray, np.generic)) for value in (*args, *kwargs.values())):
            raise TypeError("numbers were expected")
        if any(isinstance(value, np.ndarray) and _narrow(value) for value in (*args, *kwargs.values())):
            raise TypeError("whole numbers of fewer than 32 bits wrap around, which is not followed")
        return operation(*args, **kwargs)

    return computed


def whole_sizes(sizes: Any) -> tuple[int, ...]:
    """Sizes of a new constant, one row standing for any number of them."""
    listed = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)) else sizes
    if any(isinstance(size, Size) and size is not ROWS for size in listed):
        raise ValueError("a size is not known")
    return checked(1 if size is ROWS else int(size) for size in listed)


def checked(sizes: Iterable[int]) -> tuple[int, ...]:
    """Sizes of a new constant; raises ValueError where it would fill the memory."""
    shape = tuple(sizes)
    if prod(shape) > MOST_VALUES:
        raise ValueError(f"a constant of shape {shape} has more than {MOST_VALUES} numbers")
    return shape


def _filled(value: float) -> Operation:
    return lambda *sizes, size=None, dtype=None, layout=None, device=None, pin_memory=None: np.full(
        whole_sizes(sizes if size is None else (size,)), value)  # fmt: skip


def _full(size: Any, fill_value: Any, dtype: Any = None, **_: Any) -> np.ndarray:
    check_float(*(() if dtype is None else (dtype,)))
    return np.full(whole_sizes((size,)), float(fill_value))


def _like(value: float) -> Operation:
    return lambda array, *_, **__: np.full(np.shape(array), value)


def _expanded(array: Any, *sizes: Any, implicit: Any = None) -> np.ndarray:
    listed = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)) else sizes
    shape = (1,) * (len(listed) - np.ndim(array)) + np.shape(array)
    if any(size is ROWS and old != 1 for size, old in zip(listed, shape, strict=True)):
        raise ValueError("a constant of several rows is spread over the rows of a batch")
    target = [1 if size is ROWS else old if size == -1 else int(size) for size, old in zip(listed, shape, strict=True)]
    return np.broadcast_to(array, checked(target))


def _slice(array: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    if isinstance(array, (list, tuple)):
        return list(array)[slice(dim, start, end)]
    return array[(slice(None),) * (int(dim) % np.ndim(array)) + (slice(start, end, step),)]


def _identity(value: Any, *_: Any, **__: Any) -> Any:
    return value


def _kept(value: Any, *to: Any, **options: Any) -> Any:
    asked = (*to, *options.values())
    if isinstance(value, np.ndarray) and (value.dtype.kind == "f" or any(map(_narrow, asked))):
        check_float(*asked)
    return value


def _narrow(kind: Any) -> bool:
    """Whether a number type has fewer numbers than the whole ones of 32 bits."""
    if isinstance(kind, np.ndarray):
        return kind.dtype.kind in "bu" or (kind.dtype.kind == "i" and kind.dtype.itemsize < 4)
    numbered = isinstance(kind, int) and not isinstance(kind, bool) and kind in NARROW_NUMBERS
    return numbered or str(kind).removeprefix("torch.") in NARROW


def _reshaped(array: Any, *shape: Any) -> Any:
    return np.reshape(array, shape[0] if isinstance(shape[0], (list, tuple)) else shape)


def _getattr(value: Any, key: str) -> Any:
    if not isinstance(value, np.ndarray) or key not in ("shape", "T", "ndim", "dtype", "device"):
        raise AttributeError(key)
    if key in ("dtype", "device"):
        return LIKE_THE_INPUT
    return list(value.shape) if key == "shape" else getattr(value, key)


CONSTANT: dict[str, Operation] = {
    "t": lambda a: np.asarray(a).T, "transpose": lambda a, i, j: np.swapaxes(a, i, j),
    "permute": lambda a, *dims: np.transpose(a, dims[0] if isinstance(dims[0], (list, tuple)) else dims),
    "add": arithmetic(lambda a, b, alpha=1: a + b * alpha), "sub": arithmetic(lambda a, b, alpha=1: a - b * alpha),
    "rsub": arithmetic(lambda a, b, alpha=1: b - a * alpha),
    "mul": arithmetic(operator.mul), "div": arithmetic(operator.truediv), "truediv": arithmetic(operator.truediv),
    "floordiv": arithmetic(operator.floordiv), "__floordiv__": arithmetic(operator.floordiv),
    "mod": arithmetic(operator.mod), "remainder": arithmetic(operator.mod),
    "neg": arithmetic(operator.neg), "sqrt": arithmetic(np.sqrt), "rsqrt": arithmetic(lambda a: 1.0 / np.sqrt(a)),
    "pow": arithmetic(lambda a, b: np.power(np.asarray(a, dtype=np.result_type(a, 1.0)), b)),
    "exp": arithmetic(np.exp), "reciprocal": arithmetic(lambda a: 1.0 / a), "abs": arithmetic(np.abs),
    "floor": arithmetic(lambda a: np.floor(a) if isinstance(a, np.ndarray) else int(np.floor(a))),
    "reshape": _reshaped, "view": _reshaped, "expand": _expanded, "unsqueeze": np.expand_dims, "squeeze": np.squeeze,
    "zeros": _filled(0.0), "ones": _filled(1.0), "full": _full,
    "zeros_like": _like(0.0), "ones_like": _like(1.0),
    "clone": _identity, "detach": _identity, "contiguous": _identity, "lift_fresh_copy": _identity,
    "float": _identity, "double": _identity, "alias": _identity,
    "detach_": _identity, "device": _identity, "_assert_tensor_metadata": lambda *_, **__: None,
    "NumToTensor": _identity, "Int": lambda a: a if isinstance(a, Size) else int(a),
    "Float": float, "Bool": bool, "ScalarImplicit": _identity,
    "IntImplicit": _identity, "FloatImplicit": _identity, "to": _kept, "type_as": _kept,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "gt": operator.gt, "le": operator.le, "ge": operator.ge,
    "__is__": operator.is_, "__isnot__": operator.is_not, "__not__": operator.not_, "__contains__": lambda a, b: b in a,
    "__and__": operator.and_, "__or__": operator.or_,
    "len": len, "size": lambda a, dim=None: list(np.shape(a)) if dim is None else np.shape(a)[dim],
    "dim": np.ndim, "format": lambda text, *_: str(text), "getitem": operator.getitem,
    "__getitem__": operator.getitem, "slice": _slice, "getattr": _getattr,
    "select": lambda a, dim, index: np.take(a, index, axis=dim),
}  # fmt: skip

# operations that hand a size on, or put the batch where it says
PASSES_SIZES = {"view", "reshape", "_unsafe_view", "getitem", "__getitem__", "len", "NumToTensor", "Int", "zeros",
                "ones", "full", "expand", "broadcast_to", "new_zeros", "new_ones", "new_full", "ScalarImplicit",
                "IntImplicit", "slice", "append", "unflatten", "__is__", "__isnot__"}  # fmt: skip
