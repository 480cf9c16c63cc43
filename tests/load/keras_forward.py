"""Keras' layers applied to arrays, written from Keras' documentation alone: loops over positions, channels last.

Each function takes an array (rows, ...), the layer's options and its weights, all in float64.
"""

from itertools import product

import numpy as np


def activation(x, name):
    return {
        "linear": lambda: x,
        "relu": lambda: np.maximum(x, 0),
        "relu6": lambda: np.minimum(np.maximum(x, 0), 6),
        "leaky_relu": lambda: np.where(x > 0, x, 0.2 * x),
        "hard_sigmoid": lambda: np.clip(0.2 * x + 0.5, 0, 1),  # Keras 2
        "sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "tanh": lambda: np.tanh(x),
        "softmax": lambda: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    }[name]()


def each(value, axes):
    return [value] * axes if isinstance(value, int) else list(value)


def channels_last(layer):
    """A layer over channels-last arrays, as one that looks at the option data_format."""

    def apply(x, options, **weights):
        first = options.get("data_format") == "channels_first"
        y = layer(np.moveaxis(x, 1, -1) if first else x, options, **weights)
        return np.moveaxis(y, -1, 1) if first else y

    return apply


def padded(x, window, options, value=0.0):
    """x with what "same" and "causal" put around it."""
    axes = len(window)
    strides, dilations = (each(options.get(key, 1), axes) for key in ("strides", "dilation_rate"))
    around = [(0, 0)]
    for size, k, s, d in zip(x.shape[1:-1], window, strides, dilations, strict=True):
        reach = d * (k - 1) + 1
        if options.get("padding") == "same":
            total = max((int(np.ceil(size / s)) - 1) * s + reach - size, 0)
            around.append((total // 2, total - total // 2))
        else:
            around.append((reach - 1, 0) if options.get("padding") == "causal" else (0, 0))
    return np.pad(x, [*around, (0, 0)], constant_values=value), strides, dilations


def places(x, window, strides, dilations):
    """(position in the output, the values in the window there: rows, window..., channels)."""
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilations, strict=True)]
    counts = [(size - r) // s + 1 for size, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    for where in product(*map(range, counts)):
        spans = zip(where, strides, reach, dilations, strict=True)
        yield where, x[(slice(None), *(slice(p * s, p * s + r, d) for p, s, r, d in spans))]


def assembled(found):
    """The array of the values found at every position."""
    found = list(found)
    shape = [max(where[axis] for where, _ in found) + 1 for axis in range(len(found[0][0]))]
    out = np.zeros((len(found[0][1]), *shape, found[0][1].shape[-1]))
    for where, values in found:
        out[(slice(None), *where)] = values
    return out


@channels_last
def convolution(x, options, kernel, bias=0.0):
    window, axes = kernel.shape[:-2], kernel.ndim - 2
    x, strides, dilations = padded(x, window, options)
    groups = options.get("groups", 1)
    per, out = kernel.shape[-2], kernel.shape[-1] // groups
    y = assembled(
        (where, np.concatenate([
            np.tensordot(values[..., g * per : (g + 1) * per], kernel[..., g * out : (g + 1) * out],
                         (range(1, axes + 2), range(axes + 1)))
            for g in range(groups)], axis=-1))
        for where, values in places(x, window, strides, dilations))  # fmt: skip
    return activation(y + bias, options.get("activation", "linear"))


@channels_last
def depthwise(x, options, depthwise_kernel, bias=0.0):
    """Output channel c * multiplier + m is channel c by its m-th kernel."""
    *window, channels, times = depthwise_kernel.shape
    x, strides, dilations = padded(x, window, options)
    y = assembled(
        (where, np.stack([(values[..., c] * depthwise_kernel[..., c, m]).reshape(len(x), -1).sum(axis=1)
                          for c in range(channels) for m in range(times)], axis=-1))
        for where, values in places(x, window, strides, dilations))  # fmt: skip
    return activation(y + bias, options.get("activation", "linear"))


def separable(x, options, depthwise_kernel, pointwise_kernel, bias=0.0):
    plain = {key: value for key, value in options.items() if key != "activation"}
    point = {"padding": "valid", "activation": options.get("activation", "linear"),
             "data_format": options.get("data_format")}  # fmt: skip
    x = depthwise(x, plain, depthwise_kernel=depthwise_kernel)
    return convolution(x, point, kernel=pointwise_kernel, bias=bias)


@channels_last
def transposed(x, options, kernel, bias=0.0):
    """Each input value adds its multiple of the kernel to the output; "same" keeps strides x size of it."""
    window, axes = kernel.shape[:-2], kernel.ndim - 2
    strides = each(options.get("strides", 1), axes)
    same = options["padding"] == "same"
    size = [n * s if same else n * s + max(k - s, 0) for n, s, k in zip(x.shape[1:-1], strides, window, strict=True)]
    room = np.zeros((len(x), *(n * s + k for n, s, k in zip(x.shape[1:-1], strides, window, strict=True)),
                     kernel.shape[-2]))  # fmt: skip
    for where in product(*map(range, x.shape[1:-1])):
        reached = (slice(p * s, p * s + k) for p, s, k in zip(where, strides, window, strict=True))
        room[(slice(None), *reached)] += np.tensordot(x[(slice(None), *where)], kernel, (1, axes + 1))
    cut = [max(k - s, 0) // 2 if same else 0 for k, s in zip(window, strides, strict=True)]
    y = room[(slice(None), *(slice(c, c + n) for c, n in zip(cut, size, strict=True)))]
    return activation(y + bias, options.get("activation", "linear"))


def pool(reduce, value):
    @channels_last
    def apply(x, options):
        axes = x.ndim - 2
        window = each(options.get("pool_size", 2), axes)
        strides = window if options.get("strides") is None else each(options["strides"], axes)
        x, strides, ones = padded(x, window, {"padding": options.get("padding"), "strides": strides}, value)
        inner = tuple(range(1, axes + 1))
        return assembled((where, reduce(values, axis=inner)) for where, values in places(x, window, strides, ones))

    return apply


def globally(reduce):
    @channels_last
    def kept(x, options):
        return reduce(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True)

    def apply(x, options):
        y = kept(x, options)
        return y if options.get("keepdims") else y.reshape(len(y), -1)

    return apply


def pairs(value, axes):
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1:
        return [tuple(value)]
    return [(v, v) if isinstance(v, int) else tuple(v) for v in value]


@channels_last
def zeros(x, options):
    return np.pad(x, [(0, 0), *pairs(options["padding"], x.ndim - 2), (0, 0)])


@channels_last
def cropped(x, options):
    cuts = pairs(options["cropping"], x.ndim - 2)
    return x[(slice(None), *(slice(a, n - b) for n, (a, b) in zip(x.shape[1:-1], cuts, strict=True)))]


@channels_last
def upsampled(x, options):
    for axis, times in enumerate(each(options["size"], x.ndim - 2), start=1):
        x = np.stack([x.take(i // times, axis=axis) for i in range(x.shape[axis] * times)], axis=axis)
    return x


def along(x, axis, values):
    """Values along some axes, shaped to go with x."""
    axes = [axis] if isinstance(axis, int) else axis
    axes = [a % x.ndim for a in axes]
    return values.reshape([x.shape[a] if a in axes else 1 for a in range(x.ndim)])


def batch_norm(x, options, moving_mean, moving_variance, gamma=None, beta=None):
    gamma = np.ones_like(moving_mean) if gamma is None else gamma
    beta = np.zeros_like(moving_mean) if beta is None else beta
    parts = (moving_mean, moving_variance, gamma, beta)
    mean, variance, gamma, beta = (along(x, options.get("axis", -1), part) for part in parts)
    return gamma * (x - mean) / np.sqrt(variance + options.get("epsilon", 0.001)) + beta


def normalization(x, options, mean, variance, count=0):
    mean, variance = (along(x, options.get("axis", -1), v) for v in (mean, variance))
    if options.get("invert"):
        return mean + x * np.maximum(np.sqrt(variance), 1e-7)
    return (x - mean) / np.maximum(np.sqrt(variance), 1e-7)


def rectified(x, options):
    """max_value from there on, x between the threshold and it, negative_slope * (x - threshold) below."""
    most = np.inf if options.get("max_value") is None else options["max_value"]
    low = options.get("negative_slope", 0.0) * (x - options.get("threshold", 0.0))
    return np.where(x >= most, most, np.where(x >= options.get("threshold", 0.0), x, low))


def leaky(x, options):
    return np.where(x > 0, x, options.get("alpha", 0.3) * x)


def dense(x, options, kernel, bias=0.0):
    return activation(x @ kernel + bias, options.get("activation", "linear"))


def flattened(x, options):
    if options.get("data_format") == "channels_first" and x.ndim > 2:
        x = np.moveaxis(x, 1, -1)
    return x.reshape(len(x), -1)


FORWARD = {
    "Dense": dense,
    "Activation": lambda x, options: activation(x, options["activation"]),
    "ReLU": rectified,
    "LeakyReLU": leaky,
    "PReLU": lambda x, options, alpha: np.where(x > 0, x, alpha * x),
    "BatchNormalization": batch_norm,
    "Normalization": normalization,
    "Rescaling": lambda x, options: x * options["scale"] + options["offset"],
    "Flatten": flattened,
    "Reshape": lambda x, options: x.reshape(len(x), *options["target_shape"]),
    "Permute": lambda x, options: x.transpose(0, *options["dims"]),
    "RepeatVector": lambda x, options: np.stack([x] * options["n"], axis=1),
    "Dropout": lambda x, options: x,
    **{f"Conv{n}D": convolution for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": transposed for n in (1, 2)},
    **{f"DepthwiseConv{n}D": depthwise for n in (1, 2)},
    **{f"SeparableConv{n}D": separable for n in (1, 2)},
    **{f"MaxPooling{n}D": pool(np.max, -np.inf) for n in (1, 2)},
    **{f"AveragePooling{n}D": pool(np.nanmean, np.nan) for n in (1, 2)},
    **{f"GlobalMaxPooling{n}D": globally(np.max) for n in (1, 2)},
    **{f"GlobalAveragePooling{n}D": globally(np.mean) for n in (1, 2)},
    **{f"ZeroPadding{n}D": zeros for n in (1, 2)},
    **{f"Cropping{n}D": cropped for n in (1, 2)},
    **{f"UpSampling{n}D": upsampled for n in (1, 2)},
}
MERGED = {
    "Add": lambda parts, options: sum(parts),
    "Subtract": lambda parts, options: parts[0] - parts[1],
    "Average": lambda parts, options: sum(parts) / len(parts),
    "Maximum": lambda parts, options: np.maximum.reduce(parts),
    "Minimum": lambda parts, options: np.minimum.reduce(parts),
    "Concatenate": lambda parts, options: np.concatenate(parts, axis=options["axis"]),
}
