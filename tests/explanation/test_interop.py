import copy

import numpy as np
import pytest
from shapley_reference import random_network

from relu_shallow.data import DataTable, match_columns
from relu_shallow.errors import DataError
from relu_shallow.explanation.background import Background
from relu_shallow.explanation.interop import background_from, rows_of
from relu_shallow.explanation.methods import explain, explain_rows
from relu_shallow.network import named

NAMES = ("a", "b", "c")
X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture(scope="module")
def shap():
    return pytest.importorskip("shap")


class Frame:
    """A stand-in for a data frame of any library: columns, each by its name, as something numpy can read."""

    def __init__(self, columns):
        self._columns = columns

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return np.array(self._columns[name])


FRAMES = [
    pytest.param(Frame, id="stand-in"),
    pytest.param(lambda columns: pytest.importorskip("pandas").DataFrame(columns), id="pandas"),
    pytest.param(lambda columns: pytest.importorskip("polars").DataFrame(columns), id="polars"),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_keep_their_column_names(frame):
    table = rows_of(frame({"c": X[:, 2], "a": X[:, 0], "b": X[:, 1]}))
    assert table.names == ("c", "a", "b")
    np.testing.assert_array_equal(match_columns(table, NAMES), X)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_columns_of_rows_and_background_are_matched_by_name(frame):
    network = named(random_network(0, (3, 5, 1)), NAMES)
    moved = frame({"c": X[:, 2], "a": X[:, 0], "b": X[:, 1]})
    found = explain_rows(network, rows_of(moved), background=background_from(moved), method="exact")
    np.testing.assert_allclose(found.phi, explain_rows(network, X, background=X, method="exact").phi)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("cells", [[1.0, None, 2.0], ["x", "y", "z"], [1.0, float("nan"), 2.0]], ids=str)
def test_a_cell_that_is_no_number_is_named(frame, cells):
    table = rows_of(frame({"a": cells, "b": [1.0, 2.0, 3.0]}))
    with pytest.raises(DataError, match="column 'a'"):
        match_columns(table, ("a", "b"))
    assert table.faults[1] == ""


def test_a_lazy_frame_is_to_be_collected_first():
    polars = pytest.importorskip("polars")
    with pytest.raises(DataError, match="collect"):
        rows_of(polars.DataFrame({"a": [1.0]}).lazy())


def test_an_explanation_of_shap_stands_for_its_data_and_names(shap):
    given = shap.Explanation(values=np.zeros((40, 3)), base_values=0.0, data=X, feature_names=["c", "a", "b"])
    table = rows_of(given)
    assert isinstance(table, DataTable)
    np.testing.assert_array_equal(match_columns(table, NAMES), X[:, [1, 2, 0]])
    one = rows_of(given[3])
    np.testing.assert_array_equal(one.X, X[3:4])


def test_an_explanation_without_names_is_an_array_and_one_without_data_is_refused(shap):
    np.testing.assert_array_equal(rows_of(shap.Explanation(values=np.zeros((40, 3)), data=X)), X)
    with pytest.raises(DataError, match="no data"):
        rows_of(shap.Explanation(values=np.zeros((40, 3))))


def test_weighted_centres_of_shap_keep_their_weights_and_their_names(shap):
    pandas = pytest.importorskip("pandas")
    summary = shap.kmeans(X, 5, round_values=False)
    found = background_from(summary, NAMES)
    np.testing.assert_allclose(found.weights, summary.weights)
    np.testing.assert_allclose(found.mean, X.mean(axis=0))
    moved = shap.kmeans(pandas.DataFrame(X[:, [1, 2, 0]], columns=["b", "c", "a"]), 5, round_values=False)
    np.testing.assert_allclose(background_from(moved, NAMES).mean, X.mean(axis=0))
    np.testing.assert_allclose(background_from(moved).mean, X.mean(axis=0)[[1, 2, 0]])


def test_maskers_of_shap_stand_for_their_rows(shap):
    pandas = pytest.importorskip("pandas")
    plain = shap.maskers.Independent(X, max_samples=100)
    np.testing.assert_array_equal(background_from(plain), X)
    frame = pandas.DataFrame(X[:, [1, 2, 0]], columns=["b", "c", "a"])
    masker = shap.maskers.Independent(frame, max_samples=100)
    np.testing.assert_array_equal(match_columns(background_from(masker), NAMES), X)


def test_what_holds_no_rows_is_refused_and_what_is_known_is_left_alone(shap):
    with pytest.raises(DataError, match="holds no rows"):
        background_from(shap.maskers.Text())
    background = Background(X, np.ones(40))
    assert background_from(background) is background
    assert background_from(None) is None
    assert rows_of(X) is X


@pytest.mark.parametrize("outputs", [1, 2])
def test_slices_of_an_explanation_keep_what_is_known_of_their_rows(shap, outputs):
    network = named(random_network(0, (3, 5, outputs)), NAMES)
    whole = explain(network, X[:6], background=X[:4], groups={"ab": ["a", "b"]}, interactions=True)
    assert isinstance(whole, shap.Explanation)
    assert len(whole.status) == 6
    one, few, column = whole[2], whole[1:4], whole[:, "ab"]
    assert (one.status, one.region) == (whole.status[2], whole.region[2])
    assert few.status == whole.status[1:4]
    assert few[1].status == whole.status[2]
    assert column.status == whole.status
    assert whole[[4, 0]].region.tolist() == whole.region[[4, 0]].tolist()
    np.testing.assert_array_equal(one.gap, whole.gap[2])
    np.testing.assert_array_equal(few.interaction_values, whole.interaction_values[1:4])
    assert one.groups == few.groups == column.groups == {"ab": ("a", "b")}
    if outputs == 2:
        second = whole[..., 1]
        assert second.status == whole.status
        np.testing.assert_array_equal(second.gap, whole.gap[:, 1])
        np.testing.assert_array_equal(second[3].gap, whole.gap[3, 1])
        assert whole[3, :, 1].status == whole.status[3]


def test_a_sum_over_rows_has_no_status_of_its_own_and_other_slices_keep_bounds(shap):
    network = named(random_network(0, (3, 5, 1)), NAMES)
    whole = explain(network, X[:6], background=X[:4], method="bounds")
    with pytest.raises(AttributeError, match="status"):
        _ = whole.abs.mean(0).status
    with pytest.raises(AttributeError, match="interaction_values"):
        _ = whole.interaction_values
    if "bounds" in whole.status:
        np.testing.assert_array_equal(whole[2].lower_bounds, whole.lower_bounds[2])
    assert copy.deepcopy(whole)[1].status == whole.status[1]
    assert rows_of(whole).names == NAMES
    np.testing.assert_array_equal(rows_of(whole[1]).X, X[1:2])


def test_the_plots_of_shap_take_explanations_and_their_slices(shap):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    network = named(random_network(0, (3, 5, 2)), NAMES)
    whole = explain(network, X[:12], background=X[:4], groups={"ab": ["a", "b"]})
    for plot, part in ((shap.plots.waterfall, whole[0, :, 1]), (shap.plots.beeswarm, whole[..., 1]),
                       (shap.plots.bar, whole[..., 0]), (shap.plots.heatmap, whole[..., 0])):  # fmt: skip
        plot(part, show=False)
        matplotlib.pyplot.close("all")
