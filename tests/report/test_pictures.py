import io
import warnings

import numpy as np
import pytest

from relu_shallow.explanation import explain_rows
from relu_shallow.network import from_layers, named
from relu_shallow.plot.attribution import bar, beeswarm, waterfall
from relu_shallow.plot.lettering import LINE, LINES, label

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {"beeswarm": beeswarm, "bar": bar, "waterfall": lambda attribution: waterfall(attribution, 0)}


def attribution(*names, rows=20):
    random = np.random.default_rng(0)
    n = len(names)
    layers = [(random.normal(size=(4, n)), random.normal(size=4)), (random.normal(size=(1, 4)), np.zeros(1))]
    return explain_rows(named(from_layers(layers), names), random.normal(size=(rows, n)), method="local")


def size(png):
    from matplotlib.image import imread

    return imread(io.BytesIO(png)).shape


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize(
    "name", ["plain", "$", "$x_{$", r"\$\frac{1}$", "<script>", "日本語", "two\nlines", "", "\x00"]
)
def test_any_name_can_be_drawn(picture, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
        assert PICTURES[picture](attribution("first", name, "third")).startswith(PNG)


@pytest.mark.parametrize("picture", PICTURES)
def test_one_feature_and_one_row_can_be_drawn(picture):
    assert PICTURES[picture](attribution("only", rows=1)).startswith(PNG)


def test_labels_hold_the_whole_name_in_short_lines():
    name = "pressure_in_the_left_atrium_of_the_heart_mean_over_24h"
    assert label(name).replace("\n", "") == name
    assert max(map(len, label(name).split("\n"))) <= LINE
    assert label("x" * 3 * LINE).replace("\n", "") == "x" * 3 * LINE
    assert label("word " * 200).endswith("…")
    assert label("word " * 200).count("\n") == LINES


def test_names_of_many_lines_make_a_picture_higher_instead_of_being_cut_off():
    short, long = bar(attribution("a", "b")), bar(attribution("a", "word " * 30))
    assert size(long)[0] > 2 * size(short)[0]


def test_a_name_with_dollars_is_drawn_as_it_is_written():
    from matplotlib.cbook import is_math_text

    assert is_math_text("$x$")
    assert not is_math_text(label("costs $5 or $6"))


def test_drawing_leaves_no_figure_no_setting_and_no_random_state_behind():
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mine = plt.figure()
    np.random.seed(3)  # noqa: NPY002
    before, settings = np.random.get_state()[1].copy(), dict(mpl.rcParams)  # noqa: NPY002
    beeswarm(attribution("a", "b"))
    assert plt.get_fignums() == [mine.number]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert dict(mpl.rcParams) == settings
    plt.close(mine)


def test_the_same_rows_give_the_same_picture():
    found = attribution("a", "b", rows=200)
    assert beeswarm(found) == beeswarm(found)


def test_the_axis_of_values_has_few_labels(monkeypatch):
    import matplotlib.pyplot as plt

    drawn = []
    monkeypatch.setattr(plt, "close", drawn.append)
    beeswarm(attribution("a", "b"))
    monkeypatch.undo()
    low, high = drawn[0].axes[0].get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in drawn[0].axes[0].get_xticks()) <= 6
    plt.close(drawn[0])
