"""From a shallow network of one or two inputs to the scene that shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import describe
from relu_shallow.errors import OutputError
from relu_shallow.plot.classes import class_rows, divide
from relu_shallow.plot.colours import INK, PAPER, Scale, curve_colour, mixed
from relu_shallow.plot.frame import AXES, Frame
from relu_shallow.plot.paint import Choice, Painting, Subject, choose, has_classes, paint, subject_of
from relu_shallow.plot.points import Points, marks_of, no_points
from relu_shallow.plot.scene import Fill, Marks, Scene, Stroke
from relu_shallow.plot.subdivision import Piece, Subdivision, subdivide
from relu_shallow.plot.view import View, frame_of
from relu_shallow.polygons import LEAST, clip
from relu_shallow.shallow.table import ShallowNetwork

WIDEST, THINNEST = 1.0, 0.12  # lines between regions, in points
CROWD = 120.0  # regions, from which on lines get thinner
BOLD = 2.0  # the decision boundary, and an output's curve
FAINT = 0.6  # lines between regions behind curves
DEEPER = 0.68  # the width of a layer's lines, of that of the layer below it
PALE, PALEST = 0.15, 0.5  # how far the first and the last layer's lines are from ink to paper
BAND = 0.06  # of the height of a picture of one input is the band of colours
NUMBER = 4  # digits of the values of fixed inputs
LISTED = 6  # of them


def compose(
    shallow: ShallowNetwork, color: str | None = None, *, output: int | None = None, view: View | None = None,
    points: Points | None = None, decision: bool | None = None,
) -> Scene:
    """The scene of a network of one or two free inputs; raises DomainError, or OutputError for what it does not have.

    `decision` says whether the decision boundary is drawn; by default where the colours are classes or the network
    ends in a function that makes classes.
    """  # fmt: skip
    dots = no_points(shallow.network) if points is None else points
    frame = frame_of(shallow, view, dots.X)
    choice = choose(color, output, shallow.network, frame.flat)
    found = subdivide(shallow.table, frame, complete=shallow.completeness.complete)
    if not found.pieces:
        raise OutputError("no listed region meets the view; choose another, or leave it out")
    bounded = has_classes(shallow.network, choice) if decision is None else decision
    strokes = borders_of(shallow, found, frame.flat)
    if frame.flat:
        painting = paint(subject_of(shallow, frame, _in_band(found.pieces, frame)), choice)
        curves, kinks = _curves(shallow, frame, found.pieces)
        fills, parts = _columns(found.pieces), (*painting.fills, *painting.parts)
        strokes, dotted = (*strokes, *reversed(curves)), kinks  # the first output's on top, and first in the legend
    else:
        painting = paint(subject_of(shallow, frame, found.pieces), choice)
        fills, parts, dotted = painting.fills, painting.parts, ()
    if bounded:
        strokes = (*strokes, *_ties(subject_of(shallow, frame, found.pieces), frame.flat))
    marks = (*dotted, *marks_of(dots, shallow.network, frame, _known_as(choice, painting)))
    return _scene(shallow, frame, found, painting, fills, parts, strokes, marks, choice)


def borders_of(shallow: ShallowNetwork, found: Subdivision, flat: bool) -> tuple[Stroke, ...]:
    """The lines between regions, those of deeper layers thinner and paler."""
    layers = len(shallow.network.widths)
    widest = FAINT if flat else WIDEST
    width = float(np.clip(WIDEST * np.sqrt(CROWD / max(len(found.pieces), 1)), THINNEST, widest))
    strokes = []
    for layer in sorted(set(found.layer.tolist()), reverse=True):  # the first layer's on top
        own = found.borders[found.layer == layer]
        pale = PALE + (PALEST - PALE) * layer / max(layers - 1, 1)
        label = f"border of layer {layer + 1}" if layers > 1 else "border of regions"
        strokes.append(Stroke(own, mixed(INK, PAPER, pale), max(width * DEEPER**layer, THINNEST), label))
    return tuple(strokes)


def _ties(subject: Subject, flat: bool) -> tuple[Stroke, ...]:
    """The decision boundary: where two classes tie and no other exceeds them."""
    ties = [tie.ends for piece, rows in zip(subject.pieces, subject.rows, strict=True)
            for tie in divide(piece.corners, class_rows(rows))[1]]  # fmt: skip
    width = BOLD * DEEPER if flat else BOLD  # upright lines through curves must not hide them
    return (Stroke(np.array(ties), INK, width, "decision boundary", cased=not flat),) if ties else ()


def _known_as(choice: Choice, painting: Painting) -> Scale | None:
    """The scale on which known values of data lie: of the output that is shown."""
    return painting.scale if choice.kind == "output" else None


# --- one input --------------------------------------------------------------------------------------------------


def _in_band(pieces: Sequence[Piece], frame: Frame) -> tuple[Piece, ...]:
    """The lower end of each strip, where the colours are."""
    low, high = frame.view[2:]
    top = low + BAND * (high - low)
    cut = (Piece(piece.region, np.array(clip([(x, y) for x, y in piece.corners.tolist()], (0.0, -1.0, top))))
           for piece in pieces)  # fmt: skip
    return tuple(piece for piece in cut if len(piece.corners) >= LEAST)


def _columns(pieces: Sequence[Piece]) -> tuple[Fill, ...]:
    """The strips themselves, blank."""
    return tuple(Fill(piece.region, piece.corners, PAPER) for piece in pieces)


def _curves(
    shallow: ShallowNetwork, frame: Frame, pieces: Sequence[Piece]
) -> tuple[tuple[Stroke, ...], tuple[Marks, ...]]:
    """Each output's graph, piece by piece, and its kinks: where its slope changes by more than rounding."""
    strips = sorted(pieces, key=lambda piece: float(piece.corners[:, 0].min()))
    ends = np.array([_ends(strip.corners) for strip in strips])
    rows = subject_of(shallow, frame, strips).rows
    regions = np.array([strip.region for strip in strips])
    rounding = maps_of(shallow.network, shallow.table.patterns[regions]).output_error
    errors = rounding[:, :, list(frame.axes)].sum(axis=2).T
    strokes, kinks, colours = [], [], []
    for k, name in enumerate(shallow.network.output_names):
        values = rows[:, k, :1] * ends + rows[:, k, -1:]
        strokes.append(Stroke(np.stack([ends, values], axis=2), curve_colour(k), BOLD, name))
        bends = np.abs(np.diff(rows[:, k, 0])) > errors[:-1, k] + errors[1:, k]
        at = np.flatnonzero(bends & (ends[:-1, 1] == ends[1:, 0]))
        kinks.append(np.stack([ends[at, 1], values[at, 1]], axis=1))
        colours += [curve_colour(k)] * len(at)
    points = np.concatenate(kinks)
    return tuple(strokes), (Marks(points, tuple(colours), 5.0, "kink"),) if len(points) else ()


def _ends(corners: Float[np.ndarray, "corners 2"]) -> tuple[float, float]:
    """Where a strip's lower edge begins and ends; its upper edge was cut on its own, and rounded otherwise."""
    lower = corners[corners[:, 1] == corners[:, 1].min(), 0]
    return float(lower.min()), float(lower.max())


# --- words ------------------------------------------------------------------------------------------------------


def _scene(
    shallow: ShallowNetwork, frame: Frame, found: Subdivision, painting: Painting, fills: tuple[Fill, ...],
    parts: tuple[Fill, ...], strokes: tuple[Stroke, ...], marks: tuple[Marks, ...], choice: Choice,
) -> Scene:  # fmt: skip
    network = shallow.network
    names = [network.feature_names[axis] for axis in frame.axes]
    upright = names[1] if len(names) == AXES else network.output_names[0] if network.outputs == 1 else "outputs"
    known = shallow.completeness
    listed = "all" if known.complete else "a partial list"
    where = describe(shallow.domain).partition(", flat")[0]  # the fixed inputs have a line of their own
    source = network.source.name if network.source.sha256 else "A network"
    return Scene(
        title=f"{source}: {shallow.regions:,} linear {'region' if shallow.regions == 1 else 'regions'}",
        notes=(f"{where}; {listed}, {known.level}", *_notes(shallow, frame, found, choice)),
        x_label=names[0],
        y_label=upright,
        view=frame.view,
        outline=np.array(frame.outline, dtype=np.float64),
        partial=not known.complete,
        fills=fills,
        parts=parts,
        strokes=strokes,
        marks=marks,
        keys=painting.keys if choice.kind == "class" else (),
        scale=painting.scale,
        maps=subject_of(shallow, frame, found.pieces).rows,
    )


def _notes(shallow: ShallowNetwork, frame: Frame, found: Subdivision, choice: Choice) -> list[str]:
    """What a reader must know beside the colours."""
    notes = [] if shallow.network.slice is None else [f"on {shallow.network.slice.label}"]
    fixed = [i for i in range(shallow.network.inputs) if i not in frame.axes]
    if fixed:
        names = shallow.network.feature_names
        values = [f"{names[i]} = {frame.fixed[i]:.{NUMBER}g}" for i in fixed[:LISTED]]
        notes.append("fixed: " + ", ".join(values) + (" …" if len(fixed) > LISTED else ""))
    if len(found.pieces) < shallow.regions:
        notes.append(f"{len(found.pieces):,} of the {shallow.regions:,} regions lie in this view")
    if choice.kind == "class":
        notes.append(f"percentages are shares of the {'length' if frame.flat else 'area'} shown")
    elif frame.flat:
        notes.append(f"the band below shows the {'regions' if choice.kind == 'region' else 'colour scale'}")
    if not shallow.completeness.complete:
        notes.append("hatched: not listed, since the list is partial")
    return notes
