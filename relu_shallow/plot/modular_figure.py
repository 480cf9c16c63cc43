"""Figures about modules as files: the ground that they share, and how they are written as .png or .svg."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from relu_shallow.atomic import replacing
from relu_shallow.errors import OutputError
from relu_shallow.plot.colours import INK, PAPER
from relu_shallow.plot.lettering import fonts

ENDINGS = (".png", ".svg")
DOTS_PER_INCH = 150
WEIGHTS = (PAPER, "#a9cbe8", "#4a90d0", "#1c5a9e", "#08285a")  # from 0 up: no weight is the colour of the paper
BRIGHT = 0.45  # of white's luminance: on what is darker, letters are white


def check_ending(path: str | os.PathLike[str]) -> str:
    """The ending of a picture's file; raises OutputError where pictures of modules are not written so."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise OutputError(f"{Path(path).name}: pictures of modules are written as {' or '.join(ENDINGS)}; choose one "
                          "of these endings")  # fmt: skip
    return ending


def write_figure(draw: Callable[[], Any], path: str | os.PathLike[str]) -> None:
    """Writes the matplotlib Figure that `draw` makes; the same figure gives the same bytes."""
    import matplotlib as mpl

    ending = check_ending(path)
    settings: Any = {"font.family": fonts(), "svg.fonttype": "none", "svg.hashsalt": "modules", "text.color": INK}
    about = {"Software": None} if ending == ".png" else {"Date": None, "Creator": None}
    with mpl.rc_context(settings), warnings.catch_warnings(), replacing(path) as temporary:
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        draw().savefig(temporary, format=ending[1:], dpi=DOTS_PER_INCH, metadata=about)
        if ending == ".svg":
            temporary.write_text(_steady(temporary.read_text(encoding="utf-8")), encoding="utf-8")


def _steady(svg: str) -> str:
    """The SVG with its clipping paths counted: matplotlib names them by where they lie in memory."""
    for count, name in enumerate(dict.fromkeys(re.findall(r'<clipPath id="(p[0-9a-f]{10})"', svg))):
        svg = svg.replace(f'id="{name}"', f'id="clip{count}"').replace(f"url(#{name})", f"url(#clip{count})")
    return svg


def blank(width: float, height: float) -> Any:
    """An empty Figure of a size in inches, which pyplot knows nothing of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def letters_on(rgba: Float[np.ndarray, " 4"]) -> str:
    """The colour of letters that are read on a ground: ink, or paper on dark ones (relative luminance of WCAG)."""
    channels = np.where(rgba[:3] <= 0.04045, rgba[:3] / 12.92, ((rgba[:3] + 0.055) / 1.055) ** 2.4)
    return INK if float(channels @ [0.2126, 0.7152, 0.0722]) > BRIGHT * BRIGHT else PAPER
