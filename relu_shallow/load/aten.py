"""PyTorch's tensor operations by name, as TorchScript, torch.export and torch.fx write them.

`SYMBOLIC` holds the known operations on a value that depends on the input, put together from the subjects: products
(aten_products.py), windows (aten_windows.py), moves (aten_moves.py), clamps and reductions (aten_bends.py); `CONSTANT`
(aten_constants.py) those on numbers alone. An operation in none is refused by its name, whatever it would do.
"""

# ruff: noqa: ARG001, ARG005  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.aten_bends import BENDS
from relu_shallow.load.aten_constants import CONSTANT, LIKE_THE_INPUT, PASSES_SIZES, check_float, whole_sizes
from relu_shallow.load.aten_moves import MOVES, VIEWS, item
from relu_shallow.load.aten_products import PRODUCTS
from relu_shallow.load.aten_windows import FUNCTIONAL_WINDOWS, WINDOWS, Unusable
from relu_shallow.load.axes import ROWS, UNKNOWN, Size
from relu_shallow.load.graph import Select
from relu_shallow.load.joins import add
from relu_shallow.load.operations import (
    BATCH_NORM_EPS,
    batch_norm,
    divide,
    head,
    head_along,
    implicit_axis,
    scale,
    shift,
)
from relu_shallow.load.walk import (
    Vector,
    Walk,
    current,
    make_room,
    meet,
    refuse_layer,
    refuse_product,
    replace_in_place,
    shape_of,
)
from relu_shallow.network import Head

Operation = Callable[..., Any]
NAMED = ("input", "self")  # the first argument, where it is given by its name
SAME_WORD = {"axis": "dim", "keepdims": "keepdim", "axes": "dim"}


def apply(
    walk: Walk, name: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, functional: bool = False
) -> Any:
    """The result of one operation; raises ModelError, naming it, where it is not known or its arguments do not fit.

    `functional` says that it is the one of torch.nn.functional, where that has arguments of its own.
    """
    args = [*(kwargs[key] for key in NAMED if key in kwargs), *args]
    kwargs = {SAME_WORD.get(key, key): _current(walk, name, value)
              for key, value in kwargs.items() if key not in NAMED}  # fmt: skip
    if op == "append" and len(args) == 2 and isinstance(args[0], list):
        args[0].append(args[1])
        return args[0]
    args = [_current(walk, name, value) for value in args]
    taken = [vector for value in (*args, *kwargs.values()) for vector in _vectors(value)]
    _check_usable(name, op, (*args, *kwargs.values()))
    _check_sizes(name, op, (*args, *kwargs.values()))
    op, in_place = _out_of_place(name, op, args)
    on_list = bool(args) and isinstance(args[0], (list, tuple)) and op in LISTS
    known = FUNCTIONAL.get(op, SYMBOLIC.get(op)) if functional else SYMBOLIC.get(op)
    if taken and not on_list and (op not in HANDS_ON or (op in ITEMS and isinstance(args[0], Vector))):
        meet(walk, name, taken)
    try:
        if on_list:
            return LISTS[op](*args)
        if taken and known is not None:
            result = known(walk, name, *args, **kwargs)
            if in_place:
                replace_in_place(walk, name, args[0], result)
            else:
                _note_copies(walk, op, taken, result)
            return result
        if not taken and op in CONSTANT:
            _check_small(walk, name, args)
            return _checked(CONSTANT[op](*args, **kwargs))
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"layer {name} is {op} with arguments that are not understood: {error}") from error
    raise refuse_layer(name, f"the operation {op}")


def _current(walk: Walk, name: str, value: Any) -> Any:
    """An argument as it is now, where layers before changed it in place."""
    if isinstance(value, tuple):
        return tuple(_current(walk, name, part) for part in value)
    if isinstance(value, list):
        return [_current(walk, name, part) for part in value]
    return current(walk, name, value) if isinstance(value, Vector) else value


def _vectors(value: Any) -> list[Vector]:
    if isinstance(value, (list, tuple)):
        return [vector for part in value for vector in _vectors(part)]
    return [value] if isinstance(value, Vector) else []


def _note_copies(walk: Walk, op: str, taken: Sequence[Vector], result: Any) -> None:
    """Notes where a result with the very values of an argument is, or may be, kept apart from it by PyTorch.

    A reshape shares its numbers unless they lie in another order in memory, which a transposition before it or images
    with their channels last may bring about.
    """
    places = {vector.place for vector in taken}
    strided = any(isinstance(made.step, Select) for made in walk.made)
    for vector in _vectors(result):
        plain = op in RESHAPES and not strided and max(len(taken[0].shape or ()), len(vector.shape or ())) < 4
        if vector.place in places and op not in VIEWS and not plain:
            walk.copied.add(vector.place)


def _out_of_place(name: str, op: str, args: Sequence[Any]) -> tuple[str, bool]:
    """relu_ as relu and iadd as add; and whether it changes a vector in place.

    In place on anything but a vector (a weight, a shape) the change would be lost where the result is not what is used.
    """
    plain = AUGMENTED.get(op, op if op.startswith("__") or op == "detach_" else op.rstrip("_") or op)
    if plain == op or (op in AUGMENTED and args and isinstance(args[0], (int, float, Size))):
        return plain, False  # a number is never changed in place
    if plain not in IN_PLACE or not args or not isinstance(args[0], Vector):
        raise refuse_layer(name, f"the operation {op}, in place on something other than the value passed on")
    return plain, True


def _check_usable(name: str, op: str, values: Sequence[Any]) -> None:
    """Raises ModelError where something is computed with a result that is no piecewise-linear function."""
    for value in values:
        if isinstance(value, (list, tuple)) and op not in LISTS:
            _check_usable(name, op, value)
        elif isinstance(value, Unusable):
            raise ModelError(f"layer {name} computes {op} with {value.what}, which are not piecewise linear. "
                             f"To convert the part before it, use --until {name}")  # fmt: skip


def _check_sizes(name: str, op: str, values: Sequence[Any]) -> None:
    """Raises ModelError where something is computed with a size that is not known."""
    for value in values:
        if isinstance(value, (list, tuple)):
            _check_sizes(name, op, value)
        elif isinstance(value, Size) and op not in PASSES_SIZES:
            raise ModelError(f"layer {name} computes {op} with {value.what}, so that its output is not a function of "
                             "one row; write the number in the model")  # fmt: skip


def _check_small(walk: Walk, name: str, values: Sequence[Any]) -> None:
    """Raises where constants, put together, make an array that no model of this size holds."""
    arrays = [np.shape(value) for value in values if isinstance(value, np.ndarray)]
    if len(arrays) > 1:
        make_room(walk, name, prod(np.broadcast_shapes(*arrays)))


def _checked(value: Any) -> Any:
    """A constant's value; raises ValueError where a number is wider than PyTorch's, from which it would only grow."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("a number of more than 64 bits")
    return value


def _add(walk: Walk, name: str, a: Any, b: Any, alpha: Any = 1) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        return add(walk, name, [a, b if alpha == 1 else scale(walk, name, b, alpha)])
    if isinstance(a, Vector):
        return shift(walk, name, a, np.asarray(b) if alpha == 1 else np.asarray(b, dtype=np.float64) * alpha)
    return shift(walk, name, b if alpha == 1 else scale(walk, name, b, alpha), a)


def _sub(walk: Walk, name: str, a: Any, b: Any, alpha: Any = 1) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        return add(walk, name, [a, scale(walk, name, b, -float(alpha))])
    if isinstance(a, Vector):
        return shift(walk, name, a, -np.asarray(b, dtype=np.float64) * alpha)
    return shift(walk, name, scale(walk, name, b, -float(alpha)), a)


def _mul(walk: Walk, name: str, a: Any, b: Any) -> Vector:
    if isinstance(a, Vector) and isinstance(b, Vector):
        raise refuse_product(name)
    return scale(walk, name, a, b) if isinstance(a, Vector) else scale(walk, name, b, a)


def _div(walk: Walk, name: str, a: Any, b: Any, rounding_mode: Any = None) -> Vector:
    if isinstance(b, Vector) or rounding_mode is not None:
        raise refuse_layer(name, "a division that is not by a constant")
    return divide(walk, name, a, b)


def _batch_norm(
    walk: Walk, name: str, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    training: Any = False, momentum: Any = None, eps: Any = BATCH_NORM_EPS, cudnn_enabled: Any = None,
) -> Vector:  # fmt: skip
    if training or running_mean is None:
        raise ModelError(f"layer {name} is a batch normalisation in training mode: its output depends on the other "
                         "rows of the batch; call model.eval() before exporting")  # fmt: skip
    return batch_norm(walk, name, x, running_mean, running_var, weight, bias, float(eps))


def _no_training(walk: Walk, name: str, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
                 momentum: Any = None, eps: Any = BATCH_NORM_EPS) -> tuple[Vector]:  # fmt: skip
    return (_batch_norm(walk, name, x, weight, bias, running_mean, running_var, False, momentum, eps),)


def _functional_batch_norm(
    walk: Walk, name: str, x: Any, running_mean: Any, running_var: Any, weight: Any = None,
    bias: Any = None, training: Any = False, momentum: Any = None, eps: Any = BATCH_NORM_EPS,
) -> Vector:  # fmt: skip
    return _batch_norm(walk, name, x, weight, bias, running_mean, running_var, training, momentum, eps)


def _dropout(walk: Walk, name: str, x: Any, p: Any = None, train: Any = True, inplace: Any = False,
             training: Any = None) -> Vector:  # fmt: skip
    if train if training is None else training:
        raise ModelError(f"layer {name} is dropout in training mode: its output is random; "
                         "call model.eval() before exporting")  # fmt: skip
    return x


def _head(kind: Head) -> Operation:
    return lambda walk, name, x: head(walk, name, x, kind)


def _softmax(kind: Head) -> Operation:
    def lower(walk: Walk, name: str, x: Any, dim: Any = None, dtype: Any = None, **_: Any) -> Vector:
        return head_along(walk, name, x, kind, [implicit_axis(x) if dim is None else int(dim)])

    return lower


def _same(walk: Walk, name: str, x: Any, *_: Any, **__: Any) -> Vector:
    return x


def _copy(walk: Walk, name: str, x: Any, *_: Any, **__: Any) -> Vector:
    """The same values, perhaps kept apart from now on."""
    walk.copied.add(x.place)
    return x


def _size(walk: Walk, name: str, x: Any, dim: Any = None) -> Any:
    sizes = [ROWS, UNKNOWN] if x.shape is None else list(x.shape)
    if x.batch is not None:
        sizes[x.batch] = ROWS
    return sizes if dim is None else sizes[dim]


def _attribute(walk: Walk, name: str, x: Any, key: str) -> Any:
    if key in ("dtype", "device"):
        return LIKE_THE_INPUT
    if key == "ndim":
        return len(shape_of(x))
    if key != "shape":
        raise refuse_layer(name, f"the attribute {key} of a tensor")
    return _size(walk, name, x)


def _converted(walk: Walk, name: str, x: Any, *to: Any, **options: Any) -> Any:
    """The same values in another floating-point type, or on another device."""
    check_float(*to, *(value for key, value in options.items() if key == "dtype"))
    if isinstance(x, Vector):
        walk.copied.add(x.place)
    return x


def _alike(value: float | None) -> Operation:
    """A constant as large as a tensor; None for a value that is given."""

    def lower(walk: Walk, name: str, x: Any, fill_value: Any = None, dtype: Any = None, **_: Any) -> np.ndarray:
        check_float(*(() if dtype is None else (dtype,)))
        return np.full(shape_of(x), float(fill_value) if value is None else value)

    return lower


def _new(value: float | None) -> Operation:
    """A constant of the given size."""

    def lower(
        walk: Walk, name: str, x: Any, *size: Any, fill_value: Any = None, dtype: Any = None, **_: Any
    ) -> np.ndarray:
        check_float(*(() if dtype is None else (dtype,)))
        if value is None and fill_value is None:
            *size, fill_value = size  # type: ignore[assignment]
        return np.full(whole_sizes(size), float(fill_value) if value is None else value)

    return lower


def _negated(walk: Walk, name: str, x: Any) -> Vector:
    return scale(walk, name, x, -1.0)


def _kind(walk: Walk, name: str, x: Any) -> str:
    return LIKE_THE_INPUT


def _of_pair(value: Any, key: str) -> Any:
    """The named parts of what torch.max and torch.min give along an axis."""
    return value[("values", "indices").index(key)]


SYMBOLIC: dict[str, Operation] = {
    **PRODUCTS, **WINDOWS, **MOVES, **BENDS,
    "add": _add, "sub": _sub, "subtract": _sub, "mul": _mul, "multiply": _mul,
    "rsub": lambda walk, name, a, b, alpha=1: _sub(walk, name, b, a, alpha),
    "div": _div, "truediv": _div, "divide": _div, "true_divide": _div,
    "neg": _negated, "negative": _negated,
    "batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _no_training,
    "dropout": _dropout, "feature_dropout": _dropout, "alpha_dropout": _dropout, "feature_alpha_dropout": _dropout,
    "dropout1d": _dropout, "dropout2d": _dropout, "dropout3d": _dropout,
    "sigmoid": _head("sigmoid"), "tanh": _head("tanh"),
    "softmax": _softmax("softmax"), "_softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"), "_log_softmax": _softmax("log_softmax"),
    "contiguous": _copy, "clone": _copy, "detach": _same, "detach_": _same, "alias": _same,
    "float": _copy, "double": _copy,
    "lift_fresh_copy": _copy, "to": _converted, "_to_copy": _converted, "type_as": _converted,
    "zeros_like": _alike(0.0), "ones_like": _alike(1.0), "full_like": _alike(None),
    "new_zeros": _new(0.0), "new_ones": _new(1.0), "new_full": _new(None),
    "size": _size, "sym_size": _size, "device": _kind, "dtype": _kind,
    "dim": lambda walk, name, v: 2 if v.shape is None else len(v.shape),
    "ndimension": lambda walk, name, v: 2 if v.shape is None else len(v.shape),
    "__is__": lambda walk, name, a, b: False, "__isnot__": lambda walk, name, a, b: True,
    "_assert_tensor_metadata": lambda walk, name, *_, **__: None,
    "getattr": _attribute, "getitem": item, "__getitem__": item,
}  # fmt: skip

# a tensor's values by a place or a name in a list or pair of results
LISTS: dict[str, Operation] = {
    "getitem": operator.getitem, "__getitem__": operator.getitem, "len": len, "getattr": _of_pair,
    "__is__": lambda a, b: False, "__isnot__": lambda a, b: True,
}  # fmt: skip
ITEMS = {"getitem", "__getitem__"}

# operations on sizes, lists and options, not on values
HANDS_ON = {"size", "sym_size", "dim", "ndimension", "getattr", "__is__", "__isnot__", "len", "device", "dtype",
            "_assert_tensor_metadata",
            "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", *ITEMS}  # fmt: skip

RESHAPES = {"flatten", "reshape", "reshape_as", "ravel", "_unsafe_view"}

# operations that have a form in place, and Python's own ways to write some of them
IN_PLACE = {"relu", "leaky_relu", "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "neg",
            "sigmoid", "tanh", "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "clamp", "clip",
            "clamp_min", "clamp_max", "hardtanh", "relu6", "hardsigmoid", "abs", "absolute", "threshold", "_threshold",
            "rrelu", "negative"}  # fmt: skip
AUGMENTED = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "__iadd__": "add", "__isub__": "sub",
             "__imul__": "mul", "__itruediv__": "div"}  # fmt: skip


def _functional_softmax(kind: Head) -> Operation:
    return lambda walk, name, x, dim=None, _stacklevel=3, dtype=None: _softmax(kind)(walk, name, x, dim)


# torch.nn.functional's own signatures where they differ from the operation of the same name
FUNCTIONAL: dict[str, Operation] = {
    **FUNCTIONAL_WINDOWS,
    "batch_norm": _functional_batch_norm,
    "softmax": _functional_softmax("softmax"), "log_softmax": _functional_softmax("log_softmax"),
}  # fmt: skip
