"""What a picture shows, before it is drawn as pixels, as SVG or as a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.plot.colours import Scale

Row = tuple[float, float, float]  # a x + b y + c


@dataclass(frozen=True, eq=False)
class Fill:
    """A convex polygon of one region: of one colour, or (`row`) coloured by an affine function through the scale."""

    region: int
    corners: Float[np.ndarray, "corners 2"]
    colour: str
    row: Row | None = None


@dataclass(frozen=True, eq=False)
class Stroke:
    """Line segments of one look; `cased` ones stand on a light edge, so that they are seen on any ground."""

    segments: Float[np.ndarray, "segments 2 2"]
    colour: str
    width: float
    label: str
    cased: bool = False


@dataclass(frozen=True, eq=False)
class Marks:
    """Round dots of one look."""

    points: Float[np.ndarray, "points 2"]
    colours: tuple[str, ...]
    size: float
    label: str


@dataclass(frozen=True)
class Key:
    """One line of the legend: a colour and what it stands for."""

    colour: str
    label: str


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture: axes, polygons, parts of polygons over them, lines and dots over those, and what they mean.

    `fills` has one polygon for every region drawn, and `maps` the outputs on each in the picture's plane; `parts` are
    pieces of them in other colours. `view` is (left, right, low, high); what no polygon covers within `outline` is not
    listed and hatched.
    """

    title: str
    notes: tuple[str, ...]
    x_label: str
    y_label: str
    view: tuple[float, float, float, float]
    outline: Float[np.ndarray, "corners 2"]
    partial: bool
    fills: tuple[Fill, ...]
    parts: tuple[Fill, ...]
    strokes: tuple[Stroke, ...]
    marks: tuple[Marks, ...]
    keys: tuple[Key, ...]
    scale: Scale | None
    maps: Float[np.ndarray, "regions outputs 3"]
