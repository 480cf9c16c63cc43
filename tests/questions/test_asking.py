"""What every question has in common: what it may be put to, and wishes that contradict one another."""

import numpy as np
import pytest
import torch

import relu_shallow as rs
from relu_shallow.errors import UsageError


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2)).double().eval()


@pytest.fixture(scope="module")
def path(module, tmp_path_factory):
    target = tmp_path_factory.mktemp("models") / "model.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 2, dtype=torch.float64),)), target)
    return target


BOX = rs.Box(-1.0, 1.0)
X = np.array([[0.3, -0.2], [0.1, 0.8]])
QUESTIONS = {
    "robust_radii": lambda source: rs.robust_radii(source, X, domain=BOX).upper,
    "counterfactual": lambda source: rs.counterfactual(source, X[0], domain=BOX).nearest.upper,
    "extremes": lambda source: rs.extremes(source, 0, domain=BOX).maximum.value,
    "monotone": lambda source: rs.monotone(source, domain=BOX).status.tolist(),
    "interactions": lambda source: rs.interactions(source, domain=BOX).status.tolist(),
    "effects": lambda source: rs.effects(source, X, 0).mean,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_may_be_put_to_a_module_a_path_and_a_network_alike(question, module, path):
    ask = QUESTIONS[question]
    wanted = ask(rs.load_network(path))
    np.testing.assert_array_equal(ask(path), wanted)
    np.testing.assert_array_equal(ask(str(path)), wanted)
    np.testing.assert_array_equal(ask(module), wanted)


def test_a_feature_fixed_outside_its_range_is_a_contradiction(module):
    constraints = rs.Constraints(fixed=(0,), ranges={0: (5.0, 6.0)})
    with pytest.raises(UsageError, match=r"input 0 is fixed at 0\.3, which its range 5 to 6 does not hold"):
        rs.counterfactual(module, X[0], constraints=constraints)


def test_a_threshold_of_no_output_is_refused(module):
    with pytest.raises(UsageError, match="a threshold is of one output"):
        rs.robust_radii(module, X, threshold=0.5)
    with pytest.raises(UsageError, match="a threshold is of one output"):
        rs.counterfactual(module, X[0], threshold=0.5)
