"""Colours that people with any colour vision tell apart, and scales from numbers to colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Paul Tol's light scheme (personal.sron.nl/~pault, 2021), made for areas under lines and text, and one for ten classes
AREAS = ("#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#44BB99", "#99DDFF", "#BBCC33", "#AAAA00", "#DDDDDD", "#AA88CC")
DARKER = 0.62  # of an area's colour: a dot on it, or a curve of the same output
INK, SOFT, PAPER, EMPTY = "#1b1f24", "#57606a", "#ffffff", "#e8eaed"
STOPS = 17  # of a scale; between two of them colours are mixed linearly
PALE = 0.3  # of white in a sequential scale, on which dark lines must be seen
TAIL = 0.02  # of the numbers may lie beyond a scale's ends, where they would stretch it a lot
STRETCH = 3.0


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` as colours, mixed linearly in sRGB between equally spaced stops."""

    low: float
    high: float
    stops: tuple[str, ...]
    label: str

    @property
    def levels(self) -> Float[np.ndarray, " stops"]:
        """The number at each stop."""
        return np.linspace(self.low, self.high, len(self.stops))

    def colours(self, values: Float[np.ndarray, " values"]) -> list[str]:
        """The colours of numbers; beyond the ends, those of the ends."""
        stops = np.array([_channels(stop) for stop in self.stops])
        return [_hexadecimal(rgb) for rgb in np.stack([np.interp(values, self.levels, c) for c in stops.T], axis=1)]


def sequential(values: Float[np.ndarray, " values"], label: str) -> Scale:
    """A scale from the least to the greatest value, ever lighter."""
    low, high = float(values.min()), float(values.max())
    room = 0.0 if high > low else max(abs(low), 1.0) / 2
    return Scale(low - room, high + room, _stops("viridis", PALE), label)


def diverging(values: Float[np.ndarray, " values"], label: str) -> Scale:
    """A scale with 0 in its pale middle."""
    sizes = np.abs(values)
    reach, most = float(np.quantile(sizes, 1 - TAIL)), float(sizes.max())
    reach = most if most <= STRETCH * reach else reach
    return Scale(-(reach or 1.0), reach or 1.0, _stops("RdBu_r", 0.0), label)


def area_colour(number: int) -> str:
    """The colour of the class of a number; after the tenth they come again, darker."""
    turn, place = divmod(number, len(AREAS))
    return darker(AREAS[place], 0.8**turn)


def curve_colour(number: int) -> str:
    """The colour of an output's curve: that of its class, darker."""
    return darker(area_colour(number))


def region_colour(active: int, number: int) -> str:
    """A region's own colour: neighbours differ in one neuron, so light or dark is the parity of the active ones."""
    hue = AREAS[(number * 3) % len(AREAS)]
    return mixed(hue, PAPER, 0.55) if active % 2 else hue


def darker(colour: str, factor: float = DARKER) -> str:
    """The colour with less light."""
    return _hexadecimal(_channels(colour) * factor)


def mixed(one: str, other: str, share: float) -> str:
    """The colour with a share of another one in it."""
    return _hexadecimal(_channels(one) * (1 - share) + _channels(other) * share)


def _stops(name: str, pale: float) -> tuple[str, ...]:
    from matplotlib import colormaps

    colours = (_hexadecimal(255 * np.array(colormaps[name](place)[:3])) for place in np.linspace(0, 1, STOPS))
    return tuple(mixed(colour, PAPER, pale) for colour in colours)


def _channels(colour: str) -> Float[np.ndarray, " 3"]:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def _hexadecimal(channels: np.ndarray) -> str:
    return "#" + "".join(f"{round(float(value)):02x}" for value in channels)
