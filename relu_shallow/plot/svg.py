"""A scene as SVG: one path per region, gradients where colours are affine, text as text."""

from __future__ import annotations

from collections import defaultdict
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from jaxtyping import Float

from relu_shallow.plot.colours import EMPTY, INK, PAPER, SOFT, Scale
from relu_shallow.plot.lettering import short
from relu_shallow.plot.scene import Fill, Marks, Scene, Stroke
from relu_shallow.plot.ticks import ticks

WIDTH, HEIGHT = 900.0, 660.0
LEFT, TOP, ACROSS, DOWN = 74.0, 84.0, 580.0, 510.0  # the plane within the picture
ASIDE = LEFT + ACROSS + 24  # where the legend begins
LINE = 21.0  # between lines of the legend
PIXELS = 4 / 3  # of a point
FINE = 512.0  # a polygon on which the colour changes by less than this part of the scale has one colour
FAR = 1e6  # pixels: ends of a gradient farther away than this are no better than one colour
KEYS = 14  # classes in the legend
TITLE, NOTE, NAME = 74, 110, 25  # characters
CASING, RIM = 1.2, 0.25  # of a cased line, in points; of a dot, as a part of its size
CRISP = 'shape-rendering="crispEdges"'  # smoothed edges would let the ground shine through between neighbours
CHIP = "#c9d3df"  # behind the lines of the legend, which must be seen on a dark page too


def render_svg(scene: Scene) -> str:
    """The picture as a file of its own, on white."""
    ground = f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="{PAPER}"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg(scene, ground)}\n'


def svg(scene: Scene, ground: str = "") -> str:
    """The svg element; `ground` is drawn first. Text has the colour of the surroundings."""
    title, notes = short(scene.title, TITLE), [short(note, NOTE) for note in scene.notes]
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" class="picture" '
        f'aria-labelledby="picture-title picture-notes" color="{INK}" '
        'font-family="system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, Arial, sans-serif" font-size="13">',
        f'<title id="picture-title">{escape(title)}</title>',
        f'<desc id="picture-notes">{escape("; ".join(notes))}</desc>',
        ground,
        _definitions(scene),
        _text(8.0, TOP - 18 - 15 * len(notes), title, size=18.0),
        *(_text(LEFT, TOP - 10 - 15 * (len(notes) - 1 - i), note, size=11.5, soft=True)
          for i, note in enumerate(notes)),
        f'<svg class="plane" x="{LEFT:g}" y="{TOP:g}" width="{ACROSS:g}" height="{DOWN:g}" '
        f'viewBox="0 0 {ACROSS:g} {DOWN:g}" preserveAspectRatio="none">',
        f'<rect width="{ACROSS:g}" height="{DOWN:g}" fill="{PAPER}"/>',
        _hatched(scene),
        _fills(scene),
        _parts(scene),
        *(_stroke(stroke, scene) for stroke in scene.strokes),
        *(_dots(marks, scene) for marks in scene.marks),
        "</svg>",
        _axes(scene),
        _legend(scene),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(part for part in body if part)


def _pixels(points: Float[np.ndarray, "points 2"], scene: Scene) -> Float[np.ndarray, "points 2"]:
    """Points of the picture's plane in pixels from the plane's upper left corner."""
    left, right, low, high = scene.view
    return np.stack(
        [(points[:, 0] - left) / (right - left) * ACROSS, (high - points[:, 1]) / (high - low) * DOWN], axis=1
    )


# --- the plane --------------------------------------------------------------------------------------------------


def _definitions(scene: Scene) -> str:
    parts = ["<defs>"]
    if scene.partial:
        parts.append(
            f'<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<rect width="7" height="7" fill="{EMPTY}"/><path d="M0 0V7" stroke="#9aa0a6"/></pattern>'
        )
    if scene.scale is not None:
        stops = "".join(f'<stop offset="{i / (len(scene.scale.stops) - 1):g}" stop-color="{colour}"/>'
                        for i, colour in enumerate(scene.scale.stops))  # fmt: skip
        parts.append(f'<linearGradient id="scale">{stops}</linearGradient>')
        parts.append('<linearGradient id="bar" href="#scale" x1="0" y1="1" x2="0" y2="0"/>')
        graded = (_gradient(fill, scene, scene.scale) for fill in (*scene.fills, *scene.parts))
        parts += [gradient for gradient in graded if gradient]
    return "".join([*parts, "</defs>"])


def _gradient(fill: Fill, scene: Scene, scale: Scale) -> str:
    """The gradient of a polygon's affine colour; "" where it is as good as one colour."""
    line = _gradient_line(fill, scene, scale)
    if line is None:
        return ""
    (x1, y1), (x2, y2) = line
    return (f'<linearGradient id="g{fill.region}" href="#scale" gradientUnits="userSpaceOnUse" '
            f'x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>')  # fmt: skip


def _gradient_line(fill: Fill, scene: Scene, scale: Scale) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the affine colour is at the two ends of the scale, in pixels; None where it hardly changes."""
    if fill.row is None:
        return None
    values = fill.corners @ np.array(fill.row[:2]) + fill.row[2]
    if np.ptp(values) * FINE < scale.high - scale.low:
        return None
    left, right, low, high = scene.view
    slope = np.array([fill.row[0] * (right - left) / ACROSS, -fill.row[1] * (high - low) / DOWN])
    way = slope / (slope @ slope)
    middle = _pixels(fill.corners.mean(axis=0)[None], scene)[0]
    value = float(values.mean())
    ends = middle + (scale.low - value) * way, middle + (scale.high - value) * way
    return ends if max(float(np.abs(end).max()) for end in ends) < FAR else None


def _hatched(scene: Scene) -> str:
    return f'<path d="{_path(scene.outline, scene)}" fill="url(#hatch)"/>' if scene.partial else ""


def _fills(scene: Scene) -> str:
    """A path per region, which knows the region's number."""
    lines = (f'<path data-r="{fill.region}" d="{_path(fill.corners, scene)}" fill="{_paint(fill, scene)}"/>'
             for fill in scene.fills)  # fmt: skip
    return "\n".join([f'<g class="regions" {CRISP}>', *lines, "</g>"])


def _parts(scene: Scene) -> str:
    """Parts of regions in other colours; what points at them points at the region below."""
    lines = [f'<path d="{_path(fill.corners, scene)}" fill="{_paint(fill, scene)}"/>' for fill in scene.parts]
    return "\n".join([f'<g pointer-events="none" {CRISP}>', *lines, "</g>"]) if lines else ""


def _paint(fill: Fill, scene: Scene) -> str:
    if fill.row is None or scene.scale is None:
        return fill.colour
    if _gradient_line(fill, scene, scene.scale) is not None:
        return f"url(#g{fill.region})"
    middle = fill.corners.mean(axis=0) @ np.array(fill.row[:2]) + fill.row[2]
    return scene.scale.colours(np.array([middle]))[0]


def _path(corners: Float[np.ndarray, "corners 2"], scene: Scene) -> str:
    """A closed path, to a thousandth of a pixel."""
    return "M" + "L".join(f"{x:.3f} {y:.3f}" for x, y in _pixels(corners, scene).tolist()) + "Z"


def _stroke(stroke: Stroke, scene: Scene) -> str:
    """All segments of one look as one path."""
    ends = _pixels(stroke.segments.reshape(-1, 2), scene).reshape(-1, 4).tolist()
    path = "".join(f"M{a:.2f} {b:.2f}L{c:.2f} {d:.2f}" for a, b, c, d in ends)
    width = stroke.width * PIXELS
    looks = [(PAPER, width + CASING * PIXELS)] if stroke.cased else []
    drawn = "".join(f'<path d="{path}" stroke="{colour}" {_wide(size)}/>'
                    for colour, size in [*looks, (stroke.colour, width)])  # fmt: skip
    name = quoteattr(short(stroke.label))
    return f'<g aria-label={name} pointer-events="none" fill="none" stroke-linecap="round">{drawn}</g>'


def _dots(marks: Marks, scene: Scene) -> str:
    """Dots as lines of no length with round ends, whose size is a width; a path per colour."""
    by_colour: dict[str, list[str]] = defaultdict(list)
    for (x, y), colour in zip(_pixels(marks.points, scene).tolist(), marks.colours, strict=True):
        by_colour[colour].append(f"M{x:.2f} {y:.2f}h0")
    size = marks.size * PIXELS
    everything = "".join(dot for dots in by_colour.values() for dot in dots)
    looks = [(PAPER, size * (1 + RIM), everything), *((colour, size, "".join(d)) for colour, d in by_colour.items())]
    drawn = "".join(f'<path d="{d}" stroke="{colour}" {_wide(width)}/>'
                    for colour, width, d in looks)  # fmt: skip
    return f'<g aria-label={quoteattr(short(marks.label))} pointer-events="none" stroke-linecap="round">{drawn}</g>'


def _wide(width: float) -> str:
    """The width of a line, which a page keeps as it is in a closer view."""
    return f'stroke-width="{width:.2f}" data-w="{width:.2f}"'


# --- around it --------------------------------------------------------------------------------------------------


def _axes(scene: Scene) -> str:
    left, right, low, high = scene.view
    bottom, middle = TOP + DOWN, TOP + DOWN / 2
    parts = [f'<rect x="{LEFT:g}" y="{TOP:g}" width="{ACROSS:g}" height="{DOWN:g}" fill="none" stroke="currentColor" '
             'pointer-events="none"/>', '<g class="ticks">']  # fmt: skip
    for value, written in ticks(left, right):
        x = LEFT + (value - left) / (right - left) * ACROSS
        parts.append(f'<path d="M{x:.1f} {bottom:g}v5" stroke="currentColor"/>')
        parts.append(_text(x, bottom + 19, written, anchor="middle"))
    for value, written in ticks(low, high):
        y = TOP + (high - value) / (high - low) * DOWN
        parts.append(f'<path d="M{LEFT:g} {y:.1f}h-5" stroke="currentColor"/>')
        parts.append(_text(LEFT - 9, y + 4.5, written, anchor="end"))
    parts += [
        "</g>",
        _text(LEFT + ACROSS / 2, bottom + 42, short(scene.x_label, NOTE), anchor="middle"),
        f'<text transform="translate(16 {middle:g}) rotate(-90)" text-anchor="middle" fill="currentColor">'
        f"{escape(short(scene.y_label, NAME * 2))}</text>",
    ]
    return "\n".join(parts)


def _legend(scene: Scene) -> str:
    """What colours, lines and dots mean, first layer first, and the scale below."""
    parts, y = ['<g class="legend">'], TOP + 8
    for key in scene.keys[:KEYS]:
        parts.append(f'<rect x="{ASIDE:g}" y="{y - 7:g}" width="22" height="13" fill="{key.colour}"/>')
        y = _entry(parts, y, key.label)
    if len(scene.keys) > KEYS:
        y = _entry(parts, y, f"and {len(scene.keys) - KEYS} more classes")
    for stroke in reversed(scene.strokes):
        width = max(stroke.width * PIXELS, 1.0)
        parts.append(f'<rect x="{ASIDE:g}" y="{y - 7:g}" width="22" height="13" fill="{CHIP}"/>')
        parts.append(f'<path d="M{ASIDE:g} {y:g}h22" stroke="{stroke.colour}" stroke-width="{width:.2f}"/>')
        y = _entry(parts, y, stroke.label)
    for marks in scene.marks:
        parts.append(f'<circle cx="{ASIDE + 11:g}" cy="{y:g}" r="{marks.size * PIXELS / 2:.2f}" fill="currentColor"/>')
        y = _entry(parts, y, marks.label)
    if scene.scale is not None:
        parts += _bar(scene.scale, y + 12)
    return "\n".join([*parts, "</g>"])


def _entry(parts: list[str], y: float, label: str) -> float:
    parts.append(_text(ASIDE + 30, y + 4.5, short(label, NAME)))
    return y + LINE


def _bar(scale: Scale, y: float) -> list[str]:
    """The colour scale, upright, down to the plane's lower end."""
    height = TOP + DOWN - y - 14
    parts = [_text(ASIDE, y, short(scale.label, NAME + 3)),
             f'<rect x="{ASIDE:g}" y="{y + 12:g}" width="22" height="{height:g}" fill="url(#bar)"/>']  # fmt: skip
    for value, written in ticks(scale.low, scale.high):
        at = y + 12 + (scale.high - value) / (scale.high - scale.low) * height
        parts.append(f'<path d="M{ASIDE + 22:g} {at:.1f}h5" stroke="currentColor"/>')
        parts.append(_text(ASIDE + 31, at + 4.5, written))
    return parts


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: float = 13.0, soft: bool = False) -> str:
    look = f'fill="{SOFT}" class="soft"' if soft else 'fill="currentColor"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" {look}>{escape(words)}</text>'
