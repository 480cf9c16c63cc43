"""Every ONNX operator that calculates or moves values, on random shapes and options: what onnxruntime computes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import FEW, Case, agrees, keeps_rows_apart, node, weights

from relu_shallow.load.onnx_ops import SYMBOLIC

SEEDS = st.integers(0, 10**6)
NEW = st.sampled_from((13, 18, 21))
OPSETS = st.sampled_from((8, 11, 13, 18, 21))


def shapes(low=2, high=4, most=4):
    return st.lists(st.integers(1, most), min_size=low, max_size=high).map(lambda sizes: (1, *sizes[1:]))


def is_input(opset, since, name, value):
    """(the extra input's name, its tensor) from an operator set on; before it, an attribute."""
    if value is None:
        return "", {}, {}
    as_input = opset >= since
    return (f" {name}", {name: np.asarray(value, np.int64)}, {}) if as_input else ("", {}, {name: value})


@st.composite
def part_of(draw, shape):
    """A shape that broadcasts to the given one."""
    kept = draw(st.integers(0, len(shape)))
    return tuple(1 if draw(st.booleans()) else size for size in shape[len(shape) - kept :])


@st.composite
def by_a_constant(draw, op):
    shape = draw(shapes())
    c = weights(draw(SEEDS), *draw(part_of(shape)))
    if op == "Div":
        c = np.sign(c) * (np.abs(c) + np.float32(0.5)) + (c == 0)
    turned = op != "Div" and draw(st.booleans())
    return Case([node(op, "c x" if turned else "x c")], shape, {"c": c}, draw(OPSETS))


@st.composite
def of_two(draw, op):
    """The operator on two linear functions of the input, of shapes that broadcast."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    seed = draw(SEEDS)
    nodes = [node("MatMul", "x W", "a"), node("MatMul", "x V", "b"), node(op, "a b")]
    one = draw(st.booleans())
    return Case(nodes, (1, n, 3), {"W": weights(seed, 3, m), "V": weights(seed + 1, 3, 1 if one else m)}, draw(OPSETS))


@st.composite
def of_many(draw, op):
    """Any number of linear functions of the input, and constants."""
    seed, n = draw(SEEDS), draw(st.integers(1, 4))
    nodes, tensors, parts = [], {}, []
    for place in range(n):
        nodes.append(node("MatMul", f"x W{place}", f"h{place}"))
        tensors[f"W{place}"] = weights(seed + place, 3, 4)
        parts.append(f"h{place}")
    for place in range(draw(st.integers(0, 2))):
        tensors[f"c{place}"] = weights(seed + n + place, *draw(part_of((1, 4))))
        parts.insert(draw(st.integers(0, len(parts))), f"c{place}")
    return Case([*nodes, node(op, " ".join(parts))], (1, 3), tensors, draw(OPSETS))


@st.composite
def value_by_value(draw, op, **strategies):
    options = {key: draw(strategy) for key, strategy in strategies.items()}
    return Case([node(op, **options)], draw(shapes()), {}, 18)


@st.composite
def prelu(draw):
    shape = draw(shapes(2, 3))
    return Case([node("PRelu", "x s")], shape, {"s": weights(draw(SEEDS), *draw(part_of(shape)))}, draw(OPSETS))


@st.composite
def shrink(draw):
    threshold = draw(st.floats(0.125, 1, width=16))
    return Case([node("Shrink", lambd=threshold, bias=threshold)], draw(shapes()), {}, 18)


@st.composite
def clip(draw):
    low, high = sorted((draw(st.floats(-1, 1, width=16)), draw(st.floats(-1, 1, width=16))))
    low, high = (draw(st.sampled_from((None, low)))), (draw(st.sampled_from((None, high))))
    shape, opset = draw(shapes()), draw(st.sampled_from((6, 10, 11, 13, 18)))
    if opset < 11:
        return Case([node("Clip", min=low, max=high)], shape, {}, opset)
    bounds = {"low": low, "high": high}
    inputs = " ".join("_" if value is None else key for key, value in bounds.items())
    tensors = {key: np.float32(value) for key, value in bounds.items() if value is not None}
    return Case([node("Clip", f"x {inputs}")], shape, tensors, opset)


@st.composite
def gemm(draw, c):
    seed, k, m, left = draw(SEEDS), draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.booleans())
    ta, tb = draw(st.booleans()), draw(st.booleans())
    beta = 2.0 if c == "constant" else draw(st.sampled_from((2.0, None, 0.0)))
    options = {"alpha": draw(st.sampled_from((None, 0.5))), "beta": beta, "transA": int(ta), "transB": int(tb)}
    if left:
        rows, shape = m, (1, k) if tb else (k, 1)
        nodes, W, out = "W x", weights(seed, k, m) if ta else weights(seed, m, k), (rows, 1)
    else:
        shape, nodes = (k, 1) if ta else (1, k), "x W"
        W, out = weights(seed, m, k) if tb else weights(seed, k, m), (1, m)
    before, tensors = [], {"W": W}
    if c == "constant":
        tensors["c"] = weights(seed + 1, *draw(part_of(out)))
    if c == "vector":
        before = [node("ReduceSum", "x", "s", keepdims=1), node("Mul", "s V", "c")]
        tensors["V"] = weights(seed + 2, *out)
    extra = "" if c == "none" else " c"
    return Case([*before, node("Gemm", nodes + extra, **options)], shape, tensors, draw(NEW))


@st.composite
def gemm_of_constants(draw):
    """Only what is added depends on the input."""
    k, m, seed = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(SEEDS)
    tensors = {"A": weights(seed, k, 1), "B": weights(seed + 1, m, k)}
    return Case([node("Gemm", "A B x", alpha=0.5, beta=2.0, transA=1, transB=1)], (1, m), tensors, 13)


@st.composite
def matmul(draw):
    """Vectors, matrices and stacks of matrices, on either side."""
    seed, n, k, m = draw(SEEDS), *(draw(st.integers(1, 4)) for _ in range(3))
    lead = draw(st.sampled_from(((), (1,), (2,), (1, 2), (3, 1), (3, 2))))
    stack = draw(st.sampled_from(((), (1,), (2,), (3, 2), (3, 1), (1, 1))))
    kind = draw(st.sampled_from(("right", "left", "row", "column")))
    if kind == "right":
        return Case([node("MatMul", "x W")], (*lead, n, k), {"W": weights(seed, *stack, k, m)}, 13)
    if kind == "left":
        return Case([node("MatMul", "W x")], (*lead, k, n), {"W": weights(seed, *stack, m, k)}, 13)
    if kind == "row":
        return Case([node("MatMul", "x W")], (*lead, n, k), {"W": weights(seed, k)}, 13)
    return Case([node("MatMul", "W x")], (*lead, k, n), {"W": weights(seed, k)}, 13)


@st.composite
def einsum(draw):
    equation, shape, other = draw(st.sampled_from((
        ("ab,bc->ac", (2, 3), (3, 4)), ("abc,cd->abd", (1, 2, 3), (3, 4)), ("bc,abc->ab", (2, 3), (4, 2, 3)),
        ("nchw,cd->ndhw", (1, 2, 3, 2), (2, 3)), ("ij,ij->", (2, 3), (2, 3)), ("ii,i->i", (3, 3), (3,)),
    )))  # fmt: skip
    return Case([node("Einsum", "x W", equation=equation)], shape, {"W": weights(draw(SEEDS), *other)}, 13)


@st.composite
def where(draw):
    shape, seed = draw(shapes()), draw(SEEDS)
    tensors = {"c": weights(seed, *draw(part_of(shape))) > 0, "d": weights(seed + 1, *draw(part_of(shape)))}
    inputs = draw(st.sampled_from(("c x d", "c d x", "c x x")))
    return Case([node("Where", inputs)], shape, tensors, draw(st.sampled_from((9, 16, 18))))


@st.composite
def batch_norm(draw):
    shape, seed = draw(shapes(2, 4)), draw(SEEDS)
    parts = {key: weights(seed + place, shape[1]) for place, key in enumerate("sbm")}
    variance = np.abs(weights(seed + 4, shape[1])) + np.float32(0.25)
    eps = draw(st.sampled_from((None, 1e-3)))
    return Case([node("BatchNormalization", "x s b m v", epsilon=eps)], shape, {**parts, "v": variance}, draw(OPSETS))


@st.composite
def reduce(draw, op, since=18):
    shape, opset = draw(shapes(2, 4, 3)), draw(OPSETS)
    axes = draw(st.none() | st.sets(st.integers(0, len(shape) - 1), min_size=1).map(sorted))
    axes = axes and [axis - len(shape) if opset >= 11 and draw(st.booleans()) else axis for axis in axes]
    extra, tensors, options = is_input(opset, since, "axes", axes)
    if axes is None and opset >= since and draw(st.booleans()):
        options["noop_with_empty_axes"] = 1
    return Case([node(op, "x" + extra, keepdims=draw(st.sampled_from((None, 0, 1))), **options)], shape, tensors, opset)


@st.composite
def concat(draw):
    shape, seed = draw(shapes(2, 4, 3)), draw(SEEDS)
    axis = draw(st.integers(0, len(shape) - 1))
    other = (*shape[:axis], draw(st.integers(1, 3)), *shape[axis + 1 :])
    parts = draw(st.permutations(["x", "x", "c"]))
    written = axis - len(shape) if draw(st.booleans()) else axis
    return Case([node("Concat", " ".join(parts), axis=written)], shape, {"c": weights(seed, *other)}, 18)


@st.composite
def split(draw):
    """The parts in another order, some of them bent, so that each is seen to be the right one."""
    shape, opset = draw(shapes(2, 3, 3)), draw(st.sampled_from((8, 11, 13, 18)))
    axis, each = draw(st.integers(0, len(shape) - 1)), draw(st.integers(1, 2))
    kind = draw(st.sampled_from(("sizes", "equal")))
    parts = [each, each] if kind == "equal" else [each, draw(st.integers(1, 3))]
    shape = (*shape[:axis], sum(parts), *shape[axis + 1 :])
    extra, tensors, options = is_input(opset, 13, "split", parts if kind == "sizes" else None)
    if kind == "equal" and opset >= 18:
        options["num_outputs"] = 2
        shape = (*shape[:axis], sum(parts) - (each > 1 and draw(st.booleans())), *shape[axis + 1 :])
    nodes = [node("Split", "x" + extra, "a b", axis=axis, **options), node("Abs", "b", "c"),
             node("Concat", "c a", axis=axis)]  # fmt: skip
    return Case(nodes, shape, tensors, opset)


@st.composite
def slices(draw):
    shape, opset = draw(shapes(2, 4, 5)), draw(st.sampled_from((8, 10, 13, 18)))
    axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = shape[axis]
        step = draw(st.sampled_from((1, 2, -1, -2))) if opset >= 10 else 1
        first, last = sorted((draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))))
        if step < 0:
            starts.append(draw(st.sampled_from((last, last - size, last))))
            ends.append(draw(st.sampled_from((first - 1 if first else -(2**31) + 1, -(2**62)))))
        else:
            starts.append(draw(st.sampled_from((first, first - size))))
            ends.append(draw(st.sampled_from((last + 1, 2**31 - 1, 2**62))))
        steps.append(step)
    if opset < 10:
        return Case([node("Slice", axes=axes, starts=starts, ends=ends)], shape, {}, opset)
    every = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    return Case([node("Slice", "x starts ends axes steps")], shape,
                {key: np.asarray(value, np.int64) for key, value in every.items()}, opset)  # fmt: skip


@st.composite
def gather(draw, op):
    shape = draw(shapes(2, 4, 4))
    axis = draw(st.integers(0, len(shape) - 1))
    size = shape[axis]
    if op == "GatherND":
        depth = draw(st.integers(1, len(shape)))
        rows = [[draw(st.integers(-s, s - 1)) for s in shape[:depth]] for _ in range(draw(st.integers(1, 3)))]
        return Case([node("GatherND", "x i")], shape, {"i": np.asarray(rows, np.int64)}, 13)
    if op == "GatherElements":
        index = draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=3))
        along = [len(index) if place == axis else 1 for place in range(len(shape))]
        every = [len(index) if place == axis else draw(st.integers(1, s)) for place, s in enumerate(shape)]
        tensor = np.broadcast_to(np.reshape(index, along), every).astype(np.int64)
        return Case([node("GatherElements", "x i", axis=axis)], shape, {"i": tensor}, 13)
    index = np.asarray(draw(st.lists(st.integers(-size, size - 1), min_size=2, max_size=4)), np.int64)
    index = draw(st.sampled_from((index, index[0], index[:2].reshape(1, 2), index[:1])))
    return Case([node("Gather", "x i", axis=axis)], shape, {"i": index}, 13)


@st.composite
def expand(draw):
    shape = draw(shapes(2, 3, 3))
    target = [draw(st.sampled_from((1, size if size > 1 else 3))) for size in shape]
    target = [2] * draw(st.integers(0, 1)) + target[draw(st.integers(0, 1)) if len(target) > 2 else 0 :]
    return Case([node("Expand", "x s")], shape, {"s": np.asarray(target, np.int64)}, 13)


@st.composite
def tile(draw):
    shape = draw(shapes(2, 3, 3))
    times = [draw(st.integers(1, 3)) for _ in shape]
    return Case([node("Tile", "x r")], shape, {"r": np.asarray(times, np.int64)}, 13)


@st.composite
def blocks(draw, op):
    b, c, h, w = (draw(st.integers(1, 3)) for _ in range(4))
    mode = draw(st.sampled_from((None, "DCR", "CRD"))) if op == "DepthToSpace" else None
    shape = (1, c * b * b, h, w) if op == "DepthToSpace" else (1, c, h * b, w * b)
    return Case([node(op, blocksize=b, mode=mode)], shape, {}, 13)


@st.composite
def moves(draw, op):
    """Reshape, Flatten, Squeeze, Unsqueeze and Transpose, bent afterwards."""
    shape, opset = draw(shapes(3, 4, 3)), draw(OPSETS)
    rank = len(shape)
    if op == "Reshape":
        target = draw(st.sampled_from(([0, -1], [-1], [0, 0, -1], [1, -1, 1])))
        made = Case([node(op, "x s", "h")], shape, {"s": np.asarray(target, np.int64)}, opset)
    elif op == "Transpose":
        made = Case([node(op, "x", "h", perm=draw(st.none() | st.permutations(range(rank))))], shape, {}, opset)
    elif op == "Flatten":
        low = -rank if opset >= 11 else 0
        made = Case([node(op, "x", "h", axis=draw(st.none() | st.integers(low, rank)))], shape, {}, opset)
    else:
        ones = [axis for axis, size in enumerate(shape) if size == 1]
        axes = draw(st.lists(st.sampled_from(ones), min_size=1, unique=True)) if op == "Squeeze" else [rank, 1]
        axes = None if op == "Squeeze" and draw(st.booleans()) else axes
        extra, tensors, options = is_input(opset, 13, "axes", axes)
        made = Case([node(op, "x" + extra, "h", **options)], shape, tensors, opset)
    made.nodes.append(node("LeakyRelu", "h"))
    return made


@st.composite
def from_sizes(draw, op):
    """A shape that is computed from the input's own."""
    shape = draw(shapes(3, 3, 4))
    if op == "Shape":
        nodes = [node("Shape", "x", "s", start=draw(st.sampled_from((None, 0, -3)))), node("Slice", "s b e", "m"),
                 node("ReduceProd", "m", "n", keepdims=1), node("Concat", "one n", "t", axis=0),
                 node("Reshape", "x t")]  # fmt: skip
        tensors = {"b": np.array([1]), "e": np.array([9]), "one": np.array([1])}
        return Case(nodes, shape, tensors, 15)
    nodes = [node("Size", "x", "s"), node("Cast", "s", "f", to=1), node("Div", "x f")]
    return Case(nodes, shape, {}, 15)


@st.composite
def cast_like(draw):
    nodes = [node("Cast", "x", "h", to=11), node("Abs", "h", "a"), node("CastLike", "a c")]
    return Case(nodes, draw(shapes()), {"c": np.zeros(1, np.float32)}, 15)


@st.composite
def heads(draw, op):
    width, opset = draw(st.integers(2, 5)), draw(st.sampled_from((8, 11, 13, 18)))
    axis = draw(st.sampled_from((None, 1, -1 if opset > 10 else 1)))
    options = {"axis": axis} if "max" in op else {}
    tensors = {"W": weights(draw(SEEDS), 3, width)}
    return Case([node("MatMul", "x W", "h"), node(op, "h", **options)], (1, 3), tensors, opset)


PLAIN = st.none()
HALVES = st.none() | st.floats(0.125, 2, width=16)
OPERATORS = {
    **{op: by_a_constant(op) | of_two(op) for op in ("Add", "Sub")},
    "Mul": by_a_constant("Mul"), "Div": by_a_constant("Div"),
    "Pow": st.builds(lambda shape: Case([node("Pow", "x c")], shape, {"c": np.float32(1)}, 13), shapes()),
    **{op: of_many(op) for op in ("Sum", "Mean", "Max", "Min")},
    **{op: value_by_value(op) for op in ("Neg", "Abs", "Relu", "Identity", "Dropout")},
    "LeakyRelu": value_by_value("LeakyRelu", alpha=HALVES),
    "HardSigmoid": value_by_value("HardSigmoid", alpha=HALVES, beta=HALVES),
    "ThresholdedRelu": value_by_value("ThresholdedRelu", alpha=st.just(0.0)),
    "Shrink": shrink(), "PRelu": prelu(), "Clip": clip(), "Where": where(),
    "Gemm": gemm("none"), "Gemm with c": gemm("constant"), "Gemm with c of the input": gemm("vector"),
    "Gemm of constants": gemm_of_constants(),
    "MatMul": matmul(), "Einsum": einsum(), "BatchNormalization": batch_norm(),
    "ReduceSum": reduce("ReduceSum", 13),
    **{op: reduce(op) for op in ("ReduceMean", "ReduceL1", "ReduceMax", "ReduceMin")},
    "Concat": concat(), "Split": split(), "Slice": slices(), "Expand": expand(), "Tile": tile(),
    **{op: gather(op) for op in ("Gather", "GatherND", "GatherElements")},
    **{op: blocks(op) for op in ("DepthToSpace", "SpaceToDepth")},
    **{op: moves(op) for op in ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")},
    **{op: from_sizes(op) for op in ("Shape", "Size")},
    "Cast": cast_like(), "CastLike": cast_like(),
    **{op: heads(op) for op in ("Softmax", "LogSoftmax", "Sigmoid", "Tanh")},
}  # fmt: skip


@pytest.mark.parametrize("op", OPERATORS)
def test_an_operator_has_the_outputs_of_onnxruntime(op, tmp_path):
    met = Counter()

    @FEW
    @given(OPERATORS[op])
    def agree(case):
        assert op.split()[0] in {made.op_type for made in case.nodes}
        agrees(case, tmp_path)
        if met.total() % 2 == 0:
            keeps_rows_apart(case, tmp_path)
        met[case.opset] += 1

    agree()
    assert met


def test_every_operator_that_is_read_is_tested():
    from test_onnx_windows import WINDOWS

    assert set(SYMBOLIC) == {name.split()[0] for name in (*OPERATORS, *WINDOWS)}
