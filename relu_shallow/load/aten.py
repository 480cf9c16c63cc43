"""PyTorch's tensor operations by name, as TorchScript, torch.export and torch.fx write them.

`SYMBOLIC` holds the known operations on a value that depends on the input; `CONSTANT` those on numbers alone (shapes,
options, transposed weights). An operation in neither is refused by its name, whatever it would do.
"""

# ruff: noqa: ARG001, ARG005  (every operation has PyTorch's signature, whether it needs all of it or not)

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.axes import ROWS, UNKNOWN, Size
from relu_shallow.load.joins import add
from relu_shallow.load.operations import (
    BATCH_NORM_EPS,
    batch_norm,
    by_channel,
    divide,
    gate,
    head,
    head_along,
    implicit_axis,
    linear,
    linear_left,
    scale,
    shift,
)
from relu_shallow.load.shaping import flatten, permute, reshape, squeeze, unsqueeze
from relu_shallow.load.walk import (
    Vector,
    Walk,
    current,
    make_room,
    meet,
    refuse_layer,
    refuse_product,
    replace_in_place,
)
from relu_shallow.network import Head

Operation = Callable[..., Any]


def apply(walk: Walk, name: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of one operation; raises ModelError, naming it, where it is not known or its arguments do not fit."""
    args = [_current(walk, name, value) for value in args]
    kwargs = {key: _current(walk, name, value) for key, value in kwargs.items()}
    taken = [vector for value in (*args, *kwargs.values()) for vector in _vectors(value)]
    _check_sizes(name, op, (*args, *kwargs.values()))
    changed = op
    op = _out_of_place(name, op, args)
    depends = bool(taken)
    if depends and op not in HANDS_ON:
        meet(walk, name, taken)
    try:
        if depends and op in SYMBOLIC:
            result = SYMBOLIC[op](walk, name, *args, **kwargs)
            if changed != op:
                replace_in_place(walk, name, args[0], result)
            return result
        if not depends and op in CONSTANT:
            _check_small(walk, name, args)
            return _checked(CONSTANT[op](*args, **kwargs))
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"layer {name} is {op} with arguments that are not understood: {error}") from error
    raise refuse_layer(name, f"the operation {op}")


def _current(walk: Walk, name: str, value: Any) -> Any:
    """An argument as it is now, where layers before changed it in place."""
    if isinstance(value, (list, tuple)):
        return [_current(walk, name, part) for part in value]
    return current(walk, name, value) if isinstance(value, Vector) else value


def _vectors(value: Any) -> list[Vector]:
    if isinstance(value, (list, tuple)):
        return [vector for part in value for vector in _vectors(part)]
    return [value] if isinstance(value, Vector) else []


def _out_of_place(name: str, op: str, args: Sequence[Any]) -> str:
    """relu_ as relu, to be noted as a change in place.

    In place on anything but a vector (a weight, a shape) the change would be lost where the result is not what is used.
    """
    plain = op if op.startswith("__") else op.rstrip("_") or op
    if plain != op and not (plain in IN_PLACE and args and isinstance(args[0], Vector)):
        raise refuse_layer(name, f"the operation {op}, in place on something other than the value passed on")
    return plain


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


def _arithmetic(operation: Operation) -> Operation:
    """An operation on numbers and arrays, not on Python's lists and texts, which it would repeat."""

    def computed(*args: Any, **kwargs: Any) -> Any:
        if not all(isinstance(value, (int, float, np.ndarray, np.generic)) for value in (*args, *kwargs.values())):
            raise TypeError("numbers were expected")
        return operation(*args, **kwargs)

    return computed


def _linear(walk: Walk, name: str, x: Any, weight: Any, bias: Any = None) -> Vector:
    _numbers_only(name, "linear", weight, bias)
    return linear(walk, name, x, weight, bias)


def _addmm(walk: Walk, name: str, bias: Any, left: Any, right: Any, *, beta: Any = 1, alpha: Any = 1) -> Vector:
    v = _matmul(walk, name, left, right)
    v = v if alpha == 1 else scale(walk, name, v, alpha)
    _numbers_only(name, "addmm", bias)
    return shift(walk, name, v, bias if beta == 1 else np.asarray(bias, dtype=np.float64) * beta)


def _matmul(walk: Walk, name: str, left: Any, right: Any) -> Vector:
    if isinstance(left, Vector):
        _numbers_only(name, "a product", right)
        return linear(walk, name, left, np.asarray(right).T)
    return linear_left(walk, name, right, left)


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


def _relu(walk: Walk, name: str, x: Any, inplace: Any = False) -> Vector:
    return _put(walk, name, x, gate(walk, name, x, 0.0), inplace)


def _leaky_relu(walk: Walk, name: str, x: Any, negative_slope: Any = 0.01, inplace: Any = False) -> Vector:
    return _put(walk, name, x, gate(walk, name, x, float(negative_slope)), inplace)


def _put(walk: Walk, name: str, old: Vector, new: Vector, inplace: Any) -> Vector:
    """The result, noted as taking the place of the argument where the operation was told to work in place."""
    if inplace:
        replace_in_place(walk, name, old, new)
    return new


def _prelu(walk: Walk, name: str, x: Any, weight: Any) -> Vector:
    return gate(walk, name, x, by_channel(x, weight))


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


def _view(walk: Walk, name: str, x: Any, *shape: Any, size: Any = None) -> Vector:
    return reshape(walk, name, x, _sizes(shape or (size,)))


def _sizes(shape: Sequence[Any]) -> list[Any]:
    listed = shape[0] if isinstance(shape[0], (list, tuple)) else shape
    return [size if isinstance(size, Size) else int(size) for size in listed]


def _flatten(walk: Walk, name: str, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Vector:
    return flatten(name, x, int(start_dim), int(end_dim))


def _squeeze(walk: Walk, name: str, x: Any, dim: Any = None) -> Vector:
    rank = len(_shape(x))
    axes = None if dim is None else [int(d) % rank for d in (dim if isinstance(dim, (list, tuple)) else [dim])]
    return squeeze(name, x, axes)


def _unsqueeze(walk: Walk, name: str, x: Any, dim: Any) -> Vector:
    return unsqueeze(x, [int(dim) % (len(_shape(x)) + 1)])


def _transpose(walk: Walk, name: str, x: Any, dim0: Any = 0, dim1: Any = 1) -> Vector:
    order = list(range(len(_shape(x))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(walk, name, x, order)


def _permute(walk: Walk, name: str, x: Any, *dims: Any) -> Vector:
    return permute(walk, name, x, _sizes(dims))


def _size(walk: Walk, name: str, x: Any, dim: Any = None) -> Any:
    sizes = [ROWS, UNKNOWN] if x.shape is None else list(x.shape)
    if x.batch is not None:
        sizes[x.batch] = ROWS
    return sizes if dim is None else sizes[dim]


def _attribute(walk: Walk, name: str, x: Any, key: str) -> Any:
    if key != "shape":
        raise refuse_layer(name, f"the attribute {key} of a tensor")
    return _size(walk, name, x)


def _shape(v: Vector) -> tuple[int, ...]:
    if v.shape is None:
        raise ValueError("the size of the input is not known yet")
    return v.shape


def _numbers_only(name: str, what: str, *values: Any) -> None:
    if any(isinstance(value, Vector) for value in values):
        raise refuse_product(name, what)


SYMBOLIC: dict[str, Operation] = {
    "linear": _linear, "addmm": _addmm, "matmul": _matmul, "mm": _matmul,
    "add": _add, "iadd": _add, "sub": _sub, "isub": _sub, "mul": _mul, "imul": _mul, "multiply": _mul,
    "subtract": _sub, "rsub": lambda walk, name, a, b, alpha=1: _sub(walk, name, b, a, alpha),
    "div": _div, "truediv": _div, "itruediv": _div, "divide": _div, "true_divide": _div,
    "neg": lambda walk, name, v: scale(walk, name, v, -1.0),
    "relu": _relu, "leaky_relu": _leaky_relu, "prelu": _prelu,
    "_prelu_kernel": lambda walk, name, x, weight: gate(walk, name, x, weight),
    "batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _no_training,
    "dropout": _dropout, "feature_dropout": _dropout, "alpha_dropout": _dropout,
    "sigmoid": _head("sigmoid"), "tanh": _head("tanh"),
    "softmax": _softmax("softmax"), "_softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"), "_log_softmax": _softmax("log_softmax"),
    "flatten": _flatten, "view": _view, "reshape": _view, "_unsafe_view": _view, "squeeze": _squeeze,
    "unsqueeze": _unsqueeze, "t": _transpose, "transpose": _transpose, "permute": _permute,
    "contiguous": _copy, "clone": _copy, "detach": _same, "alias": _same, "float": _copy, "double": _copy,
    "lift_fresh_copy": _copy, "size": _size, "sym_size": _size,
    "dim": lambda walk, name, v: 2 if v.shape is None else len(v.shape),
    "ndimension": lambda walk, name, v: 2 if v.shape is None else len(v.shape),
    "__is__": lambda walk, name, a, b: False, "__isnot__": lambda walk, name, a, b: True,
    "getattr": _attribute,
}  # fmt: skip


# operations on sizes, lists and options, not on values
HANDS_ON = {"size", "sym_size", "dim", "ndimension", "getattr", "getitem", "__getitem__", "__is__", "__isnot__", "len"}

# operations that have a form in place
IN_PLACE = {"relu", "leaky_relu", "add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "neg",
            "sigmoid", "tanh", "dropout", "feature_dropout", "alpha_dropout"}  # fmt: skip

# operations that hand a size on, or put the batch where it says
PASSES_SIZES = {"view", "reshape", "_unsafe_view", "getitem", "__getitem__", "len", "NumToTensor", "Int",
                "ScalarImplicit", "IntImplicit"}  # fmt: skip


def _identity(value: Any, *_: Any, **__: Any) -> Any:
    return value


CONSTANT: dict[str, Operation] = {
    "t": lambda a: np.asarray(a).T, "transpose": lambda a, i, j: np.swapaxes(a, i, j),
    "permute": lambda a, dims: np.transpose(a, dims),
    "add": _arithmetic(lambda a, b, alpha=1: a + b * alpha), "sub": _arithmetic(lambda a, b, alpha=1: a - b * alpha),
    "mul": _arithmetic(operator.mul), "div": _arithmetic(operator.truediv), "truediv": _arithmetic(operator.truediv),
    "floordiv": _arithmetic(operator.floordiv), "__floordiv__": _arithmetic(operator.floordiv),
    "neg": _arithmetic(operator.neg),
    "reshape": lambda a, shape: np.reshape(a, shape), "view": lambda a, shape: np.reshape(a, shape),
    "unsqueeze": np.expand_dims, "squeeze": np.squeeze,
    "clone": _identity, "detach": _identity, "contiguous": _identity, "lift_fresh_copy": _identity,
    "NumToTensor": _identity, "Int": lambda a: a if isinstance(a, Size) else int(a),
    "Float": float, "Bool": bool, "ScalarImplicit": _identity,
    "IntImplicit": _identity, "FloatImplicit": _identity, "to": _identity,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "gt": operator.gt, "le": operator.le, "ge": operator.ge,
    "__is__": operator.is_, "__isnot__": operator.is_not, "__not__": operator.not_,
    "__and__": lambda a, b: a and b, "__or__": lambda a, b: a or b,
    "len": len, "size": lambda a, dim=None: list(np.shape(a)) if dim is None else np.shape(a)[dim],
    "dim": np.ndim, "format": lambda text, *_: str(text), "getitem": operator.getitem,
    "__getitem__": operator.getitem,
}  # fmt: skip


def _functional_softmax(kind: Head) -> Operation:
    return lambda walk, name, x, dim=None, _stacklevel=3, dtype=None: _softmax(kind)(walk, name, x, dim)


# torch.nn.functional's own signatures where they differ from the operation of the same name
FUNCTIONAL: dict[str, Operation] = {
    "batch_norm": _functional_batch_norm,
    "softmax": _functional_softmax("softmax"), "log_softmax": _functional_softmax("log_softmax"),
}
