"""The scripts that people and CI start with: what they install, what they say, and that a second run is safe."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from command_line import random_layers, write_csv, write_onnx

from relu_shallow.load import load_network

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))

# A stand-in for the environment's python: it notes how it is called, has no torch, and runs no pip.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*'m.version("torch")'*) exit 1 ;;
*--dry-run*) cat "$REPORT" ;;
*torch_build.py*) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the scripts use."""
    for name in ("scripts", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def sh(*words, cwd, **environment):
    return subprocess.run(["sh", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip


def report(*requirements):
    return json.dumps({"install": [{"metadata": {"name": "torch", "requires_dist": list(requirements)}}]})


@pytest.fixture
def fake(checkout):
    """Runs the set-up over the stand-in and gives its output and the calls it made."""
    executable(checkout / ".venv/bin/python", FAKE_PYTHON.format(python=sys.executable))

    def run(wanted="", extra=()):
        (checkout / "report.json").write_text(wanted)
        (checkout / "calls").write_text("")
        done = sh("scripts/setup_environment.sh", *extra, cwd=checkout, CALLS=str(checkout / "calls"),
                  REPORT=str(checkout / "report.json"))  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout, [line for line in (checkout / "calls").read_text().splitlines() if "-m pip" in line]

    return run


@pytest.fixture
def installed(checkout, fake):
    """A checkout whose environment is this one, and up to date."""
    fake(extra=["dev"])
    fake()
    executable(checkout / ".venv/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    executable(checkout / ".venv/bin/relu-shallow", f'#!/bin/sh\nexec "{sys.executable}" -m relu_shallow "$@"\n')
    return checkout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_valid_sh_and_stops_at_the_first_error(script):
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert "\nset -eu\n" in script.read_text()


def test_torch_is_installed_first_and_within_the_constraints(fake):
    _, calls = fake(report())
    installs = [call for call in calls if "--dry-run" not in call]
    assert installs[0].endswith("install --quiet -c constraints.txt torch")
    assert installs[1].endswith("install --quiet -c constraints.txt -e .")
    _, calls = fake(report(), extra=["dev"])
    assert calls[-1].endswith("-e .[dev]")


def test_a_second_set_up_installs_nothing_until_the_requirements_change(fake, checkout):
    fake(report())
    said, calls = fake(report())
    assert "up to date" in said
    assert not calls
    with (checkout / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    assert fake(report())[1]


def test_an_environment_for_the_tests_serves_the_demo_but_not_the_other_way_round(fake):
    fake(report(), extra=["dev"])
    assert not fake(report())[1]
    fake_again = fake(report(), extra=["dev"])
    assert not fake_again[1]


def test_the_accelerator_build_is_announced_before_it_is_downloaded(fake):
    said, _ = fake(
        report('nvidia-cudnn-cu13==9; platform_system == "Linux"' if sys.platform == "linux" else "nvidia-x")
    )
    assert "several gigabytes" in said
    assert said.index("several gigabytes") < said.index("installing torch")


def test_the_plain_build_is_not_warned_about(fake):
    said, _ = fake(report("sympy>=1.13", 'nvidia-cudnn-cu13==9; platform_system == "Plan9"', 'triton; extra == "x"'))
    assert "gigabytes" not in said


def test_a_pip_that_cannot_say_what_it_would_do_is_no_obstacle(fake):
    said, calls = fake("not a report")
    assert "gigabytes" not in said
    assert len(calls) == 3


def test_python_too_old_or_absent_is_said(checkout):
    tools = checkout / "tools"
    for name in ("sh", "cat", "cksum", "dirname", "printf", "rm"):
        executable(tools / name, f'#!/bin/sh\nexec {shutil.which(name)} "$@"\n')
    executable(tools / "python3", "#!/bin/sh\nexit 1\n")
    done = subprocess.run([shutil.which("sh"), "scripts/setup_environment.sh"], cwd=checkout, capture_output=True,
                          text=True, env={"PATH": str(tools)}, check=False)  # fmt: skip
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert not (checkout / ".venv").exists()


def test_pip_is_left_to_the_users_own_configuration():
    for path in [*SCRIPTS, ROOT / "pyproject.toml", ROOT / "constraints.txt", ROOT / ".ci/run"]:
        assert not re.search(r"index-url|find-links|https?://", path.read_text()), path


def test_constraints_pin_every_dependency_and_the_project_keeps_ranges():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}
    assert "torch==2.13.0" in lines
    for wish in wanted:
        assert "==" not in wish
        name = re.match(r"[\w.-]+", wish)[0].lower().replace("_", "-")
        assert name in pinned or name == "relu-shallow", name


def test_the_demo_runs_twice_and_leaves_a_page(installed):
    patients = installed / "examples/diabetes.csv"
    patients.write_text("".join(patients.read_text().splitlines(keepends=True)[:31]))  # fewer, to be quick
    for _ in range(2):
        done = sh("scripts/demo.sh", cwd=installed)
        assert done.returncode == 0, done.stderr
        assert "demo-output/diabetes.html" in done.stdout
    page = (installed / "demo-output/diabetes.html").read_text()
    assert "body_mass_index" in page
    assert (installed / "demo-output/diabetes-shap.csv").read_text().count("\n") == 31


def test_the_example_is_small_and_predicts_its_patients():
    for path in (ROOT / "examples").iterdir():
        assert path.is_dir() or path.stat().st_size < (1_500_000 if path.suffix == ".html" else 100_000)
    table = np.genfromtxt(ROOT / "examples/diabetes.csv", delimiter=",", names=True)
    rows = np.column_stack([table[name] for name in table.dtype.names])
    predicted = load_network(ROOT / "examples/diabetes.pt")(rows[:, :-1])[:, 0]
    assert np.corrcoef(predicted, rows[:, -1])[0, 1] > 0.7


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    write_onnx(folder / "a.onnx", random_layers(2, 3, 1))
    write_onnx(folder / "b.onnx", random_layers(2, 4, 2))
    write_csv(folder / "people.csv", ("age", "height", "ill"), np.random.default_rng(0).uniform(size=(8, 3)))
    return folder


def lines_of(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_a_batch_writes_a_line_per_model_and_can_be_run_again(installed, models, tmp_path):
    out = tmp_path / "out"
    (models / "b.onnx").unlink()
    for _ in range(2):
        done = sh("scripts/batch.sh", models, models / "people.csv", out, "--drop", "ill", cwd=installed)
        assert done.returncode == 0, done.stderr
        results = lines_of(out)
        assert [line["model"] for line in results] == ["a.onnx"]
        assert all(line["ok"] and line["verify"]["ok"] and line["convert"]["complete"] for line in results)
        assert [line["explain"]["rows"] for line in results] == [8]
    assert (out / "a.onnx.html").exists()


def test_a_batch_with_a_model_that_fails_exits_1_and_does_the_others(installed, models, tmp_path):
    (models / "a.onnx").write_bytes(b"no model")
    done = sh("scripts/batch.sh", models, models / "people.csv", tmp_path / "out", "--drop", "ill", cwd=installed)
    assert done.returncode == 1
    first, second = lines_of(tmp_path / "out")
    assert not first["ok"]
    assert first["error"].startswith("convert: ")
    assert second["ok"]


@pytest.mark.parametrize("arguments", [[], ["nowhere", "d.csv", "out"], [".", "nowhere.csv", "out"]], ids=" ".join)
def test_a_batch_that_makes_no_sense_exits_2(installed, arguments):
    done = sh("scripts/batch.sh", *arguments, cwd=installed)
    assert done.returncode == 2
    assert done.stderr.strip()


def test_the_command_reference_is_what_help_says():
    done = subprocess.run([sys.executable, str(ROOT / "scripts/make_cli_reference.py"), "--check"], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_test_script_and_demands_the_data():
    text = (ROOT / ".ci/run").read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "export RELU_SHALLOW_REQUIRE_DATA=1" in text
    assert "sh scripts/test.sh" in text
    assert os.access(ROOT / ".ci/run", os.X_OK)
