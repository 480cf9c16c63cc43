"""What the colours of a picture say: the predicted class, an output, a slope of the local model, or the region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from relu_shallow.errors import OutputError
from relu_shallow.network import Network
from relu_shallow.plot.classes import CLASS_HEADS, class_names, class_rows, divide
from relu_shallow.plot.colours import Scale, area_colour, diverging, region_colour, sequential
from relu_shallow.plot.frame import Frame, on_axes
from relu_shallow.plot.scene import Fill, Key
from relu_shallow.plot.subdivision import Piece
from relu_shallow.polygons import polygon_area
from relu_shallow.shallow.table import ShallowNetwork, Table

FORMS = ("class", "output:K", "alpha:FEATURE", "region")
NAMED = 12  # names that a message lists


@dataclass(frozen=True)
class Choice:
    """What is coloured: `kind` is a key of PAINTERS, with the output and the feature it is about."""

    kind: str
    output: int = 0
    feature: int = 0


@dataclass(frozen=True, eq=False)
class Painting:
    """One polygon per piece, parts of pieces in other colours, and what the colours mean."""

    fills: tuple[Fill, ...]
    parts: tuple[Fill, ...] = ()
    keys: tuple[Key, ...] = ()
    scale: Scale | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """What is painted: pieces of regions, and the outputs on each as functions in the picture's plane."""

    network: Network
    table: Table
    pieces: tuple[Piece, ...]
    rows: Float[np.ndarray, "pieces outputs 3"]


def subject_of(shallow: ShallowNetwork, frame: Frame, pieces: Sequence[Piece]) -> Subject:
    """Pieces in a frame's plane with their maps, and the names of the whole network."""
    table = shallow.table
    regions = [piece.region for piece in pieces]
    alpha, beta = table.alpha[regions], table.beta[regions]
    rows = on_axes(frame.axes, frame.fixed, alpha.reshape(-1, alpha.shape[2]), beta.ravel())
    return Subject(shallow.network, table, tuple(pieces), rows.reshape(*beta.shape, 3))


def choose(words: str | None, output: int | None, network: Network, flat: bool) -> Choice:
    """What the words of --color and --output ask for; raises OutputError where the network has no such thing."""
    if words is None:
        classes = network.outputs > 1 or (flat and network.head in CLASS_HEADS)
        words = "class" if classes else "region" if flat else "output"
    kind, colon, rest = words.partition(":")
    if kind not in PAINTERS or (colon and kind in ("class", "region")) or (kind == "alpha" and not rest):
        raise OutputError(f"the colour {words!r} is not understood; write one of {', '.join(FORMS)}")
    number = 0 if output is None else output
    if not 0 <= number < network.outputs:
        raise OutputError(f"there is no output {number}: the network has {network.outputs}, counted from 0")
    if kind == "output" and rest:
        number = _named(rest, network.output_names, "output")
    return Choice(kind, number, _named(rest, network.feature_names, "feature") if kind == "alpha" else 0)


def has_classes(network: Network, choice: Choice) -> bool:
    """Whether a decision boundary belongs into the picture unless it is asked for."""
    return choice.kind == "class" or network.head in CLASS_HEADS


def paint(subject: Subject, choice: Choice) -> Painting:
    """The pieces in the colours that were chosen."""
    return PAINTERS[choice.kind](subject, choice)


def _by_class(subject: Subject, choice: Choice) -> Painting:  # noqa: ARG001
    """Each piece in the colour of the class that has most of it; parts of other classes over it."""
    fills, parts = [], []
    names = class_names(subject.network)
    area = np.zeros(len(names))
    for piece, rows in zip(subject.pieces, subject.rows, strict=True):
        divided, _ = divide(piece.corners, class_rows(rows))
        sizes = [float(polygon_area(part)) for _, part in divided]
        for (k, _), size in zip(divided, sizes, strict=True):
            area[k] += size
        main = int(np.argmax(sizes))
        fills.append(Fill(piece.region, piece.corners, area_colour(divided[main][0])))
        parts += [Fill(piece.region, np.array(part), area_colour(k))
                  for place, (k, part) in enumerate(divided) if place != main]  # fmt: skip
    keys = [Key(area_colour(k), f"{names[k]} ({area[k] / area.sum():.1%})") for k in np.flatnonzero(area).tolist()]
    return Painting(tuple(fills), tuple(parts), tuple(keys))


def _by_output(subject: Subject, choice: Choice) -> Painting:
    """Each piece with the affine function itself, through a scale."""
    rows = subject.rows[:, choice.output]
    values = np.concatenate([piece.corners @ row[:2] + row[2]
                             for piece, row in zip(subject.pieces, rows, strict=True)])  # fmt: skip
    scale = sequential(values, subject.network.output_names[choice.output])
    fills = (Fill(piece.region, piece.corners, "", (a, b, c))
             for piece, (a, b, c) in zip(subject.pieces, rows.tolist(), strict=True))  # fmt: skip
    return Painting(tuple(fills), scale=scale)


def _by_slope(subject: Subject, choice: Choice) -> Painting:
    """Each piece in one colour: how much the output rises there with the feature."""
    network = subject.network
    slopes = np.array([subject.table.alpha[piece.region, choice.output, choice.feature] for piece in subject.pieces])
    label = f"slope of {network.output_names[choice.output]} in {network.feature_names[choice.feature]}"
    scale = diverging(slopes, label)
    colours = scale.colours(slopes)
    fills = (Fill(piece.region, piece.corners, c) for piece, c in zip(subject.pieces, colours, strict=True))
    return Painting(tuple(fills), scale=scale)


def _by_region(subject: Subject, choice: Choice) -> Painting:  # noqa: ARG001
    """Each piece in a colour of its own, other than its neighbours'."""
    active = subject.table.patterns.sum(axis=1)
    return Painting(tuple(
        Fill(piece.region, piece.corners, region_colour(int(active[piece.region]), piece.region))
        for piece in subject.pieces
    ))  # fmt: skip


PAINTERS: dict[str, Callable[[Subject, Choice], Painting]] = {
    "class": _by_class,
    "output": _by_output,
    "alpha": _by_slope,
    "region": _by_region,
}


def _named(words: str, names: Sequence[str], what: str) -> int:
    """The place of a name among names, or a number as it is."""
    if words in names:
        return list(names).index(words)
    if words.isdecimal() and len(words) < len(str(1 << 62)) and int(words) < len(names):
        return int(words)
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    raise OutputError(f"there is no {what} {words!r}; the {what}s are {shown} (or their numbers, from 0)")
