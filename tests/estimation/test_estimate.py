"""`estimate` from Python and from the command line."""

from itertools import pairwise

import numpy as np
import pytest
from command_line import random_layers, run, run_json, write_onnx

import relu_shallow as rs
from relu_shallow.estimation import estimating
from relu_shallow.estimation.cost import cost_of, file_bytes
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import build_table


@pytest.fixture
def deep():
    """A network with far more regions than half a second can list."""
    rng = np.random.default_rng(0)
    widths = [5, 40, 40, 1]
    return from_layers([(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in pairwise(widths)])


def test_a_small_network_is_counted_exactly():
    rng = np.random.default_rng(1)
    network = from_layers([(rng.normal(size=(8, 2)), rng.normal(size=8)), (rng.normal(size=(1, 8)), np.zeros(1))])
    for domain in (rs.Box(-1, 1), rs.WholeSpace()):
        found = rs.estimate(network, domain, time_limit=20.0, workers=1)
        assert found.exact
        assert found.low == found.regions == found.high == enumerate_regions(network, domain).regions


def test_a_large_network_is_estimated_in_the_time_given(deep):
    found = rs.estimate(deep, rs.Box(-1, 1), time_limit=0.5, workers=1)
    assert not found.exact
    assert found.counted <= found.low < found.regions < found.high
    assert found.replicates >= estimating.FEWEST
    assert found.regions > 3 * found.counted
    assert found.hours(2 * found.cores) == pytest.approx(found.hours() / 2)
    assert found.bytes > 100 * found.regions > found.folder_bytes > 8 * found.regions


def test_the_bytes_of_a_file_are_those_of_its_arrays(tmp_path):
    rng = np.random.default_rng(2)
    network = from_layers([(rng.normal(size=(16, 3)), rng.normal(size=16)), (rng.normal(size=(2, 16)), np.zeros(2))])
    shallow = rs.convert(network, rs.Box(-1, 1))
    rs.save_shallow(shallow, tmp_path / "s.safetensors")
    extra = (tmp_path / "s.safetensors").stat().st_size - file_bytes(shallow.tables[0])
    assert 0 < extra < 8_000, "the header and the network itself"
    listed = enumerate_regions(network, rs.Box(-1, 1))
    assert cost_of(listed, 1.0).bytes * listed.regions == pytest.approx(file_bytes(build_table(listed)))


def test_the_command_reports_the_number_and_the_cost(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 6, 1))
    report = run_json("estimate", model, "--domain", "box:-1,1", "--time-limit", "20")
    converted = run_json("convert", model, "--domain", "box:-1,1")
    assert report["exact"]
    assert report["regions"] == converted["regions"]
    assert report["interval"] == [report["regions"]] * 2
    assert report["advice"] == ""


def test_what_is_out_of_reach_comes_with_advice(deep):
    from relu_shallow.cli.estimate import advice, describe

    found = rs.Estimate(1e12, 1e11, 1e13, False, 5, 12, 2, 1e8, 1e15, 1e14, 10.0)
    assert "--domain" in advice(found)
    assert "--max-regions" in describe(found)["advice"]


@pytest.mark.parametrize("option", [("--time-limit", "0"), ("--seed", "-1"), ("--domain", "box:1"), ("--workers", "0")])
def test_a_bad_option_is_one_message_and_status_2(tmp_path, option):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    done = run("estimate", model, *option)
    assert done.exit_code == 2


def test_a_flat_polytope_has_no_interior():
    network = from_layers([(np.ones((1, 1)), np.zeros(1)), (np.ones((1, 1)), np.zeros(1))])
    with pytest.raises(rs.ReluShallowError, match="no interior"):
        rs.estimate(network, rs.Polytope([[1.0], [-1.0]], [0.0, 0.0]))


def test_the_interval_covers_on_fresh_seeds_with_a_small_budget():
    """A small part of scripts/estimate_coverage.py."""
    rng = np.random.default_rng(0)
    network = from_layers([(rng.normal(size=(12, 4)), rng.normal(size=12)), (rng.normal(size=(12, 12)), np.zeros(12)),
                           (rng.normal(size=(1, 12)), np.zeros(1))])  # fmt: skip
    domain = rs.Box(np.full(4, -1.0), np.full(4, 1.0))
    true = enumerate_regions(network, domain).regions
    covered, exact = 0, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        numbers, _, all_found = estimating.replicates(estimating.trees_of(network, domain, seed), 2, 8, rng, map)
        _, low, high = estimating.interval(numbers)
        covered += all_found or low <= true <= high
        exact += all_found
    assert exact <= 2, "the network is too small to test anything"
    assert covered >= 7
