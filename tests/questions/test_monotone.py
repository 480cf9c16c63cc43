"""What is proved monotone is so in exact arithmetic, and what is refuted has two points to show for it."""

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_onnx
from conftest import data_path
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NAMED

from relu_shallow import Box, WholeSpace, convert, load_network
from relu_shallow.domain import contains
from relu_shallow.errors import DomainError
from relu_shallow.network import Affine, Gate, Network, evaluate, from_layers
from relu_shallow.questions.gradients import gradient_bounds
from relu_shallow.questions.monotone import FALLING, RISING, exact_value, monotone
from relu_shallow.relaxation import preactivation_bounds


def answers(found, k=0):
    return [tuple(status) for status in found.status[:, k].T.tolist()]


def test_hand_worked_answers():
    cases = {"one_relu": [("proved", "refuted")], "abs": [("refuted", "refuted")], "xor": [("refuted", "refuted")] * 2,
             "linear": [("proved", "refuted"), ("refuted", "proved")], "constants": [("proved", "proved")],
             "bent_line": [("refuted", "proved")] * 2}  # fmt: skip
    for name, expected in cases.items():
        case = NAMED[name]
        by_regions = monotone(convert(case.network, domain=Box(*case.box)))
        by_search = monotone(case.network, domain=Box(*case.box))
        k = 1 if name == "bent_line" else 0
        if name == "bent_line":  # outputs relu(relu(x) + relu(y) - 1) and 2 minus it
            assert answers(by_regions, 0) == [("proved", "refuted")] * 2
        assert answers(by_regions, k) == expected, name
        assert answers(by_search, k) == expected, name


def test_slopes_that_cancel_to_zero_are_settled_exactly():
    # 0.1 x + 0.2 x - 0.3 x in floats is 2^-55.8 x: not zero, and far below what rounding hides
    network = from_layers([(np.ones((1, 1)), np.ones(1)), (np.ones((3, 1)), np.array([3.0, 4.0, 5.0])),
                           (np.array([[0.1, 0.2, -0.3]]), np.zeros(1))])  # fmt: skip
    found = monotone(convert(network, domain=Box(0.5, 1.0)))
    assert answers(found) == [("proved", "refuted")]
    low, high = found.pairs[FALLING, 0, 0]
    assert exact_value(network, high, 0) > exact_value(network, low, 0)
    same = from_layers([(np.ones((1, 1)), np.ones(1)), (np.ones((2, 1)), np.array([3.0, 4.0])),
                        (np.array([[0.1, -0.1]]), np.zeros(1))])  # fmt: skip
    assert answers(monotone(convert(same, domain=Box(0.5, 1.0)))) == [("proved", "proved")]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), positive=st.booleans())
def test_answers_of_random_networks_hold(seed, positive):
    layers = random_layers(2, 4, 3, 2, seed=seed)
    if positive:  # every weight but those of the second input: rising in the first
        layers = [(np.abs(W), b) for W, b in layers]
        layers[0][0][:, 1] *= -1
    network, box = from_layers(layers), Box(-np.ones(2), np.ones(2))
    X = np.random.default_rng(seed).uniform(-1, 1, (200, 2))
    for found in (monotone(convert(network, domain=box)), monotone(network, domain=box, time_limit=0.5)):
        if positive:
            assert (found.status[RISING, :, 0] == "proved").all()
            assert (found.status[FALLING, :, 1] == "proved").all()
        for sense, k, j in np.argwhere(found.status == "refuted").tolist():
            pair = found.pairs[sense, k, j]
            assert contains(box, pair).all()
            assert np.flatnonzero(pair[0] != pair[1]).tolist() == [j]
            assert pair[1, j] > pair[0, j]
            rise = exact_value(network, pair[1], k) - exact_value(network, pair[0], k)
            assert (rise < 0) if sense == RISING else (rise > 0)
        for sense, k, j in np.argwhere(found.status == "proved").tolist():
            moved = X.copy()
            moved[:, j] = np.minimum(X[:, j] + 0.1, 1.0)
            rise = evaluate(network, moved)[:, k] - evaluate(network, X)[:, k]
            assert ((rise >= -1e-12) if sense == RISING else (rise <= 1e-12)).all()


def test_lipschitz_constants_are_reached_and_never_passed():
    network = from_layers(random_layers(2, 5, 4, 2, seed=1))
    shallow = convert(network, domain=Box(-1.0, 1.0))
    found = monotone(shallow)
    assert found.exact_lipschitz
    assert (found.slopes[0] < shallow.alpha.min(axis=0)).all()  # outward by the rounding in alpha
    assert (found.slopes[1] > shallow.alpha.max(axis=0)).all()
    for norm, order in enumerate((np.inf, 2, 1)):  # the dual norms of L1, L2, L-infinity
        steepest = np.linalg.norm(shallow.alpha, ord=order, axis=2).max(axis=0)
        assert found.lipschitz[:, norm] == pytest.approx(steepest, rel=1e-12)
        assert (found.lipschitz[:, norm] >= steepest).all()
    by_search = monotone(network, domain=Box(-1.0, 1.0))
    assert (by_search.lipschitz >= found.lipschitz * (1 - 1e-12)).all()
    assert not by_search.exact_lipschitz


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_derivatives_lie_within_their_bounds(seed):
    rng = np.random.default_rng(seed)
    layers = random_layers(3, 5, 4, 2, seed=seed)
    gates = tuple(Gate(rng.normal(size=len(b)), rng.normal(size=len(b))) for _, b in layers[:-1])
    network = Network(tuple(Affine(W, b) for W, b in layers), gates)
    lo = rng.uniform(-1, 0, 3)
    hi = lo + rng.uniform(0, 0.5, 3)
    low, high = gradient_bounds(network, preactivation_bounds(network, lo, hi))
    X, step = rng.uniform(lo, hi, (300, 3)), 1e-6
    for j in range(3):
        moved = X.copy()
        moved[:, j] += step * np.where(X[:, j] < hi[j] - step, 1, 0)
        rise = (evaluate(network, moved) - evaluate(network, X)) / step
        assert (rise <= np.maximum(high[:, j], 0) + 1e-6).all()
        assert (rise >= np.minimum(low[:, j], 0) - 1e-6).all()


def test_a_partial_list_proves_nothing_and_refutes_what_it_shows():
    network = from_layers(random_layers(2, 6, 1, seed=2))
    partial = convert(network, domain=Box(-1.0, 1.0), max_regions=4)
    whole = convert(network, domain=Box(-1.0, 1.0))
    assert not partial.completeness.complete
    found = monotone(partial)
    assert "proved" not in found.status
    assert not found.exact_lipschitz
    assert (monotone(whole).status[found.status == "refuted"] == "refuted").all()


def test_a_fixed_feature_has_no_effect():
    network = from_layers(random_layers(2, 4, 1))
    found = monotone(convert(network, domain=Box([-1.0, 0.3], [1.0, 0.3])))
    assert answers(found)[1] == ("proved", "proved")


def test_a_real_controller_is_not_monotone_and_shows_it():
    network = load_network(data_path("onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx"))
    for domain in (Box(-2.0, 2.0), WholeSpace()):
        found = monotone(convert(network, domain=domain))
        assert (found.status == "refuted").all()
        for sense, k, j in np.ndindex(found.status.shape):
            low, high = (exact_value(network, x, k) for x in found.pairs[sense, k, j])
            assert (high < low) if sense == RISING else (high > low)


def test_the_command_says_it(tmp_path):
    W = np.abs(random_layers(2, 4, 1)[0][0])
    layers = [(W * [1, -1], np.zeros(4)), (np.ones((1, 4)), np.zeros(1))]
    model = write_onnx(tmp_path / "m.onnx", layers)
    for target in ("s", "s.regions"):
        assert run("convert", model, "--domain", "box:-1,1", "-o", tmp_path / target).exit_code == 0
    for words in ((model, "--domain", "box:-1,1"), (tmp_path / "s",), (tmp_path / "s.regions",)):
        report = run_json("monotone", *words)
        assert [entry["answer"] for entry in report["monotone"]] == ["never falls", "never rises"]
        assert report["monotone"][0]["rises_between"] is not None
        assert report["monotone"][0]["falls_between"] is None
        assert "never falls" in run("monotone", *words).stdout
    refused = run("monotone", model)
    assert refused.exit_code == 2
    one_sentence(refused.stderr, "--domain")
    with pytest.raises(DomainError, match="needs a box"):
        monotone(NAMED["abs"].network)
