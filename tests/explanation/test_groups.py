import numpy as np
import pytest
from command_line import random_layers, run, write_csv, write_onnx
from shapley_reference import random_network

from relu_shallow.data import read_table
from relu_shallow.errors import DataError
from relu_shallow.explanation.groups import group_data, group_sums, groups_of, one_hot_groups
from relu_shallow.explanation.methods import explain
from relu_shallow.network import named

NAMES = ("age", "work_private", "work_state", "sex_f", "sex_m", "hours")


@pytest.mark.parametrize("request_", [
    ["work=work_*", "sex=sex_f,sex_m"],
    {"work": ["work_private", "work_state"], "sex": "sex_?"},
], ids=["lines", "mapping"])  # fmt: skip
def test_groups_are_named_by_patterns_or_by_features(request_):
    assert groups_of(request_, NAMES) == {"work": (1, 2), "sex": (3, 4)}


def test_one_line_is_one_group():
    assert groups_of("work=work_*", NAMES) == {"work": (1, 2)}


def test_a_features_own_name_goes_before_a_pattern():
    assert groups_of("a=x[1]", ("x[1]", "x1")) == {"a": (0,)}
    assert groups_of("a=x[1]", ("x[2]", "x1")) == {"a": (1,)}


@pytest.mark.parametrize(("request_", "words"), [
    ("work", "is no group"),
    ("=age", "is no group"),
    ("work=", "is no group"),
    ("work=job_*", "no feature is called 'job_\\*'; the features are age"),
    (["a=age", "a=hours"], "given twice"),
    (["a=age,sex_*", "b=sex_f"], "feature 'sex_f' is in two groups, 'a' and 'b'"),
    ({"a": []}, "holds no feature"),
])  # fmt: skip
def test_a_request_that_cannot_be_met_is_refused_with_its_reason(request_, words):
    with pytest.raises(DataError, match=words):
        groups_of(request_, NAMES)


def test_values_are_summed_at_the_place_of_the_first():
    phi = np.array([[[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]]])
    summed, names = group_sums(phi, NAMES, {"sex": (3, 4), "work": (2, 1)[::-1]})
    assert names == ("age", "work", "sex", "hours")
    np.testing.assert_array_equal(summed, [[[1, 6, 24, 32]]])


def test_a_group_may_not_take_the_name_of_a_feature_outside_it():
    with pytest.raises(DataError, match="'hours'"):
        group_sums(np.zeros((1, 1, 6)), NAMES, {"hours": (1, 2)})
    assert group_sums(np.zeros((1, 1, 6)), NAMES, {"age": (0, 5)})[1][0] == "age"


def test_features_that_are_not_there_are_refused():
    with pytest.raises(DataError, match="feature 7"):
        group_sums(np.zeros((1, 1, 6)), NAMES, {"a": (7,)})


def test_one_hot_columns_are_found_by_their_ones_and_their_common_name():
    X = np.array([[30, 1, 0, 0, 1, 40], [41, 0, 1, 0, 1, 38], [22, 0, 1, 1, 0, 20]], dtype=float)
    assert one_hot_groups(X, NAMES) == {"work": (1, 2), "sex": (3, 4)}
    X[0, 2] = 1.0  # two at once
    assert one_hot_groups(X, NAMES) == {"sex": (3, 4)}


def test_columns_that_only_look_alike_are_no_group():
    X = np.array([[1, 0, 0.5, 0.5, 1], [0, 1, 0.5, 0.5, 0]])
    assert one_hot_groups(X, ("a", "b", "c_1", "c_2", "d_1")) == {}
    assert one_hot_groups(np.array([[1.0, 0.0]] * 3), ("c_1", "c_2")) == {}  # never change
    assert one_hot_groups(np.zeros((0, 2)), ("c_1", "c_2")) == {}


def test_a_mapping_may_name_features_by_number():
    assert groups_of({"body": (0, 2), "rest": ["b"]}, ("a", "b", "c")) == {"body": (0, 2), "rest": (1,)}
    with pytest.raises(DataError, match="holds feature 3: there are 3"):
        groups_of({"body": [3]}, ("a", "b", "c"))


def test_interactions_between_groups_add_up_to_the_groups_values(tmp_path):
    pytest.importorskip("shap")
    network = named(random_network(3, (6, 8, 2)), NAMES)
    X = np.random.default_rng(0).normal(size=(5, 6))
    request = {"work": "work_*", "sex": "sex_?"}
    found = explain(network, X, background=X[:3], method="exact", groups=request, interactions=True)
    assert found.interaction_values.shape == (5, 4, 4, 2)
    np.testing.assert_allclose(found.interaction_values.sum(axis=2), found.values, atol=1e-12)
    each = explain(network, X, background=X[:3], method="exact", interactions=True).interaction_values
    np.testing.assert_allclose(found.interaction_values[:, 1, 2], each[:, 1:3, 3:5].sum(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(found.interaction_values[:, 0, 3], each[:, 0, 5], atol=1e-12)


def test_the_command_writes_interactions_between_groups(tmp_path):
    model = write_onnx(tmp_path / "m.onnx", random_layers(4, 5, 1))
    write_csv(tmp_path / "d.csv", ("age", "k_a", "k_b", "z"), np.random.default_rng(0).normal(size=(4, 4)))
    done = run("explain", model, tmp_path / "d.csv", "--group", "k=k_*", "--interactions", tmp_path / "i.csv",
               "-o", tmp_path / "o.csv")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    lines = [line.split(",") for line in (tmp_path / "i.csv").read_text().splitlines()[1:]]
    assert {(line[2], line[3]) for line in lines} == {
        ("age", "age"), ("age", "k"), ("age", "z"), ("k", "k"), ("k", "z"), ("z", "z")}  # fmt: skip
    table = read_table(tmp_path / "o.csv")
    for row in range(4):
        total = sum(float(line[4]) for line in lines if line[0] == str(row))
        moved = table.values[row, table.names.index("prediction")] - table.values[row, table.names.index("base_value")]
        assert total == pytest.approx(moved, abs=1e-12)


def test_a_groups_data_name_its_feature_only_where_that_is_one_and_the_others_zero():
    X = np.array([[30, 1, 0, 0.5, 0.25, 40], [41, 0, 1, 1, 1, 38], [22, 0, 0, 0, 1, 20]])
    groups = {"work": (1, 2), "sex": (3, 4)}
    assert group_data(X, NAMES, groups) == {
        "work": ["work_private", "work_state", "0, 0"], "sex": ["0.5, 0.25", "1, 1", "sex_m"]}  # fmt: skip
