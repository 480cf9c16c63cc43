"""The fuzzer begins with files that its readers read, tells their failures, and says how to get what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from relu_shallow.data import read_table
from relu_shallow.errors import ReluShallowError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LIGHT = ("onnx", "nnet", "safetensors", "csv", "box", "npy", "vnnlib", "keras", "h5")  # the others' seeds need PyTorch


def test_without_atheris_it_says_how_to_get_it():
    code = (
        "import sys, runpy; sys.modules['atheris'] = None; sys.argv = ['fuzz.py', 'nnet']; "
        "runpy.run_path('fuzz.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "scripts", check=False
    )
    assert done.returncode == 1
    assert done.stderr == "this needs atheris, which is not installed: pip install atheris\n"


@pytest.mark.parametrize("reader", LIGHT)
def test_every_seed_is_a_file_that_is_read(reader, tmp_path):
    from scripts.fuzzing.seeds import seeds
    from scripts.fuzzing.targets import TARGETS

    ending, read = TARGETS[reader]
    for seed in seeds(reader, tmp_path):
        path = tmp_path / f"seed{ending}"
        path.write_bytes(seed)
        if reader == "csv" and b"nan" in seed:  # a table without header
            with pytest.raises(ReluShallowError):
                read_table(path)
        else:
            read(path)


@pytest.mark.parametrize("reader", ["onnx", "safetensors", "shallow", "npy"])
def test_files_are_changed_within_their_limit_whatever_is_in_them(reader, tmp_path, monkeypatch):
    """What a mutator raises, or makes too long, ends the fuzzer before its time."""
    from scripts.fuzzing import mutate
    from scripts.fuzzing.seeds import seeds

    def half(data: bytes, most: int) -> bytes:
        return data[: min(len(data) // 2, most)]

    monkeypatch.setattr(mutate, "_plain", half)
    for seed in seeds(reader, tmp_path):
        changed = [mutate.MUTATORS[reader](seed, len(seed), number) for number in range(30)]
        assert max(map(len, changed)) <= len(seed)
        assert any(new not in (seed, half(seed, len(seed))) for new in changed)
        for cut in range(0, len(seed), 1 + len(seed) // 20):
            damaged = seed[:cut] + b"\xff\x00{" + seed[cut + 3 :]
            for given in (seed[:cut], damaged):
                assert len(mutate.MUTATORS[reader](given, len(seed), cut)) <= len(seed)


BROKEN = {
    "mutate.MUTATORS['nnet'] = lambda data, most, seed: bytes(most + 1)": (2, "cannot be larger than max_size"),
    "targets.TARGETS['nnet'] = '.nnet', lambda path: len(path.read_bytes()) > 9 and 1 / 0": (1, "ZeroDivisionError"),
    "pass": (0, "Done"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_the_exit_status_tells_findings_and_failures_of_the_fuzzer_itself(broken, tmp_path):
    pytest.importorskip("atheris", reason="the fuzzer needs it")
    code = (
        "import sys, runpy; sys.argv = ['fuzz.py', 'nnet', '--seconds', '1', '--keep', sys.argv[1]]; "
        f"sys.path.insert(0, '..'); from scripts.fuzzing import mutate, targets; {broken}; "
        "runpy.run_path('fuzz.py', run_name='__main__')"
    )
    words = [sys.executable, "-c", code, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT / "scripts", check=False, timeout=60)
    status, words = BROKEN[broken]
    assert done.returncode == status, done.stdout
    assert words in done.stdout + done.stderr
    assert bool(list(tmp_path.iterdir())) == (status == 1)
