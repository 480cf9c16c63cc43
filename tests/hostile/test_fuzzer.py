"""The fuzzer begins with files that its readers read, tells their failures, and says how to get what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from relu_shallow.data import read_table
from relu_shallow.errors import ReluShallowError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LIGHT = ("onnx", "nnet", "safetensors", "csv", "box", "npy", "vnnlib")  # the others' seeds need PyTorch


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
