"""Sparse layers are searched, mapped and decided exactly as the same layers written out are."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

import relu_shallow as rs
from relu_shallow.errors import ModelError
from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.regions.charts import box_chart
from relu_shallow.regions.exact import lay_out_exactly
from relu_shallow.regions.kernel import COUNTERS, FORWARD_FULL, FORWARD_RANK1, forward, forward_sparse
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.regions.sparse_integers import SparseIntegers
from relu_shallow.regions.weights import is_sparse, weights_of
from relu_shallow.shallow.build import shallow_network

BOX = rs.Box([-1.0, -1.0], [1.0, 1.0])


def sparse(network):
    """The same network with its hidden layers as CSR."""
    hidden = tuple(Affine(csr_array(layer.W), layer.b) for layer in network.affine[1:-1])
    return replace(network, affine=(network.affine[0], *hidden, network.affine[-1]))


def banded(seed, width=30, layers=4, whole=False):
    """A network whose hidden layers have three weights a row, as convolutions do; `whole` weights meet in points."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.integers(-2, 3, shape).astype(float) if whole else rng.normal(size=shape)

    chain = [(draw(width, 2), draw(width))]
    for _ in range(layers - 1):
        W = np.zeros((width, width))
        for row in range(width):
            W[row, [row - 1, row, (row + 1) % width]] = draw(3)
        chain.append((W, draw(width) / 4))
    return from_layers([*chain, (draw(3, width), draw(3))])


@pytest.mark.parametrize("seed", range(3))
def test_a_sparse_network_has_the_regions_of_the_same_one_written_out(seed):
    network = banded(seed)
    one, other = enumerate_regions(sparse(network), BOX), enumerate_regions(network, BOX)
    assert is_sparse(sparse(network).affine[1].W)
    assert other.regions > 300
    assert one.level == other.level == "certified"
    assert one.bits.tolist() == other.bits.tolist()
    a, b = shallow_network(one), shallow_network(other)
    for name in ("H", "c", "alpha", "beta"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("seed", range(2))
def test_what_rounding_leaves_open_is_decided_on_sparse_layers_too(seed):
    network = banded(seed, whole=True, layers=2)
    one, other = enumerate_regions(sparse(network), BOX), enumerate_regions(network, BOX)
    assert one.certificate.exact > 0
    assert one.level == "certified"
    assert one.bits.tolist() == other.bits.tolist()


def test_regions_without_bounds_have_the_same_radii():
    network = banded(1, layers=2)
    one, other = enumerate_regions(sparse(network), rs.WholeSpace()), enumerate_regions(network, rs.WholeSpace())
    assert one.bits.tolist() == other.bits.tolist()
    np.testing.assert_allclose(one.radii, other.radii, rtol=1e-6)


def test_error_bounds_of_a_sparse_layer_are_those_of_the_layer_written_out():
    network, rng = banded(4, layers=2), np.random.default_rng(0)
    slope = rng.integers(0, 2, 60).astype(float)
    below, error = rng.normal(size=(3, 30)), rng.random(30) * 2.0**-40
    both = []
    for net in (weights_of(network), weights_of(sparse(network))):
        Z, E = np.zeros((3, 60)), np.zeros(60)
        Z[:, :30], E[:30] = below, error
        state = (Z, E, slope.copy(), np.zeros(60), np.full(3, -1), np.zeros(3, np.int64), np.zeros(3, np.int64))
        rest = (2, 2.0**-45, np.zeros(COUNTERS, np.int64), True)
        found = []
        for changed in ([], [3, 7]):  # all of it, then by rank one
            state[2][changed] = 1.0 - state[2][changed]
            if net.woff[1] < 0:
                columns = (net.first, net.target, net.weight)
                forward_sparse(1, columns, net.bias, net.off, np.array([0.0, 0.0, 1.0]), *state, *rest)
            else:
                forward(1, net.WT, net.woff, net.bias, net.off, np.array([0.0, 0.0, 1.0]), *state, *rest)
            found.append((Z.copy(), E.copy()))
        assert rest[2][FORWARD_FULL] == rest[2][FORWARD_RANK1] == 1
        both.append(found)
    for (dense_Z, dense_E), (sparse_Z, sparse_E) in zip(*both, strict=True):
        np.testing.assert_allclose(sparse_Z, dense_Z, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(sparse_E, dense_E, rtol=1e-10)
        assert (dense_E[30:] > 0).all()


def test_a_sparse_product_of_integers_minds_empty_rows():
    W = np.array([[0, 0], [2, 3], [0, 0], [0, 1], [0, 0]])
    rows = csr_array(W)
    whole = SparseIntegers(rows.data.astype(object), rows.indices, rows.indptr, 2)
    X = np.array([[10**30, 1], [5, 7]], dtype=object)
    assert whole.dot(X).tolist() == W.astype(object).dot(X).tolist()
    assert whole.dot(X[:, 0]).tolist() == W.astype(object).dot(X[:, 0]).tolist()


def test_layers_in_integers_are_the_floats():
    network = sparse(banded(0))
    exact = lay_out_exactly(network, BOX, box_chart(BOX))
    W, _ = exact.layers[1]
    assert isinstance(W, SparseIntegers)
    whole = W.dot(np.eye(30, dtype=int).astype(object))
    assert (whole / exact.scales[1] == network.affine[1].W.toarray()).all()


def test_an_estimate_draws_from_sparse_layers():
    network = sparse(banded(2, width=40))
    counted = enumerate_regions(network, BOX).regions
    found = rs.estimate(network, BOX, time_limit=1.0)
    assert found.low <= counted <= found.high or found.exact


def test_a_row_of_zeros_is_exactly_zero_though_zeros_are_stored():
    W = csr_array(np.eye(20))
    W.data[3] = 0.0  # stored, and nothing
    first = np.random.default_rng(0).normal(size=(20, 2))
    network = from_layers([(first, np.zeros(20)), (np.ones((1, 20)), np.zeros(1))])
    network = Network((network.affine[0], Affine(W, np.zeros(20)), network.affine[1]), (Gate.relu(20), Gate.relu(20)))
    found = enumerate_regions(network, BOX)
    assert found.level == "certified"
    assert not found.patterns[:, 23].any()
    assert weights_of(network).first[-1] == 19


def test_a_layer_is_held_by_its_weights_where_it_is_sparse_and_refused_where_it_is_not(monkeypatch):
    network = banded(0, width=64)
    monkeypatch.setattr("relu_shallow.regions.search.WEIGHTS", 3 * 64 * 3 + 5 * 64)
    assert enumerate_regions(sparse(network), rs.Box([0.0, 0.0], [0.01, 0.01])).regions
    with pytest.raises(ModelError, match="slice"):
        enumerate_regions(network, rs.Box([0.0, 0.0], [0.01, 0.01]))


def test_a_search_of_sparse_layers_is_stopped_and_gone_on_with(tmp_path):
    network = sparse(banded(1))
    folder = rs.convert_to_folder(network, tmp_path / "s.regions", BOX, max_regions=100)
    while not folder.complete:
        folder = rs.convert_to_folder(network, tmp_path / "s.regions", BOX, max_regions=100, resume=True)
    assert folder.regions == enumerate_regions(banded(1), BOX).regions
