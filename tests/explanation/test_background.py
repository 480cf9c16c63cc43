import numpy as np
import pytest
from conftest import data_path
from enumeration import values_by_enumeration
from shapley_reference import random_network

from relu_shallow.data import read_table
from relu_shallow.errors import DataError
from relu_shallow.explanation.background import (
    FITTED_ROWS,
    MOST_ROWS,
    Background,
    background_of,
    distinct_rows,
    sample,
    shrink,
)


def test_few_distinct_rows_are_kept_with_how_often_they_occur():
    X = np.array([[0.0, 1.0], [2.0, 3.0], [0.0, 1.0], [0.0, 1.0]])
    found = shrink(X)
    np.testing.assert_array_equal(found.X, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(found.weights, [0.75, 0.25])


def test_a_hundred_distinct_rows_are_kept_and_one_more_is_shrunk():
    X = np.arange(101.0)[:, None]
    assert len(shrink(np.repeat(X[:100], 5, axis=0)).X) == 100
    assert len(shrink(X).X) == MOST_ROWS
    assert np.isin(shrink(X[:100]).X, X).all()


@pytest.mark.parametrize("rows", [500, FITTED_ROWS + 2000])
def test_a_shrunk_background_keeps_weights_mean_and_range_of_the_data(rows):
    X = np.random.default_rng(0).gamma(1.0, size=(rows, 4)) * [1, 1e-3, 1e4, 1]
    found = shrink(X)
    assert 0.9 * MOST_ROWS < len(found.X) <= MOST_ROWS
    assert found.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.mean, X.mean(axis=0))
    np.testing.assert_allclose(found.weights * rows, np.round(found.weights * rows), atol=1e-6)
    assert (X.min(axis=0) <= found.X).all()
    assert (X.max(axis=0) >= found.X).all()


def test_weighted_centres_stand_for_the_data_better_than_as_many_sampled_rows():
    X = read_table(data_path("tabular/pima-indians-diabetes.csv"), no_header=True).X[:, :8]
    bent = lambda rows: np.maximum((rows - X.mean(axis=0)) / X.std(axis=0), 0)  # noqa: E731
    target = bent(X).mean(axis=0)
    found = shrink(X)
    error = np.abs(found.weights @ bent(found.X) - target).max()
    random = np.random.default_rng(0)
    sampled = [
        np.abs(bent(X[random.choice(len(X), 100, replace=False)]).mean(axis=0) - target).max() for _ in range(20)
    ]
    assert error < np.median(sampled)


def test_the_same_data_gives_the_same_background_and_leaves_numpys_random_state_alone():
    X = np.random.default_rng(1).normal(size=(300, 3))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = shrink(X), shrink(X)
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_constant_column_does_no_harm():
    X = np.random.default_rng(2).normal(size=(300, 3))
    X[:, 1] = 7.0
    assert (shrink(X).X[:, 1] == 7.0).all()


def test_rows_without_weight_are_left_out_and_weights_are_scaled_to_one():
    found = Background(np.arange(3.0)[:, None], np.array([2.0, 0.0, 6.0]))
    np.testing.assert_array_equal(found.X, [[0], [2]])
    np.testing.assert_array_equal(found.weights, [0.25, 0.75])


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
def test_weights_that_are_no_weights_are_refused(weights):
    with pytest.raises(DataError, match="weight"):
        Background(np.zeros((2, 1)), np.array(weights))


def test_no_rows_are_no_background():
    for make in (shrink, distinct_rows):
        with pytest.raises(DataError, match="no rows"):
            make(np.zeros((0, 2)))


def test_weighted_centres_give_values_nearer_to_the_whole_backgrounds_than_unweighted_ones():
    X = read_table(data_path("tabular/pima-indians-diabetes.csv"), no_header=True).X[:, :8]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    for seed in range(3):
        network = random_network(seed, (8, 16, 16, 1))
        whole = values_by_enumeration(network, X[:5], X, np.ones(len(X)))
        centres = shrink(X, 50)
        errors = [
            np.abs(values_by_enumeration(network, X[:5], centres.X, weights) - whole).mean()
            for weights in (centres.weights, np.ones(len(centres.X)))
        ]
        assert 1.5 * errors[0] < errors[1]


def test_a_sample_has_its_number_of_rows_and_its_seed():
    X = np.random.default_rng(0).normal(size=(500, 2))
    found = sample(X, 200)
    assert len(found.X) == 200
    assert (found.X[:, None] == X).all(axis=2).any(axis=1).all()
    np.testing.assert_array_equal(found.X, sample(X, 200).X)
    assert (found.X != sample(X, 200, seed=1).X).any()
    assert len(sample(X, 900).X) == 500
    np.testing.assert_array_equal(np.sort(sample(np.repeat(X[:2], 50, axis=0), 100).weights), [0.5, 0.5])


@pytest.mark.parametrize(("spec", "rows"), [
    ("all", 300), ("kmeans", MOST_ROWS), ("kmeans:20", 20), ("sample:30", 30), ("sample:30:7", 30), (" all ", 300),
])  # fmt: skip
def test_a_word_chooses_the_background(spec, rows):
    X = np.random.default_rng(0).normal(size=(300, 2))
    assert 0.9 * rows <= len(background_of(spec, X).X) <= rows


def test_the_seed_of_a_word_is_the_samples():
    X = np.random.default_rng(0).normal(size=(300, 2))
    np.testing.assert_array_equal(background_of("sample:30:7", X).X, sample(X, 30, 7).X)


@pytest.mark.parametrize("spec", [
    "", "some", "all:3", "kmeans:0", "kmeans:-3", "kmeans:1.5", "sample", "sample:", "sample:9:9:9", "kmeans:²",
])  # fmt: skip
def test_a_word_that_is_none_is_refused_with_those_that_are(spec):
    with pytest.raises(DataError, match="kmeans:ROWS"):
        background_of(spec, np.zeros((3, 2)))
