"""Max, Min, MaxPool and ReduceMax of ONNX files are one choice each: merged regions are the winners."""

import numpy as np
import pytest
from onnx_models import Case, node, weights

from relu_shallow.domain import Box
from relu_shallow.load import load_network
from relu_shallow.network import without_losers
from relu_shallow.regions.search import enumerate_regions

K, CONSTANT = 5, -1.0
W, B = weights(7, 2, K), weights(8, K)
PARTS = [node("MatMul", f"x W{place}", f"p{place}") for place in range(K)]
SHIFTED = [node("Add", f"p{place} b{place}", f"h{place}") for place in range(K)]
ONE_BY_ONE = {f"W{place}": W[:, place : place + 1] for place in range(K)} | {
    f"b{place}": B[place : place + 1] for place in range(K)}  # fmt: skip
ALL = [node("MatMul", "x W", "p"), node("Add", "p b", "h")]
NAMES = " ".join(f"h{place}" for place in range(K))
SPACE = [node("Unsqueeze", "h one", "s")]
MADE = {
    "Max": ([*PARTS, *SHIFTED, node("Max", NAMES)], ONE_BY_ONE),
    "Min": ([*PARTS, *SHIFTED, *(node("Neg", f"h{place}", f"n{place}") for place in range(K)),
             node("Min", NAMES.replace("h", "n"))], ONE_BY_ONE),
    "ReduceMax": ([*ALL, node("ReduceMax", "h", axes=[1])], {"W": W, "b": B}),
    "MaxPool": ([*ALL, *SPACE, node("MaxPool", "s", kernel_shape=[K])], {"W": W, "b": B, "one": np.array([1])}),
    "GlobalMaxPool": ([*ALL, *SPACE, node("GlobalMaxPool", "s")], {"W": W, "b": B, "one": np.array([1])}),
}  # fmt: skip
GRID = np.stack(np.meshgrid(*[np.linspace(-3, 3, 600)] * 2), axis=-1).reshape(-1, 2)


def winners(*more):
    scores = np.column_stack([GRID @ W.astype(np.float64) + B, *(np.full(len(GRID), value) for value in more)])
    return len(set(scores.argmax(axis=1)))


def merged(case, tmp_path):
    network = load_network(case.save(tmp_path))
    found = enumerate_regions(network, Box(np.full(2, -3.0), np.full(2, 3.0)))
    assert found.level == "certified"
    return len(np.unique(without_losers(network, found.patterns), axis=0))


@pytest.mark.parametrize("name", MADE)
def test_merged_regions_are_the_winners(name, tmp_path):
    nodes, tensors = MADE[name]
    assert merged(Case(nodes, (1, 2), tensors, 17), tmp_path) == winners()


def test_a_constant_is_one_more_that_can_win(tmp_path):
    nodes, tensors = MADE["Max"]
    case = Case([*nodes[:-1], node("Max", f"{NAMES} c")], (1, 2), {**tensors, "c": np.float32([[CONSTANT]])}, 17)
    assert merged(case, tmp_path) == winners(CONSTANT) == winners() + 1
