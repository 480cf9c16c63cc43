"""ONNX's convolutions, poolings, paddings and resizings, on random shapes and options: what onnxruntime computes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import FEW, Case, agrees, keeps_rows_apart, node, weights

SEEDS = st.integers(0, 10**6)
FREE, SAME = st.sampled_from(("NOTSET", "NOTSET", "VALID")), st.sampled_from(("SAME_UPPER", "SAME_LOWER"))


@st.composite
def windows(draw, kinds, dilated=True):
    """(space, options) of windows that fit, in one to three dimensions."""
    rank, kind = draw(st.integers(1, 3)), draw(kinds)
    kernel = [draw(st.integers(1, 3 if rank < 3 else 2)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) if dilated else 1 for _ in range(rank)]
    most = kernel if kind.startswith("SAME") else [3] * rank  # onnxruntime pads by no less than zero
    strides = [draw(st.integers(1, size)) for size in most]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    space = [r + draw(st.integers(0, 4 if rank < 3 else 2)) for r in reach]
    options = {"kernel_shape": kernel, "strides": strides, "auto_pad": kind}
    if dilated:
        options["dilations"] = dilations if not kind.startswith("SAME") else [1] * rank
    if kind == "NOTSET":
        options["pads"] = [draw(st.integers(0, k - 1)) for _ in range(2) for k in kernel]
    return space, options


@st.composite
def conv(draw, kinds):
    space, options = draw(windows(kinds))
    groups, inner, outer, seed = *(draw(st.integers(1, 2)) for _ in range(3)), draw(SEEDS)
    tensors = {"K": weights(seed, groups * outer, inner, *options["kernel_shape"]), "b": weights(seed, groups * outer)}
    inputs = draw(st.sampled_from(("x K", "x K b")))
    return Case([node("Conv", inputs, group=groups, **options)], (1, groups * inner, *space), tensors, 13)


@st.composite
def conv_transposed(draw, kinds):
    rank, groups, inner, outer, seed = *(draw(st.integers(1, 2)) for _ in range(4)), draw(SEEDS)
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    strides = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    space = [draw(st.integers(2, 4)) for _ in range(rank)]
    options = {"strides": strides, "dilations": dilations, "group": groups}
    kind = draw(kinds)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    whole = [stride * (size - 1) + r for stride, size, r in zip(strides, space, reach, strict=True)]
    if kind == "pads":
        options["pads"] = [draw(st.integers(0, min(k - 1, 1))) for _ in range(2) for k in kernel]
    elif kind == "output_padding":
        options["output_padding"] = [draw(st.integers(0, stride - 1)) for stride in strides]
    elif kind == "output_shape":
        options["output_shape"] = [size - draw(st.integers(0, min(r - 1, 2)))
                                   for size, r in zip(whole, reach, strict=True)]  # fmt: skip
        options["auto_pad"] = draw(st.sampled_from(("NOTSET", "SAME_UPPER", "SAME_LOWER")))
    else:
        options["auto_pad"] = kind
        if kind != "VALID":  # the output is as often the input as the stride says: there must be enough of it
            options["dilations"] = [1] * rank
            kernel = [max(k, stride) for k, stride in zip(kernel, strides, strict=True)]
    tensors = {"K": weights(seed, groups * inner, outer, *kernel), "b": weights(seed, groups * outer)}
    return Case([node("ConvTranspose", "x K b", **options)], (1, groups * inner, *space), tensors, 13)


@st.composite
def pool(draw, op, kinds):
    opset = draw(st.sampled_from((7, 10, 12, 19, 21)))
    space, options = draw(windows(kinds, dilated=opset >= (10 if op == "MaxPool" else 19)))
    if opset >= 10 and options["auto_pad"] == "NOTSET":
        options["ceil_mode"] = draw(st.integers(0, 1))
    if op == "AveragePool":
        options["count_include_pad"] = draw(st.integers(0, 1))
    return Case([node(op, **options)], (1, draw(st.integers(1, 2)), *space), {}, opset)


@st.composite
def global_pool(draw, op):
    space = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    return Case([node(op)], (1, draw(st.integers(1, 3)), *space), {}, 13)


@st.composite
def pads(draw):
    shape = [1, *draw(st.lists(st.integers(2, 4), min_size=1, max_size=3))]
    opset = draw(st.sampled_from((8, 11, 18, 19)))
    mode = draw(st.sampled_from(("constant", "edge", "reflect", *(("wrap",) if opset >= 19 else ()))))
    least = -1 if mode == "constant" else 0
    every = [draw(st.integers(least, size - 1)) if size > 1 else 0 for _ in range(2) for size in shape]
    every = [max(more, 0) if shape[place % len(shape)] == 2 else more for place, more in enumerate(every)]
    value = draw(st.sampled_from((0.0, 1.5)))
    if opset < 11:
        return Case([node("Pad", pads=every, mode=mode, value=value)], shape, {}, opset)
    tensors, inputs = {"p": np.asarray(every, np.int64), "v": np.float32(value)}, "x p v"
    if opset >= 18 and draw(st.booleans()):
        axes = draw(st.permutations(range(1, len(shape))))
        chosen = [every[half * len(shape) + axis] for half in range(2) for axis in axes]
        tensors |= {"p": np.asarray(chosen, np.int64), "a": np.asarray(axes, np.int64)}
        inputs = "x p v a"
    return Case([node("Pad", inputs, mode=mode)], shape, tensors, opset)


LATE = (11, 13, 18, 19)
COORDINATES = {
    "half_pixel": LATE, "half_pixel_symmetric": (19,), "pytorch_half_pixel": LATE, "align_corners": LATE,
    "asymmetric": LATE, "of old": (10,), "ratio kept": (18, 19),
}  # fmt: skip
ROUNDS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@st.composite
def resizes(draw, coordinates, opsets):
    """One axis at least of three or more values by a factor that is not whole."""
    least = 3 if coordinates == "ratio kept" else 1
    space = [draw(st.integers(3, 5)), *draw(st.lists(st.integers(least, 5), max_size=2))]
    opset, mode = draw(st.sampled_from(opsets)), draw(st.sampled_from(("nearest", "linear")))
    shape = (1, draw(st.integers(1, 2)), *space)
    others = st.sampled_from((0.5, 0.75, 1.0, 1.5, 2.0, 2.6, 3.0))
    factors = [1.0, 1.0, draw(st.sampled_from((0.5, 0.75, 1.5, 2.6))), *(draw(others) for _ in space[1:])]
    factors = [max(factor, 1.0) if size == 1 else factor for factor, size in zip(factors, shape, strict=True)]
    if opset == 10:
        return Case([node("Resize", "x s", mode=mode)], shape, {"s": np.float32(factors)}, opset)
    options = {"mode": mode, "nearest_mode": draw(st.sampled_from(ROUNDS)) if mode == "nearest" else None}
    kept = coordinates == "ratio kept"
    options["coordinate_transformation_mode"] = None if kept else coordinates
    if kept or (opset >= 18 and draw(st.booleans())):
        options["axes"] = list(range(2, len(shape)))
        factors = factors[2:]
    ends = zip(shape[len(shape) - len(factors) :], factors, strict=True)
    sizes = [max(int(size * factor), 1) for size, factor in ends]
    empty = {"r": np.zeros(0, np.float32)}  # before version 13 neither could be left out
    if kept or draw(st.booleans()):
        if kept:
            options["keep_aspect_ratio_policy"] = draw(st.sampled_from(("not_larger", "not_smaller")))
        return Case([node("Resize", "x r r z", **options)], shape, {**empty, "z": np.asarray(sizes, np.int64)}, opset)
    return Case([node("Resize", "x r s", **options)], shape, {**empty, "s": np.float32(factors)}, opset)


@st.composite
def upsample(draw):
    shape = (1, draw(st.integers(1, 2)), *draw(st.lists(st.integers(1, 3), min_size=2, max_size=2)))
    factors = [1.0, 1.0, draw(st.sampled_from((1.0, 2.0, 3.0))), 2.0]
    mode = draw(st.sampled_from(("nearest", "linear")))
    if draw(st.booleans()):
        return Case([node("Upsample", scales=factors, mode=mode)], shape, {}, 8)
    return Case([node("Upsample", "x s", mode=mode)], shape, {"s": np.float32(factors)}, 9)


WINDOWS = {
    "Conv": conv(FREE), "Conv SAME": conv(SAME),
    "ConvTranspose": conv_transposed(st.sampled_from(("pads", "output_padding", "VALID"))),
    "ConvTranspose SAME": conv_transposed(SAME), "ConvTranspose of a size": conv_transposed(st.just("output_shape")),
    **{op: pool(op, FREE) for op in ("AveragePool", "MaxPool")},
    **{f"{op} SAME": pool(op, SAME) for op in ("AveragePool", "MaxPool")},
    "GlobalAveragePool": global_pool("GlobalAveragePool"), "GlobalMaxPool": global_pool("GlobalMaxPool"),
    "Pad": pads(), "Upsample": upsample(),
    **{f"Resize {name}": resizes(name, opsets) for name, opsets in COORDINATES.items()},
}  # fmt: skip


@pytest.mark.parametrize("op", WINDOWS)
def test_an_operator_over_windows_has_the_outputs_of_onnxruntime(op, tmp_path):
    @FEW
    @given(WINDOWS[op])
    def agree(case):
        agrees(case, tmp_path)
        keeps_rows_apart(case, tmp_path)

    agree()
