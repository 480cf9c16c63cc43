"""The whole job on published networks: convert, verify, explain, with the counts that two enumerators agree on."""

import numpy as np
import pytest
from command_line import run, run_json
from conftest import data_path

from relu_shallow.domain import WholeSpace
from relu_shallow.shallow.store import load_shallow

SINGLE = "onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx"
DOUBLE = "onnx/archcomp/Double_Pendulum_controller_double_pendulum_less_robust.onnx"
ACAS = "onnx/acasxu/ACASXU_run2a_1_1_batch_2000.onnx"
JOBS = {
    "single pendulum": (SINGLE, "box:-2,2", 1_266),
    "single pendulum, whole plane": (SINGLE, "all", 1_280),
    "single pendulum, .nnet": ("nnet/controller_single_pendulum.nnet", "box:-2,2", None),
    "double pendulum": (DOUBLE, "box:-2,2", 120_879),
    "ACAS Xu, property 3": (ACAS, "vnnlib:onnx/acasxu/prop_3.vnnlib", 71_930),
    "ACAS Xu, property 4": (ACAS, "vnnlib:onnx/acasxu/prop_4.vnnlib", 19_143),
}


@pytest.mark.parametrize(("model", "domain", "regions"), JOBS.values(), ids=JOBS)
def test_a_published_network_is_converted_verified_and_explained(model, domain, regions, tmp_path):
    model = data_path(model)
    if domain.startswith("vnnlib:"):
        domain = f"vnnlib:{data_path(domain.removeprefix('vnnlib:'))}"
    report = run_json("convert", model, "-o", tmp_path / "s", "--domain", domain)
    assert report["complete"] is True
    assert report["certified"] is True
    if regions:
        assert report["regions"] == regions
    checked = run_json("verify", tmp_path / "s", "--model", model, "--exact")
    assert checked["ok"], [check for check in checked["checks"] if not check["ok"]]
    shallow = load_shallow(tmp_path / "s")
    rng = np.random.default_rng(0)
    low, high = (-2, 2) if isinstance(shallow.domain, WholeSpace) else (shallow.domain.lo, shallow.domain.hi)
    X = rng.uniform(low, high, size=(12, report["inputs"]))
    np.save(tmp_path / "rows.npy", X)
    explained = run_json("explain", tmp_path / "s", tmp_path / "rows.npy", "-o", tmp_path / "shap.npz")
    assert explained["status"] == {"exact": 12}
    with np.load(tmp_path / "shap.npz") as arrays:
        np.testing.assert_allclose(arrays["prediction"], shallow.network(X), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            arrays["shap_values"].sum(axis=2), arrays["prediction"] - arrays["base_value"], rtol=1e-9, atol=1e-12
        )


def test_a_network_of_people_is_read_through_stand_ins(tmp_path):
    """A pickled module whose class is nowhere to be imported; its data names the features."""
    rows = data_path("tabular/carla_heloc.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(rows[:9]))
    model = data_path("pt/carla_heloc_ann.pt")
    result = run("explain", model, tmp_path / "few.csv", "--method", "local", "--drop", "RiskPerformance")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    assert "shap_NumTrades60Ever2DerogPubRec" in result.stdout.splitlines()[0]
    assert run("inspect", data_path("pt/carla_adult_ann.pt")).exit_code == 0
