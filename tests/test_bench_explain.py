"""The benchmark of explanations measures what it says: its peers agree with the exact values, its pages are written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from benchmark.cases import random_network  # noqa: E402
from benchmark.shapley import Game, numpy_enumeration, ours, shap_exact, torch_enumeration  # noqa: E402
from benchmark.tables import named_table  # noqa: E402
from benchmark.verishap import CROWN, CROWN_IBP, INTERVALS, enclosures  # noqa: E402

from relu_shallow.explanation import Background  # noqa: E402
from relu_shallow.explanation.exact import exact_values  # noqa: E402
from relu_shallow.network import from_layers  # noqa: E402

NETWORK = from_layers(random_network((6, 7, 5, 1), 0, 1.0).layers)
POINTS = np.random.default_rng(0).normal(size=(4, 6))


def run(script, *arguments):
    environment = {**os.environ, "RELU_SHALLOW_DATA": str(ROOT / "nothing")}
    return subprocess.run([sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)], capture_output=True,
                          text=True, check=False, env=environment)  # fmt: skip


@pytest.mark.parametrize("system", [numpy_enumeration, torch_enumeration, shap_exact])
def test_enumerations_and_shap_give_the_same_values(system):
    from torch import nn, tensor

    module = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1)).double()
    for layer, affine in zip(module[::2], NETWORK.affine, strict=True):
        layer.weight.data, layer.bias.data = tensor(affine.W), tensor(affine.b)
    game = Game("", module, NETWORK, POINTS[:2], np.where(np.arange(6) == 3, POINTS[0], POINTS[2:]))
    np.testing.assert_allclose(system(game), ours(1)(game), atol=1e-10)


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize("bounds", [INTERVALS, CROWN_IBP, CROWN])
def test_the_peer_s_intervals_hold_the_exact_values_and_close_on_them(bounds, points):
    x, B = POINTS[0], POINTS[1 : 1 + points]
    exact = exact_values(NETWORK, x[None], Background(B, np.ones(points)), [0])[0, 0]
    found = enclosures(NETWORK, x, B, bounds, [0.0, 5.0])
    assert (found.lo <= exact + 1e-10).all()
    assert (found.hi >= exact - 1e-10).all()
    assert found.splits.tolist() == [0, found.splits[1]]
    assert not found.settled[0]
    assert found.settled[1]
    np.testing.assert_allclose(found.lo[1], exact, atol=1e-4)
    assert (found.hi[0] - found.lo[0]).min() > 1e-3


def test_a_category_becomes_a_column_for_each_word(tmp_path, monkeypatch):
    (tmp_path / "tabular").mkdir()
    (tmp_path / "tabular/t.csv").write_text("age,sex,income\n30, a,1\n40,b ,0\n,a,1\n")
    monkeypatch.setattr("benchmark.tables.DATA", tmp_path)
    X, y, names = named_table("t.csv", "income")
    assert names == ("age", "sex_a", "sex_b")
    assert X.tolist() == [[30, 1, 0], [40, 0, 1]]
    assert y.tolist() == [1, 0]


def test_the_page_of_local_values_names_every_step(tmp_path):
    done = run("bench_explain.py", "--part", "local", "--quick", "--write", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.md").read_text() in done.stdout
    assert done.stdout.count("of it: certificates") == 2


def test_tables_that_are_not_there_are_said_to_be_missing():
    done = run("real_tables.py", "--table", "diabetes", "--rows", 1)
    assert done.returncode == 2
    assert "tabular/pima-indians-diabetes.csv is not in the data folder" in done.stderr
    assert "Traceback" not in done.stderr
