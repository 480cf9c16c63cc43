import json

import numpy as np
import pytest
from networks import NAMED
from shapley_reference import random_network

import relu_shallow as rs
from relu_shallow.data import DataTable, read_table
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.errors import DataError, OutputError
from relu_shallow.explanation import (
    FORMATS,
    METHODS,
    Background,
    attribution_table,
    explain,
    explain_rows,
    max_additivity_gap,
    write_attribution,
)
from relu_shallow.network import from_layers, named
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network


@pytest.fixture(scope="module")
def network():
    return named(random_network(0, (3, 6, 2)), ("age", "bmi", "=sugar"), ("no", "yes"))


@pytest.fixture(scope="module")
def shallow(network):
    return shallow_network(enumerate_regions(network, Box(-1, 1)))


X = np.random.default_rng(0).uniform(-1, 1, size=(7, 3))


def test_the_explanation_is_shaps_own_and_adds_up(network):
    shap = pytest.importorskip("shap")
    found = explain(network, X)
    assert isinstance(found, shap.Explanation)
    assert found.values.shape == (7, 3, 2)
    assert found.feature_names == ["age", "bmi", "=sugar"]
    assert found.output_names == ["no", "yes"]
    assert found.status == ["exact"] * 7
    np.testing.assert_allclose(found.base_values + found.values.sum(axis=1), network(X))


def test_one_output_gives_values_of_two_axes(network):
    both, one = explain(network, X), explain(network, X, output=1)
    assert one.values.shape == (7, 3)
    assert one.base_values.shape == (7,)
    np.testing.assert_allclose(one.values, both.values[:, :, 1])
    np.testing.assert_allclose(one[:, "age"].values, both.values[:, 0, 1])


def test_the_public_name_is_the_function():
    assert rs.explain is explain


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_every_row_of_a_converted_network(shallow, method):
    found = explain_rows(shallow, X, method=method)
    assert len(found.status) == 7
    assert set(found.status) <= {"estimate"} if method == "estimate" else {"local", "exact"}
    assert found.method == method


def test_a_method_that_there_is_not_is_refused_with_those_there_are(network):
    with pytest.raises(DataError, match="no method 'kernel'; the methods are auto, local, exact, bounds, estimate"):
        explain_rows(network, X, method="kernel")


@pytest.mark.parametrize("output", [2, -1, [0, 5]])
def test_an_output_that_is_not_there_is_refused(network, output):
    with pytest.raises(DataError, match="the network has 2, counted from 0"):
        explain_rows(network, X, output=output)


def test_a_row_outside_the_converted_domain_is_refused(shallow):
    with pytest.raises(DataError, match="row 1 lies outside the converted domain"):
        explain_rows(shallow, [[0, 0, 0], [0, 2, 0]])


def test_a_background_row_outside_the_converted_domain_is_refused(shallow):
    with pytest.raises(DataError, match="row 1 of the background lies outside the converted domain"):
        explain_rows(shallow, X, background=[[0, 0, 0], [0, 2, 0]])


def test_a_shrunk_background_lies_in_a_box_of_the_data(network):
    data = np.random.default_rng(1).normal(size=(150, 3))
    shallow = shallow_network(enumerate_regions(network, Box(data.min(axis=0), data.max(axis=0))))
    assert len(explain_rows(shallow, data, method="local").background.X) == 100


def test_hybrids_outside_a_polytope_are_the_networks_own(network):
    # the triangle x, y, z >= 0, x + y + z <= 1 does not hold the hybrid (1, 0, 1) of (1, 0, 0) and (0, 0, 1)
    A = np.concatenate([-np.eye(3), np.ones((1, 3))])
    shallow = shallow_network(enumerate_regions(network, Polytope(A, np.array([0.0, 0.0, 0.0, 1.0]))))
    x, b = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])
    found = explain_rows(shallow, x, background=b)
    np.testing.assert_allclose(found.phi, explain_rows(network, x, background=b).phi, atol=1e-10)
    assert found.status == ("exact",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0]], "takes 3 inputs"),
        ([[1.0, 2.0, np.nan]], "row 0 of the data holds NaN"),
        ([["a", 1, 2]], "must be numbers"),
    ],
)
def test_rows_that_do_not_fit_are_one_clear_error(network, rows, message):
    with pytest.raises(DataError, match=message):
        explain_rows(network, rows)
    with pytest.raises(DataError, match=message):
        explain_rows(network, X, background=rows)


def test_frames_and_tables_are_matched_by_name(network):
    import pandas as pd

    frame = pd.DataFrame(X[:, [2, 0, 1]], columns=["=sugar", "age", "bmi"]).assign(name="Ada")
    table = DataTable(("=sugar", "age", "bmi"), X[:, [2, 0, 1]])
    expected = explain_rows(network, X)
    for given in (frame, table):
        found = explain_rows(network, given, background=given)
        np.testing.assert_array_equal(found.X, X)
        np.testing.assert_allclose(found.phi, expected.phi)


def test_weights_of_a_background_count(network):
    B = X[:2]
    thrice = explain_rows(network, X, background=np.concatenate([B[:1]] * 3 + [B[1:]]))
    weighted = explain_rows(network, X, background=Background(B, np.array([3.0, 1.0])))
    np.testing.assert_allclose(weighted.phi, thrice.phi, atol=1e-12)
    np.testing.assert_allclose(weighted.base_value, thrice.base_value)


# --- rows out of reach


@pytest.fixture(scope="module")
def wide():
    """A network of thirty features of which no row is within reach of exact values."""
    return random_network(1, (30, 60, 60, 2)), np.random.default_rng(1).normal(size=(2, 3, 30))


def test_rows_out_of_reach_get_an_estimate_or_bounds_and_say_which(wide):
    network, (rows, B) = wide
    found = explain_rows(network, rows, background=B)
    assert set(found.status) <= {"estimate", "bounds"}
    assert np.abs(found.gap).max() < 1e-9
    estimate = explain_rows(network, rows, background=B, method="estimate")
    bounds = explain_rows(network, rows, background=B, method="bounds", time_limit=0.5)
    assert set(estimate.status) == {"estimate"}
    assert set(bounds.status) == {"bounds"}
    away = 5 * estimate.se
    assert (estimate.phi >= bounds.lo - away).all()
    assert (estimate.phi <= bounds.hi + away).all()


def test_rows_left_when_the_time_is_over_are_local_and_say_so(wide):
    network, (rows, B) = wide
    none = explain_rows(network, rows, background=B, time_limit=1e-9)
    local = explain_rows(network, rows, background=B, method="local")
    assert none.status == local.status == ("local",) * 3
    np.testing.assert_array_equal(none.phi, local.phi)


def test_tables_have_bounds_and_errors_where_rows_have_them(wide, tmp_path):
    network, (rows, B) = wide
    for method, prefixes in (("local", ()), ("bounds", ("lo", "hi")), ("estimate", ("se",))):
        found = explain_rows(network, rows, background=B, method=method, time_limit=1.0)
        names, columns = attribution_table(found)
        table = dict(zip(names, columns, strict=True))
        own = [f"{prefix}_{name}" for prefix in prefixes for name in network.feature_names]
        assert [name for name in names if name[:3] in ("lo_", "hi_", "se_")] == own
        if method == "bounds":
            assert (table["lo_x3"] <= table["shap_x3"]).all()
            assert (table["shap_x3"] <= table["hi_x3"]).all()
        if method == "estimate":
            np.testing.assert_array_equal(table["se_x3"], found.se[:, :, 3].ravel())
        write_attribution(found, tmp_path / "shap.json")
        assert json.loads((tmp_path / "shap.json").read_text())["status"] == {method: 3}


def test_the_explanation_of_shap_carries_bounds_and_errors(wide):
    network, (rows, B) = wide
    bounds = explain(network, rows, background=B, method="bounds", time_limit=1.0)
    assert (bounds.lower_bounds <= bounds.values).all()
    assert (bounds.values <= bounds.upper_bounds).all()
    assert explain(network, rows, background=B, method="estimate").error_std.shape == (3, 30, 2)


# --- groups


@pytest.mark.parametrize("method", ["exact", "estimate", "integrated"])
def test_groups_stand_in_the_place_of_their_features_and_sum_them(network, method):
    alone = explain_rows(network, X, method=method)
    found = explain_rows(network, X, method=method, groups="body=age,bmi")
    names, columns = attribution_table(found)
    table = dict(zip(names, columns, strict=True))
    assert [name for name in names if name.startswith("shap_")] == ["shap_body", "shap_=sugar"]
    np.testing.assert_allclose(table["shap_body"], alone.phi[:, :, :2].sum(axis=2).ravel())
    np.testing.assert_allclose(table["shap_=sugar"], alone.phi[:, :, 2].ravel())
    if method == "estimate":
        np.testing.assert_array_equal(table["se_body"], found.group_se[:, :, 0].ravel())
    shown = explain(network, X, method=method, groups={"body": ["age", "bmi"]})
    assert shown.feature_names == ["body", "=sugar"]
    assert shown.data[0, 0] == ", ".join(f"{value:g}" for value in X[0, :2])


def test_a_group_of_no_feature_is_refused(network):
    with pytest.raises(DataError, match="nose"):
        explain_rows(network, X, groups="head=nose")


# --- words and objects


def test_the_names_of_a_frame_are_those_of_a_network_that_has_none():
    import pandas as pd

    network = random_network(0, (3, 6, 2))
    frame = pd.DataFrame(X, columns=["age", "bmi", "sugar"])
    found = explain(network, frame, groups={"body": ["age", "bmi"]})
    assert found.feature_names == ["body", "sugar"]


def test_an_output_may_be_asked_for_by_name(network):
    by_name, by_number = explain_rows(network, X, output="yes"), explain_rows(network, X, output=1)
    assert by_name.outputs == (1,)
    np.testing.assert_array_equal(by_name.phi, by_number.phi)
    with pytest.raises(DataError, match="there is no output 'maybe': the network has no, yes"):
        explain_rows(network, X, output="maybe")


def test_a_background_may_be_a_word(network):
    assert len(explain_rows(network, X, background="sample:4").background.X) == 4
    with pytest.raises(DataError, match="write all, kmeans:ROWS"):
        explain_rows(network, X, background="medoids:4")


def test_rows_may_come_as_an_explanation_of_shap(network):
    shap = pytest.importorskip("shap")
    given = shap.Explanation(np.zeros((7, 3)), data=X[:, [1, 0, 2]], feature_names=["bmi", "age", "=sugar"])
    np.testing.assert_array_equal(explain_rows(network, given, background=X).X, X)


# --- files

CONTRACT = [
    "row",
    "output",
    "prediction",
    "base_value",
    "shap_age",
    "shap_bmi",
    "shap_=sugar",
    "region",
    "status",
    "gap",
]


def test_the_table_has_the_columns_of_the_contract_first(shallow):
    found = explain_rows(shallow, X, method="local")
    names, columns = attribution_table(found)
    assert names[: len(CONTRACT)] == CONTRACT
    assert {len(column) for column in columns} == {14}
    line = dict(zip(names, (column[5] for column in columns), strict=True))  # row 2, output 1
    assert (line["row"], line["output"]) == (2, 1)
    assert line["prediction"] == found.prediction[2, 1]
    assert line["base_value"] == found.base_value[1]
    assert line["shap_bmi"] == found.phi[2, 1, 1]
    assert line["region"] == found.region[2]
    assert line["status"] == found.status[2]
    assert line["gap"] == pytest.approx(
        sum(line[name] for name in CONTRACT[4:7]) - (line["prediction"] - line["base_value"])
    )
    assert max_additivity_gap(found) == max(abs(columns[names.index("gap")]))


def test_output_numbers_are_the_networks_own(network):
    names, columns = attribution_table(explain_rows(network, X, output=1))
    assert set(columns[names.index("output")].tolist()) == {1}


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_holds_the_values_in_full_precision(shallow, tmp_path, ending):
    found = explain_rows(shallow, X, method="local")
    path = tmp_path / f"shap{ending}"
    write_attribution(found, path)
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            np.testing.assert_array_equal(stored["shap_values"], found.phi)
            np.testing.assert_array_equal(stored["status"], found.status)
            np.testing.assert_array_equal(stored["distance"], found.distance)
        return
    if ending == ".json":
        document = json.loads(path.read_text())
        assert document["status"] == {"local": 7}
        row = document["rows"][5]
        assert [name for name in row if name != "local_model"][: len(CONTRACT)] == CONTRACT
        assert row["shap_bmi"] == found.phi[2, 1, 1]
        assert row["local_model"]["slopes"]["bmi"] == found.alpha[2, 1, 1]
        assert row["local_model"]["constant"] == found.beta[2, 1]
        return
    table = read_table(path)
    values = match = table.values[:, [table.names.index(name) for name in CONTRACT[4:7]]]
    np.testing.assert_array_equal(match, found.phi.reshape(14, 3))
    assert len(values) == 14


def test_an_unknown_ending_of_the_output_lists_the_known_ones(network, tmp_path):
    with pytest.raises(OutputError, match=r"\.csv, \.parquet, \.json, \.npz"):
        write_attribution(explain_rows(network, X), tmp_path / "shap.xlsx")


def test_a_region_without_a_boundary_is_null_in_json(tmp_path):
    write_attribution(explain_rows(NAMED["linear"].network, np.eye(2)), tmp_path / "shap.json")
    assert json.loads((tmp_path / "shap.json").read_text())["rows"][0]["distance"] is None


def test_rows_at_which_the_network_overflows_are_refused_by_number():
    network = random_network(6, (2, 4, 3, 1))
    source = shallow_network(enumerate_regions(network, WholeSpace()))
    huge, fine = np.array([[1.0, 1.0], [1.6e308, 1.6e308], [1.6e308, -1.6e308], [-1.6e308, 1.6e308]]), np.eye(2)
    steep = from_layers([(np.full((2, 2), 1e200), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    for model in (network, source):
        for method in METHODS:
            with pytest.raises(DataError, match=r"row [123] of the data .*so large that the network overflows"):
                explain_rows(model, huge, background=fine, method=method)
            with pytest.raises(DataError, match=r"row [123] of the background .*overflows"):
                explain_rows(model, fine, background=huge, method=method)
    with pytest.raises(DataError, match=r"row [123] of the data .*overflows"):
        source(huge)
    with pytest.raises(DataError, match=r"row 0 of the data .*overflows"):
        explain_rows(steep, np.full((1, 2), 1e109), background=fine)
    assert np.isfinite(explain_rows(network, fine * 1e100, background=fine).phi).all()


@pytest.mark.parametrize("names", [(), ("a", "b"), ("c", "d")], ids=["nameless", "named", "named otherwise"])
def test_a_background_frame_in_another_order_is_aligned_with_the_data_by_name(names):
    import pandas as pd

    network = named(random_network(7, (2, 5, 1)), names)
    data = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, -4.0]})
    background = pd.DataFrame({"B": [10.0, 11.0], "a": [0.0, 0.5]})
    found = explain_rows(network, data, background=background)
    wanted = explain_rows(network, data.to_numpy(), background=background[["a", "B"]].to_numpy())
    np.testing.assert_array_equal(found.background.X, wanted.background.X)
    np.testing.assert_array_equal(found.phi, wanted.phi)


def test_a_background_frame_of_other_names_is_refused():
    import pandas as pd

    network, data = random_network(7, (2, 5, 1)), pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, -4.0]})
    for other in (["a", "c"], ["c", "d"]):
        with pytest.raises(DataError, match="give both the same names"):
            explain_rows(network, data, background=data.set_axis(other, axis=1))
    assert explain_rows(network, data, background=data.to_numpy()).background.X.shape == (2, 2)
