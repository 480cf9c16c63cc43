"""A few rounds of scripts/faults.py: killed conversions, full disks and lost workers; and that it notices harm."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import random_layers, write_onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import faults

ROUNDS = {"kill": 3, "full": 3, "lost": 4, "resume": 2, "stuffed": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small network, and not the slower outputs."""
    folder = tmp_path_factory.mktemp("work")
    model = write_onnx(tmp_path_factory.mktemp("model") / "model.onnx", random_layers(4, 12, 12, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "OUTPUTS", ("good.safetensors", "table.npz", "table.json"))
        yield faults.make_workplace(folder, model, "box:-1,1", "box:-0.3,0.3")


@pytest.mark.parametrize(("fault", "number"), [(name, k) for name, rounds in ROUNDS.items() for k in range(rounds)])
def test_the_old_output_is_intact_or_the_new_one_complete(place, fault, number):
    result, wrong = faults.play(fault, place, 0, number)
    assert wrong == "", result


def test_an_output_cut_short_by_a_kill_would_be_noticed(place, monkeypatch):
    good = place.folder / "good.safetensors"

    def writes_in_place(*words, **options):
        good.write_bytes(place.new[good.name][:-1000])
        return subprocess.Popen(["sleep", "9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    monkeypatch.setattr(faults, "start", writes_in_place)
    with pytest.raises(Exception, match="damaged"):
        faults.kill(dataclasses.replace(place, seconds=0.01), np.random.default_rng(1))


@pytest.mark.parametrize(("script", "word"), [
    ("import sys; sys.exit(0)", "status 0"),
    ("import sys; sys.stderr.write('Traceback\\n  ..\\n'); sys.exit(2)", "Traceback"),
    ("import sys; sys.stderr.write('relu-shallow: x could not be written\\n'); sys.exit(1)", "status 1"),
    ("import sys; sys.stderr.write('relu-shallow: no\\n'); sys.exit(2)", "no"),
    ("import sys; open('.good.x', 'w'); sys.stderr.write('relu-shallow: x could not be written\\n'); sys.exit(2)",
     "left"),
    ("import sys; open('good.safetensors', 'a').write('x'); "
     "sys.stderr.write('relu-shallow: x could not be written\\n'); sys.exit(2)", "changed"),
])  # fmt: skip
def test_a_full_disk_that_is_not_said_plainly_or_does_harm_would_be_noticed(place, script, word):
    place.reset(place.folder)
    process = subprocess.Popen([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=place.folder)  # fmt: skip
    with pytest.raises(AssertionError, match=word):
        faults.refused(process, place.folder, place, "good.safetensors")


def test_regions_lost_with_a_worker_would_be_noticed(place, monkeypatch):
    def forgiving(*words):
        result = real(*words)
        return type("Result", (), {"exit_code": 0, "output": "", "stderr": "", "exception": None}) if dies() else result

    real, calls = faults.run, []

    def dies():
        calls.append(1)
        return len(calls) == 1

    monkeypatch.setattr(faults, "run", forgiving)
    result, wrong = faults.play("lost", place, 0, 0)
    assert result == "WRONG", wrong
