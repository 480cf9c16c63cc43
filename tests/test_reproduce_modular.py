"""The script that repeats the experiments on modular networks: it goes on where it was, and its page says what is."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from reproduce_modular import main  # noqa: E402
from reproduction.counting import most_regions, regions  # noqa: E402
from reproduction.findings import findings  # noqa: E402
from reproduction.page import page, short  # noqa: E402
from reproduction.results import append, key_of, missing, read  # noqa: E402
from reproduction.tasks import TASKS, split, untrained  # noqa: E402
from reproduction.ways import MAKE, MASK, ORDINARY, STEPS, dense_part, inputs_of_dense, train, wanted  # noqa: E402

from relu_shallow.network import from_layers, preactivations  # noqa: E402

QUICK = TASKS["checkerboard"].quick()


def script(path, *words, task="checkerboard"):
    """What the script says on stdout and stderr."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert main(["--only", task, "--seeds", "1", "--results", str(path), *words]) == 0
    return out.getvalue(), err.getvalue()


def result(**changes):
    """A line as a run writes it."""
    one = {"task": "checkerboard", "way": STEPS, "k": 4, "seed": 0, "quick": False, "limit": 120.0, "accuracy": 0.9,
           "before": 0.9, "C": 0.9, "C_published": 0.3, "removed": 0.8, "changed": 0.1, "proved": 0.5, "special": 0.5,
           "random": [0.4, 0.6], "cost": 0.1, "random_cost": 0.2, "all_seconds": 1.0,
           **{kind: {"weights": 10.0, "share": 0.1, "answered": 0.5} for kind in ("circuit", "circuit_published")},
           "count": {"modules": 4, "most": 100.0, "estimate": None, "ended": True, "regions": 90,
                     "seconds": 0.1}}  # fmt: skip
    return one | changes


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The results file of one quick run of everything on the checkerboard."""
    path = tmp_path_factory.mktemp("reproduction") / "results.jsonl"
    script(path, "--quick")
    return path


def test_every_run_adds_its_line_and_none_is_done_twice(done):
    keys = [("checkerboard", way, k, 0, True) for way, k in wanted(QUICK)]
    assert [key_of(json.loads(line)) for line in done.read_text().splitlines()] == keys
    before = done.read_bytes()
    assert script(done, "--quick") == ("", "")
    assert done.read_bytes() == before


def test_a_run_that_was_cut_off_is_done_again_and_gives_the_same(done, tmp_path):
    lines = done.read_text().splitlines(keepends=True)
    path = tmp_path / "results.jsonl"
    path.write_text("".join(lines[:-1]) + lines[-1][:40])  # torn in the middle of its last line
    _, said = script(path, "--quick")
    assert "that are no results and were left out: 1" in said
    assert said.count("accuracy") == 1
    again, first = json.loads(path.read_text().splitlines()[-1]), json.loads(lines[-1])
    assert {**again, "training_seconds": 0, "all_seconds": 0, "count": 0} == {
        **first, "training_seconds": 0, "all_seconds": 0, "count": 0}  # fmt: skip
    assert again["count"]["regions"] == first["count"]["regions"]


def test_quick_results_are_no_real_ones(done):
    shown, said = script(done, "--table")
    assert "| three steps |" not in shown
    assert "- checkerboard: 10 runs, of seeds 0" in shown
    assert said.count("missing: ") == 10


def test_a_result_whose_line_end_is_missing_counts_and_the_next_starts_a_new_line(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(result()))
    append(path, result(seed=1))
    found = read(path)
    assert (len(found.found), found.torn) == (2, 0)
    keys = [key_of(result(seed=seed)) for seed in range(3)]
    assert missing(keys, found) == keys[2:]


def test_missing_data_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RELU_SHALLOW_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"mnist_train_10k\.npz.* set RELU_SHALLOW_DATA"):
        script(tmp_path / "results.jsonl", task="mnist")


def test_the_page_tells_means_spread_and_what_ended():
    found = [result(), result(seed=1, accuracy=0.7, special=0.7,
                              count={"modules": 4, "most": 3e9, "ended": False, "regions": 50, "seconds": 120.0,
                                     "estimate": {"regions": 2e7, "low": 1e7, "high": 4e7, "hours": 1.0}})]  # fmt: skip
    keys = [key_of(one) for one in found]
    text = page([TASKS["checkerboard"]], keys, _results(found))
    assert "| three steps | 4 | 2 | 0.800 ± 0.100 | 0.900 ± 0.000 |" in text
    assert "| 0.600 ± 0.100 | 0.500 ± 0.000 | 1 of 2 |" in text  # 0.5 is not above the draw of 0.6, 0.7 is
    assert "| 4 | 1 of 2 | ≈ 10^7.3 (10^7.0 to 10^7.6), > 50 |  | 10^9.5 |" in text
    assert "Not measured" not in text


def test_accuracies_are_compared_within_a_seed():
    """Three steps gain 10 points with one seed and lose 20 with another, though the seeds differ more than that."""
    plain = [result(way=ORDINARY, k=1, seed=seed, accuracy=value) for seed, value in ((0, 0.5), (1, 0.9))]
    steps = [result(seed=0, accuracy=0.6), result(seed=1, accuracy=0.7), result(seed=2, accuracy=0.0)]
    assert "three steps in 4 -5.0 ± 15.0." in findings([TASKS["checkerboard"]], [*plain, *steps])


def test_large_numbers_are_rounded_up_where_they_bound():
    assert short(92.0) == "92"
    assert (short(1.1e9), short(1.1e9, up=True)) == ("10^9.0", "10^9.1")


@pytest.mark.parametrize("seed", range(4))
def test_no_network_has_more_regions_than_the_bound(seed):
    """Patterns seen at many points of the box are regions; those of a conversion are all."""
    rng = np.random.default_rng(seed)
    widths = (2, 6, 5, 1)
    network = from_layers([(rng.normal(size=(b, a)), rng.normal(size=b) / 2)
                           for a, b in pairwise(widths)])  # fmt: skip
    lo, hi = -np.ones(2), np.ones(2)
    points = np.array(list(product(np.linspace(-1, 1, 201), repeat=2)))
    seen = np.unique(np.concatenate(preactivations(network, points)[:2], axis=1) > 0, axis=0)
    counted = regions(network, lo, hi, 20.0, seed)
    assert counted["ended"]
    assert len(seen) <= counted["regions"] <= most_regions(network, lo, hi) == counted["most"]


def test_the_bound_is_reached_by_lines_in_general_position():
    """Three lines that cross within the square part it into 7; a fourth neuron that is always on adds nothing."""
    W = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 1.0], [1.0, 0.0]])
    network = from_layers([(W, np.array([0.0, 0.0, 0.3, 5.0])), (np.ones((1, 4)), np.zeros(1))])
    assert most_regions(network, -np.ones(2), np.ones(2)) == 7


@pytest.mark.parametrize("way", [STEPS, MASK, MAKE])
def test_each_way_gives_a_network_in_as_many_modules(way):
    trained = train(QUICK, way, 4, 0)
    counted = regions(dense_part(trained.module), np.zeros(2), np.ones(2), 20.0, 0)
    assert counted["modules"] >= 4  # a module may fall apart further
    assert (trained.made.stages[-1].clusterability, counted["ended"]) == (1.0, True)


def test_the_dense_part_gives_what_the_whole_network_gives():
    """Of the network with a convolution: its dense part on what comes into it."""
    import torch

    module = untrained(TASKS["cifar10"], 0).eval()
    X = np.random.default_rng(0).uniform(size=(3, 3, 32, 32)).astype(np.float32)
    inputs = inputs_of_dense(module, X)
    assert inputs.shape == (3, 4096)
    with torch.no_grad():
        np.testing.assert_allclose(dense_part(module)(inputs), module(torch.from_numpy(X)).numpy(), atol=1e-5)


def test_one_hidden_layer_has_about_as_many_weights():
    for task in TASKS.values():
        into, hidden, out = task.one_layer
        assert abs(hidden * (into + out) - task.weights) <= (into + out) / 2


def test_held_out_rows_are_drawn_by_the_seed_and_not_trained_on():
    (X, _), (Xt, yt) = split(TASKS["digits"], 0)
    assert (len(X), len(Xt), len(yt)) == (1437, 360, 360)
    other = split(TASKS["digits"], 1)[1][0]
    assert not np.array_equal(Xt, other)


def _results(found):
    from reproduction.results import Results

    return Results({key_of(one): one for one in found}, 0)
