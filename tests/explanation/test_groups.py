import numpy as np
import pytest

from relu_shallow.errors import DataError
from relu_shallow.explanation.groups import group_sums, groups_of, one_hot_groups

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
