"""Data points over a picture: where they lie in its plane, and what colour they have."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from relu_shallow.network import Network
from relu_shallow.plot.classes import CLASS_HEADS
from relu_shallow.plot.colours import INK, Scale, area_colour, darker
from relu_shallow.plot.frame import AXES, Frame
from relu_shallow.plot.scene import Marks

FEW, MANY = 200, 5_000  # points, between which dots shrink
LARGE, SMALL = 6.0, 1.6  # diameters in points


@dataclass(frozen=True, eq=False)
class Points:
    """Rows of data in the network's order of inputs, and perhaps a known value of each, called `target`."""

    X: Float[np.ndarray, "points inputs"]
    target: str = ""
    known: Float[np.ndarray, " known"] = field(default_factory=lambda: np.zeros(0))


def no_points(network: Network) -> Points:
    """None at all."""
    return Points(np.zeros((0, network.inputs)))


def in_plane(X: Float[np.ndarray, "points inputs"], frame: Frame) -> Float[np.ndarray, "points 2"]:
    """Where rows lie in the picture's plane: their values of the inputs drawn; with one, on its axis's lower edge."""
    place = np.full((len(X), AXES), frame.view[2])
    place[:, : len(frame.axes)] = X[:, list(frame.axes)]
    return place


def marks_of(points: Points, network: Network, frame: Frame, scale: Scale | None) -> tuple[Marks, ...]:
    """The dots of the points in view, coloured by their known values where these are classes, or on a scale."""
    place = in_plane(points.X, frame)
    left, right, low, high = frame.view
    seen = (place >= (left, low)).all(axis=1) & (place <= (right, high)).all(axis=1)
    if not seen.any():
        return ()
    colours = [INK] * int(seen.sum())
    known = points.known[seen] if points.target else np.zeros(0)
    count = max(network.outputs, AXES)
    classes = network.outputs > 1 or network.head in CLASS_HEADS or scale is None
    if len(known) and classes and (known == np.round(known)).all() and known.min() >= 0 and known.max() < count:
        colours = [darker(area_colour(int(value))) for value in known]
    elif len(known) and scale is not None:
        colours = scale.colours(known)
    share = np.clip(np.log(max(len(colours), 1) / FEW) / np.log(MANY / FEW), 0, 1)
    label = "data, projected" if network.slice is not None else "data"
    label += f", coloured by {points.target}" if set(colours) - {INK} else ""
    return (Marks(place[seen], tuple(colours), float(LARGE + share * (SMALL - LARGE)), label),)
