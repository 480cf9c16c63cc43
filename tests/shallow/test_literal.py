import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED, case

from relu_shallow.checks import places
from relu_shallow.domain import Box, WholeSpace, contains
from relu_shallow.errors import OutputError
from relu_shallow.export import export_shallow
from relu_shallow.network import evaluate, from_layers
from relu_shallow.precision import UNIT32, equality_error
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.literal import LiteralNetwork
from relu_shallow.shallow.table import ShallowNetwork


def converted(network, domain):
    return shallow_network(enumerate_regions(network, domain))


def assert_same(literal, network, X):
    """Deep and literal agree within float64's rounding, and within float32's after .float(), at float32 points."""
    exact = evaluate(network, X)
    assert (np.abs(literal(torch.from_numpy(X)).numpy() - exact) <= 2 * equality_error(network, X)).all()
    single = X.astype(np.float32)
    bound = 2 * equality_error(network, single.astype(np.float64), UNIT32)
    value = literal.float()(torch.from_numpy(single)).double().numpy()
    literal.double()
    assert (np.abs(value - evaluate(network, single.astype(np.float64))) <= bound).all()


def active_regions(literal, x):
    """How many regions have no penalty at each point: a point beyond layer 3's relu cannot show it, so ask layer 2."""
    layer2 = literal.hidden(x)[1]
    rows = len(literal.c)
    u, q = layer2[:, :rows].T, layer2[:, rows : 2 * rows].T
    penalty = literal._penalties(u, torch.where(q > 0, torch.inf, 0.0))
    return (penalty == 0).sum(0)


@pytest.mark.parametrize("domain", ["box", "everywhere"])
@pytest.mark.parametrize("name", sorted(NAMED))
def test_it_is_the_network_inside_regions_on_borders_and_at_corners(name, domain):
    named = NAMED[name]
    where = Box(*named.box) if domain == "box" else WholeSpace()
    shallow = converted(named.network, where)
    rng = np.random.default_rng(0)
    table = shallow.table
    X = np.concatenate(
        [
            rng.uniform(*named.box, (200, named.network.inputs)),
            np.round(4 * rng.uniform(*named.box, (200, named.network.inputs))) / 4,  # many lie exactly on borders
            np.zeros((1, named.network.inputs)),
            places.crossings(named.network, table, 100, rng),
            *places.facets_and_corners(table, 100, rng),
        ]
    )
    assert_same(LiteralNetwork(shallow), named.network, X[contains(where, X)])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 3), first=st.integers(1, 5), second=st.integers(1, 4))
def test_integer_networks_agree_exactly_at_integer_points(seed, n, first, second):
    rng = np.random.default_rng(seed)
    sizes = [n, first, second, 2]
    network = from_layers(
        [(rng.integers(-2, 3, (out, into)), rng.integers(-2, 3, out)) for into, out in itertools.pairwise(sizes)]
    )
    literal = LiteralNetwork(converted(network, WholeSpace()))
    X = np.array(np.meshgrid(*[np.arange(-3.0, 4.0)] * n)).reshape(n, -1).T.copy()  # zero pre-activations abound
    np.testing.assert_array_equal(literal(torch.from_numpy(X)).numpy(), evaluate(network, X))
    np.testing.assert_array_equal(literal.float()(torch.from_numpy(X).float()).numpy(), evaluate(network, X))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_point_activates_exactly_one_region_under_any_rounding(seed):
    rng = np.random.default_rng(seed)
    sizes = [2, 6, 4, 1]
    network = from_layers([(rng.normal(size=(o, i)), rng.normal(size=o)) for i, o in itertools.pairwise(sizes)])
    shallow = converted(network, WholeSpace())
    near = np.concatenate([
        places.crossings(network, shallow.table, 500, rng), *places.facets_and_corners(shallow.table, 200, rng)
    ])  # fmt: skip
    for literal, x in (
        (LiteralNetwork(shallow), torch.from_numpy(near)),
        (LiteralNetwork(shallow).float(), torch.from_numpy(near).float()),
    ):
        assert (active_regions(literal, x) == 1).all()


def test_the_layers_hold_the_papers_values_infinities_included():
    literal = LiteralNetwork(converted(NAMED["one_relu"].network, Box(-1, 1)))  # t = x; regions x <= 0 and x > 0
    first, second, third = literal.hidden(torch.tensor([[0.5], [0.0], [-0.25]], dtype=torch.float64))
    inf = torch.inf
    assert first.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.25]]  # p, x+, x-
    assert second.tolist() == [[inf, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.25]]  # u, q, x+, x-
    assert third.tolist() == [[0.0, 0.0, 0.5, 0.0], [0.0] * 4, [0.0] * 4]  # per region, plus and minus
    assert literal.widths == (3, 4, 4) == (first.shape[1], second.shape[1], third.shape[1])


def test_nothing_is_nan_even_where_values_overflow():
    literal = LiteralNetwork(converted(NAMED["cones"].network, WholeSpace())).float()
    huge = torch.full((1, 2), 3e38)
    assert not any(layer.isnan().any() for layer in literal.hidden(huge))


def test_a_partial_list_is_refused_because_it_would_give_zero_elsewhere():
    partial = shallow_network(enumerate_regions(NAMED["cones"].network, Box(-1, 1), max_regions=5))
    with pytest.raises(OutputError, match="partial"):
        LiteralNetwork(partial)


def test_several_tables_stand_side_by_side_and_add():
    one, two = (converted(NAMED[name].network, Box(-1, 2)) for name in ("xor", "triangle"))
    both = ShallowNetwork(one.network, one.domain, (one.table, two.table), one.completeness)
    X = np.random.default_rng(0).uniform(-1, 2, (300, 2))
    value = LiteralNetwork(both)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(value, evaluate(one.network, X) + evaluate(two.network, X), rtol=1e-12, atol=1e-12)
    assert LiteralNetwork(both).widths[2] == 2 * (one.regions + two.regions)


def test_batches_of_any_shape_and_of_any_size_give_the_same_rows(monkeypatch):
    network = case("p_d4_6x6").network
    literal = LiteralNetwork(converted(network, Box(-1, 1)))
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (6, 5, 4)))
    whole = literal(x)
    assert whole.shape == (6, 5, network.outputs)
    torch.testing.assert_close(literal(x[2, 3]), whole[2, 3], rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("relu_shallow.shallow.literal.CHUNK", 1)  # one point at a time
    torch.testing.assert_close(literal(x), whole, rtol=1e-12, atol=1e-12)
    assert literal(x[:0, 0]).shape == (0, network.outputs)


def test_it_exports_for_batches_of_any_size():
    network = NAMED["bent_line"].network
    literal = LiteralNetwork(converted(network, WholeSpace()))
    program = torch.export.export(
        literal, (torch.zeros(3, 2, dtype=torch.float64),), dynamic_shapes={"x": {0: torch.export.Dim("rows")}}
    )
    X = np.random.default_rng(0).integers(-3, 4, (50, 2)).astype(float)
    np.testing.assert_array_equal(program.module()(torch.from_numpy(X)).numpy(), evaluate(network, X))


def test_the_domain_outside_which_it_means_nothing_is_printed():
    assert "the box [-1, 1]" in repr(LiteralNetwork(converted(NAMED["beyond_the_box"].network, Box(-1, 1))))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
import relu_shallow as rs
from relu_shallow.export import export_shallow
layers = [(np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
shallow = rs.convert(rs.from_layers(layers), rs.Box(-1, 1), lp="highs")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    export_shallow(shallow, sys.argv[1])
except rs.ReluShallowError as error:
    print(error)
"""


def test_a_program_that_does_not_fit_on_the_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    words = [sys.executable, "-c", FULL_DISK, str(tmp_path / "net.pt2")]
    result = subprocess.run(words, capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"{tmp_path / 'net.pt2'} could not be written: File too large")
    assert not list(tmp_path.iterdir())


def test_a_network_of_one_region_is_refused_as_a_program_with_a_reason(tmp_path):
    network = from_layers([(np.eye(2), np.full(2, 5.0)), (np.ones((1, 2)), np.zeros(1))])
    one = shallow_network(enumerate_regions(network, Box(np.full(2, -1.0), np.full(2, 1.0))))
    with pytest.raises(OutputError, match="one region"):
        export_shallow(one, tmp_path / "one.pt2")
    assert not any(tmp_path.iterdir())
