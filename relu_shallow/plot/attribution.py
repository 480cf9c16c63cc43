"""Pictures of an explanation, by shap's own plots: beeswarm, bar and waterfall, as PNG bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from relu_shallow.explanation.attribution import Attribution
from relu_shallow.plot.lettering import fonts, label

SWARM_ROWS = 2000  # more points than this hide one another and take seconds to place
SHOWN = 15  # features drawn; the others are summed in one line
DOTS_PER_INCH = 150
TICKS = 5  # intervals on the axis of values: labels of more run into one another


def beeswarm(attribution: Attribution, output: int = 0) -> bytes:
    """Every row's SHAP values by feature, coloured by the feature's value; of many rows an even sample is drawn.

    `output` counts among the explained outputs.
    """
    import shap

    rows = np.linspace(0, len(attribution.X) - 1, min(len(attribution.X), SWARM_ROWS)).astype(np.int64)
    drawn = _explanation(attribution, output, rows)
    return _picture(lambda: shap.plots.beeswarm(drawn, max_display=SHOWN, show=False), drawn)


def bar(attribution: Attribution, output: int = 0) -> bytes:
    """Mean |SHAP value| by feature over all rows."""
    import shap

    drawn = _explanation(attribution, output, np.arange(len(attribution.X)))
    return _picture(lambda: shap.plots.bar(drawn, max_display=SHOWN, show=False), drawn)


def waterfall(attribution: Attribution, row: int, output: int = 0) -> bytes:
    """How one row's prediction comes about, feature by feature, from the mean prediction."""
    import shap

    drawn = _explanation(attribution, output, np.array([row]))[0]
    return _picture(lambda: shap.plots.waterfall(drawn, max_display=SHOWN, show=False), drawn)


def _explanation(attribution: Attribution, output: int, rows: np.ndarray) -> Any:
    """The rows' shap.Explanation with names made for drawing."""
    import shap

    return shap.Explanation(
        values=attribution.phi[rows, output],
        base_values=np.full(len(rows), attribution.base_value[output]),
        data=attribution.X[rows],
        feature_names=[label(name) for name in attribution.feature_names],
    )


def _picture(draw: Callable[[], Any], explanation: Any) -> bytes:
    """What `draw` puts on a new figure, as PNG; long names widen the picture, names of many lines stretch it."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    with _drawing():
        figure = plt.figure()
        try:
            draw()
            figure.axes[0].xaxis.set_major_locator(MaxNLocator(TICKS))
            width, height = figure.get_size_inches()
            lines = 1 + max(name.count("\n") for name in explanation.feature_names)
            figure.set_size_inches(width, height * max(1.0, (lines + 0.5) / 2))  # shap leaves room for two lines
            stream = io.BytesIO()
            figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
        finally:
            plt.close(figure)
    return stream.getvalue()


@contextmanager
def _drawing() -> Iterator[None]:
    """Agg, fonts that are installed, a fixed seed for the swarm's jitter; the caller's own settings afterwards."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    backend, random = mpl.get_backend(), np.random.get_state()  # noqa: NPY002 (shap draws its jitter from there)
    plt.switch_backend("agg")
    np.random.seed(0)  # noqa: NPY002
    try:
        with mpl.rc_context({"font.family": fonts()}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the page names it in text as well
            warnings.filterwarnings("ignore", message="The NumPy global RNG was seeded", category=FutureWarning)
            yield
    finally:
        np.random.set_state(random)  # noqa: NPY002
        if backend.lower() != "agg":
            plt.switch_backend(backend)
