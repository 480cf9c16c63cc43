"""A picture as one self-contained page: the drawing, each region's local model on hover or by arrow keys, a table."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import numpy as np

from relu_shallow.network import Network
from relu_shallow.plot.classes import class_names
from relu_shallow.plot.lettering import MINUS, number, short
from relu_shallow.plot.scene import Fill, Scene
from relu_shallow.plot.svg import ACROSS, DOWN, LEFT, TOP, svg
from relu_shallow.polygons import polygon_area
from relu_shallow.shallow.table import ShallowNetwork, Table

LISTED = 20  # regions in the table
OUTPUTS, FEATURES = 6, 8  # shown of a local model
DIGITS = 5
NAME = 40  # characters of a name


def render_page(scene: Scene, shallow: ShallowNetwork) -> str:
    """The page as text; its only script stands in it and is allowed by its hash, and it loads nothing."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("relu_shallow", "plot"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = files("relu_shallow.plot").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        title=short(scene.title, 2 * NAME),
        notes=scene.notes,
        picture=svg(scene),
        script=script,
        digest=digest,
        data=json.dumps(_data(scene, shallow), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        drawn=len(scene.fills),
        largest=_largest(scene, shallow),
    )


def _data(scene: Scene, shallow: ShallowNetwork) -> dict[str, Any]:
    """What the script knows: names, the view, and of every region drawn its middle, pattern, class and local model."""
    network, table = shallow.network, shallow.table
    regions = [fill.region for fill in scene.fills]
    return {
        "features": [short(name, NAME) for name in network.feature_names[:FEATURES]],
        "outputs": [short(name, NAME) for name in network.output_names[:OUTPUTS]],
        "more": [max(network.inputs - FEATURES, 0), max(network.outputs - OUTPUTS, 0)],
        "widths": list(network.widths),
        "total": shallow.regions,
        "view": list(scene.view),
        "plane": [LEFT, TOP, ACROSS, DOWN],
        "region": regions,
        "middle": [[_short(v) for v in fill.corners.mean(axis=0).tolist()] for fill in scene.fills],
        "class": _classes(scene, shallow),
        "bits": [bytes(row).hex() for row in table.bits[regions]],
        "alpha": _rounded(table.alpha[regions, :OUTPUTS, :FEATURES]),
        "beta": _rounded(table.beta[regions, :OUTPUTS]),
    }


def _classes(scene: Scene, shallow: ShallowNetwork) -> list[str]:
    """The class predicted in each region's middle, and that there are others in it; empty for a single output."""
    network = shallow.network
    if network.outputs == 1:
        return []
    names, several = class_names(network), {part.region for part in scene.parts} if scene.keys else set()
    found = []
    for fill, maps in zip(scene.fills, scene.maps, strict=True):
        name = short(names[_greatest(fill, maps)], NAME)
        found.append(name + (" (and others)" if fill.region in several else ""))
    return found


def _largest(scene: Scene, shallow: ShallowNetwork) -> list[dict[str, str]]:
    """The largest regions in view, as a table shows them: with the local model of the output that is greatest there."""
    area = np.array([float(polygon_area([(x, y) for x, y in fill.corners.tolist()])) for fill in scene.fills])
    active = shallow.table.patterns.sum(axis=1)
    lines = []
    for i in np.argsort(-area, kind="stable")[:LISTED].tolist():
        fill = scene.fills[i]
        lines.append({
            "region": f"{fill.region:,}",
            "share": f"{area[i] / area.sum():.2%}",
            "active": f"{active[fill.region]} of {shallow.network.neurons}",
            "model": formula(shallow.network, shallow.table, fill.region, _greatest(fill, scene.maps[i])),
        })  # fmt: skip
    return lines


def _greatest(fill: Fill, maps: np.ndarray) -> int:
    """The output that is greatest in the middle of a region's polygon."""
    x, y = fill.corners.mean(axis=0).tolist()
    return int(np.argmax(maps @ (x, y, 1.0)))


def formula(network: Network, table: Table, region: int, output: int) -> str:
    """The local model of an output, in words."""
    terms = [number(float(table.beta[region, output]))]
    for feature, slope in zip(network.feature_names[:FEATURES], table.alpha[region, output].tolist(), strict=False):
        terms.append(f"{MINUS if slope < 0 else '+'} {number(abs(slope))} · {short(feature, NAME)}")
    terms += ["+ …"] * (network.inputs > FEATURES)
    return f"{short(network.output_names[output], NAME)} = {' '.join(terms)}"


def _rounded(values: np.ndarray) -> Any:
    """Nested lists of numbers with few digits."""
    flat = np.array([_short(value) for value in values.ravel().tolist()])
    return flat.reshape(values.shape).tolist()


def _short(value: float) -> float:
    """The number with few digits, which a page holds in a few characters."""
    return float(f"{value:.{DIGITS}g}")
