"""Networks that fall apart into modules: found whatever the order of neurons, adding up exactly, region by region."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED, case, planted
from scipy.sparse import csr_array

from relu_shallow.certify import verify
from relu_shallow.conversion import convert
from relu_shallow.domain import Box, WholeSpace
from relu_shallow.errors import FormatError, OutputError, UsageError
from relu_shallow.load import load_network
from relu_shallow.modules import addend, modules_of, never_bending
from relu_shallow.network import Affine, Gate, Network, activation_patterns, evaluate, from_layers
from relu_shallow.shallow.layout import lay_out, read_back
from relu_shallow.shallow.projection import regions_by_module


def summed(network, X):
    return sum(evaluate(addend(network, module), X) for module in modules_of(network))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_planted_modules_are_found_whatever_the_order_of_neurons(seed, depth):
    network, label = planted(seed, modules=4, widths=(3, 2, 4)[:depth])
    found = modules_of(network)
    if depth == 1:  # one for each neuron
        assert [module.neurons.tolist() for module in found] == [[j] for j in range(12)]
    else:
        assert len(found) == 4
        assert all(len(np.unique(label[module.neurons])) == 1 for module in found)
    assert sorted(np.concatenate([module.neurons for module in found])) == list(range(network.neurons))
    assert [module.neurons[0] for module in found] == sorted(module.neurons[0] for module in found)


def test_one_weight_between_two_modules_makes_them_one():
    network, label = planted(0, modules=4)
    W = network.affine[1].W.copy()
    W[np.argmax(label[12:] == 1), np.argmax(label[:12] == 2)] = 1e-300
    joined = replace(network, affine=(network.affine[0], Affine(W, network.affine[1].b), network.affine[2]))
    assert len(modules_of(joined)) == 3


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans())
def test_the_addends_sum_to_the_network(seed, modules, depth, straight, sparse):
    gates = ("relu", "leaky", "abs", "linear", "linear") if straight else ("relu", "leaky", "abs")
    network, _ = planted(seed, modules, (2, 1, 3, 2)[:depth], gates=gates)
    rng = np.random.default_rng(seed)
    affine = [Affine(layer.W * (rng.random(layer.W.shape) < 0.8), layer.b) for layer in network.affine]
    if sparse:
        affine = [Affine(csr_array(layer.W), layer.b) for layer in affine]
    network = replace(network, affine=tuple(affine))  # with neurons that take nothing, or that reach no output
    X = rng.normal(size=(50, 3))
    np.testing.assert_allclose(summed(network, X), evaluate(network, X), rtol=1e-12, atol=1e-12)
    found = modules_of(network)
    assert sum(module.rest for module in found) == 1
    patterns = activation_patterns(network, X)
    for module in found:
        np.testing.assert_array_equal(activation_patterns(addend(network, module), X), patterns[:, module.neurons])
    bending = np.concatenate([module.neurons[~never_bending(network)[module.neurons]] for module in found])
    assert len(np.unique(bending)) == len(bending) == (~never_bending(network)).sum()


def test_a_linear_path_from_the_inputs_joins_nothing():
    """relu(x0), relu(x1) and a copy of x0 + x1 that both neurons of the second layer take: two modules share it."""
    relu, linear = (0.0, 1.0), (1.0, 1.0)
    first = Gate(*np.array([relu, relu, linear]).T)
    layers = [([[1, 0], [0, 1], [1, 1]], [0, 0, 0]), ([[1, 0, 1], [0, 1, -2]], [0, 1]), ([[1, 1]], [3])]
    affine = tuple(Affine(np.array(W, float), np.array(b, float)) for W, b in layers)
    network = Network(affine, (first, Gate.relu(2)))
    found = modules_of(network)
    assert [module.neurons.tolist() for module in found] == [[0, 2, 3], [1, 2, 4]]
    X = np.random.default_rng(0).normal(size=(100, 2))
    np.testing.assert_allclose(summed(network, X), evaluate(network, X), rtol=1e-14, atol=1e-14)
    first = replace(network, gates=(Gate.relu(3), Gate.relu(2)))
    assert len(modules_of(first)) == 1  # now it bends, and joins them


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("domain", [Box(-1, 1), WholeSpace()], ids=["box", "everywhere"])
def test_joint_patterns_project_exactly_onto_those_of_each_module(seed, domain):
    network, _ = planted(seed, gates=("relu", "leaky"))
    joint, apart = convert(network, domain), convert(network, domain, modular=True)
    assert joint.completeness.level == apart.completeness.level == "certified"
    counts = [table.regions for table in apart.tables]
    assert len(counts) == 3
    assert max(counts) <= joint.regions <= np.prod(counts)
    assert regions_by_module(joint.table, modules_of(network)).tolist() == counts
    for table in apart.tables:
        parts = np.unique(joint.table.patterns[:, table.module.neurons], axis=0)
        np.testing.assert_array_equal(parts, table.patterns)


def test_over_a_product_of_own_inputs_the_joint_regions_are_the_product():
    network, _ = planted(5, modules=3, widths=(4, 3), own_inputs=True)
    counts = [table.regions for table in convert(network, Box(-2, 2), modular=True).tables]
    assert min(counts) > 1
    assert convert(network, Box(-2, 2)).regions == np.prod(counts)


@pytest.mark.parametrize("seed", range(5))
def test_pieces_on_a_line_less_one_add_up(seed):
    """On a line the breakpoints of the whole are those of its modules together."""
    network, _ = planted(seed, modules=4, inputs=1)
    joint, apart = convert(network), convert(network, modular=True)
    assert joint.regions - 1 == sum(table.regions - 1 for table in apart.tables)


@pytest.mark.parametrize("seed", range(3))
def test_the_sum_of_tables_is_the_network(seed):
    network, _ = planted(seed, modules=4, widths=(3, 3), inputs=4, gates=("relu", "abs", "linear"))
    shallow = convert(network, Box(-1, 1), modular=True)
    X = np.random.default_rng(seed).uniform(-1, 1, (2000, 4))
    np.testing.assert_allclose(shallow(X), evaluate(network, X), rtol=1e-10, atol=1e-10)


def test_a_network_of_one_module_is_converted_as_ever():
    network = case("p_d2_6x6").network
    assert [len(module.neurons) for module in modules_of(network)] == [12]
    shallow = convert(network, Box(-1, 1), modular=True)
    assert shallow.table.module is None
    assert shallow.table.network is network


@pytest.mark.parametrize("name", sorted(NAMED))
def test_no_network_is_too_odd_to_be_parted(name):
    network = NAMED[name].network
    X = np.random.default_rng(0).normal(size=(20, network.inputs))
    np.testing.assert_allclose(summed(network, X), evaluate(network, X), rtol=1e-12, atol=1e-12)


def test_largest_of_several_keep_their_brackets():
    from torch import nn

    pool = nn.Sequential(nn.Conv1d(1, 2, 2, groups=1), nn.MaxPool1d(3), nn.Flatten(), nn.Linear(4, 1)).double()
    network = load_network(pool, input_shape=(1, 7))
    assert len(network.brackets)
    found = modules_of(network)
    assert len(found) == 4  # one for each place of the pool, each with its two comparisons
    assert sum(len(addend(network, module).brackets) for module in found) == len(network.brackets)
    joint, apart = convert(network, Box(-1, 1)), convert(network, Box(-1, 1), modular=True)
    assert [table.choices for table in apart.tables] == [3] * 4
    assert joint.choices <= 3**4


def test_limits_are_for_all_modules_together():
    network, _ = planted(1, modules=3, widths=(4, 4))
    counts = [table.regions for table in convert(network, modular=True).tables]
    partial = convert(network, modular=True, max_regions=counts[0] + 3)
    assert [table.regions for table in partial.tables] == [counts[0], 2, 1]
    assert not partial.completeness.complete
    with pytest.raises(UsageError, match="each of the 3 modules"):
        convert(network, modular=True, max_regions=2)
    found = []
    convert(network, modular=True, progress=found.append)
    assert found == sorted(found)


def test_a_sum_is_stored_and_read_back():
    network, _ = planted(2)
    shallow = convert(network, Box(-1, 1), modular=True)
    back = read_back(*lay_out(shallow))
    X = np.random.default_rng(0).uniform(-1, 1, (100, 3))
    np.testing.assert_array_equal(back(X), shallow(X))
    with pytest.raises(OutputError, match="--modular"):
        _ = back.table
    one = replace(shallow, tables=shallow.tables[:1])  # a module alone is not the network
    assert not verify(one).ok
    with pytest.raises(OutputError, match="--modular"):
        _ = one.table
    with pytest.raises(FormatError, match="single one"):
        read_back(*lay_out(one))
    for neurons in ([0, 0], [1, 0], [8], [99], []):
        arrays, about = lay_out(shallow)
        arrays["table.1.neurons"] = np.array(neurons, dtype=np.int64)
        with pytest.raises(FormatError):
            read_back(arrays, about)


def test_no_proof_is_promised_of_a_sum():
    with pytest.raises(UsageError, match="proof"):
        convert(planted(0)[0], Box(-1, 1), modular=True, proof=True)


def test_of_a_network_without_neurons_there_is_one_module():
    plane = from_layers([(np.ones((1, 2)), np.zeros(1))])
    assert len(modules_of(plane)) == 1
    assert convert(plane, modular=True).regions == 1
