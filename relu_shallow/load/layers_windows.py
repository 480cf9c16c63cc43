"""PyTorch's layers that slide windows over their input, pad, resize or shuffle it, by class name."""



from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load import aten_windows as windows
from relu_shallow.load.layer_state import option, parameter
from relu_shallow.load.operations import BATCH_NORM_EPS
from relu_shallow.load.walk import Vector, Walk, refuse_layer

Lowering = Callable[[Walk, str, Vector, Any], Vector]


def _convolution(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    held = vars(layer)
    return windows.convolution(
        walk, name, v, _weight(name, layer), parameter(layer, "bias"), held["stride"], held["padding"],
        held["dilation"], held["groups"], option(layer, "padding_mode", "zeros"))  # fmt: skip


def _transposed(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    held = vars(layer)
    if option(layer, "padding_mode", "zeros") != "zeros":
        raise refuse_layer(name, "a transposed convolution with padding other than zeros")
    return windows.transposed(
        walk, name, v, _weight(name, layer), parameter(layer, "bias"), held["stride"], held["padding"],
        held["output_padding"], held["groups"], held["dilation"])  # fmt: skip


def _weight(name: str, layer: Any) -> Any:
    weight = parameter(layer, "weight")
    if weight is None:
        raise ModelError(f"layer {name} is a {type(layer).__name__} without weights")
    return weight


def _average(n: int) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        held = vars(layer)
        return windows.average(n)(walk, name, v, held["kernel_size"], held["stride"], held["padding"],
                                  held["ceil_mode"], held["count_include_pad"],
                                  option(layer, "divisor_override", None))  # fmt: skip

    return lower


def _largest(n: int) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        held = vars(layer)
        _check_values_only(name, layer)
        return windows.largest(n)(walk, name, v, held["kernel_size"], held["stride"], held["padding"],
                                  held["dilation"], held["ceil_mode"])  # fmt: skip

    return lower


def _adaptive(n: int, *, top: bool) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        _check_values_only(name, layer)
        return windows.adaptive(n, top=top)(walk, name, v, vars(layer)["output_size"])

    return lower


def _check_values_only(name: str, layer: Any) -> None:
    if option(layer, "return_indices", False):
        raise refuse_layer(name, f"a {type(layer).__name__} that also returns the places of the largest values")


def _padding(mode: str) -> Lowering:
    def lower(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
        return windows.padded(walk, name, v, vars(layer)["padding"], mode, option(layer, "value", 0.0))

    return lower


def _upsample(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    held = vars(layer)
    return windows.upsampled(walk, name, v, held["size"], held["scale_factor"], held["mode"], held["align_corners"],
                             option(layer, "recompute_scale_factor", None))  # fmt: skip


def _instance_norm(walk: Walk, name: str, v: Vector, layer: Any) -> Vector:
    mean, variance = parameter(layer, "running_mean"), parameter(layer, "running_var")
    own = not option(layer, "track_running_stats", False)
    return windows.instance_norm(walk, name, v, parameter(layer, "weight"), parameter(layer, "bias"), mean, variance,
                                 own, 0.1, option(layer, "eps", BATCH_NORM_EPS))  # fmt: skip


WINDOWS: dict[str, Lowering] = {
    f"torch.nn.modules.{path}": lower
    for path, lower in {
        **{f"conv.Conv{n}d": _convolution for n in (1, 2, 3)},
        **{f"conv.ConvTranspose{n}d": _transposed for n in (1, 2, 3)},
        **{f"pooling.AvgPool{n}d": _average(n) for n in (1, 2, 3)},
        **{f"pooling.MaxPool{n}d": _largest(n) for n in (1, 2, 3)},
        **{f"pooling.AdaptiveAvgPool{n}d": _adaptive(n, top=False) for n in (1, 2, 3)},
        **{f"pooling.AdaptiveMaxPool{n}d": _adaptive(n, top=True) for n in (1, 2, 3)},
        **{f"padding.{kind}Pad{n}d": _padding(mode) for n in (1, 2, 3) for kind, mode in (
            ("Zero", "constant"), ("Constant", "constant"), ("Reflection", "reflect"), ("Replication", "replicate"),
            ("Circular", "circular"))},
        **{f"upsampling.{kind}": _upsample for kind in ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")},
        **{f"instancenorm.InstanceNorm{n}d": _instance_norm for n in (1, 2, 3)},
        "pixelshuffle.PixelShuffle":
            lambda walk, name, v, layer: windows.pixel_shuffle(walk, name, v, vars(layer)["upscale_factor"]),
        "pixelshuffle.PixelUnshuffle":
            lambda walk, name, v, layer: windows.pixel_unshuffle(walk, name, v, vars(layer)["downscale_factor"]),
        "channelshuffle.ChannelShuffle":
            lambda walk, name, v, layer: windows.channel_shuffle(walk, name, v, vars(layer)["groups"]),
    }.items()
}  # fmt: skip
