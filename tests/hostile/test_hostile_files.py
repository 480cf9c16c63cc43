"""Nothing in a model, data or converted file runs code, reads another path, fills the memory or garbles the terminal.

Every hostile file goes through the real command line in one watched process with little memory (see attempt.py).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from archives import ARCHIVES
from command_line import one_sentence, random_layers, run, write_onnx
from keras_files import KERAS
from models import DEEP, MODELS
from tables import BOXES, DATA, PROPERTIES, text

MARKER = Path(tempfile.gettempdir()) / "relu_shallow_marker"
GROWN = 400  # megabytes that a refusal may take above what was taken before
SECONDS = 20  # two at most on an idle machine


def domain(kind, name, content):
    return lambda folder: f"{kind}:{text(name, content)(folder)}"


CASES = {
    **{name: (make, ["inspect", "{}"]) for name, make in {**ARCHIVES, **MODELS, **KERAS}.items()},
    **{name: (make, ["predict", "good.shallow.safetensors", "{}"]) for name, make in DATA.items()},
    **{f"a property with {name}": (domain("vnnlib", "p.vnnlib", content), ["convert", "good.onnx", "--domain", "{}"])
       for name, content in PROPERTIES.items()},
    **{f"a box with {name}": (domain("box", "b.csv", content), ["convert", "good.onnx", "--domain", "{}"])
       for name, content in BOXES.items()},
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with a small model and its converted file."""
    folder = tmp_path_factory.mktemp("good")
    write_onnx(folder / "good.onnx", random_layers(2, 4, 1))
    result = run("convert", folder / "good.onnx", "--domain", "box:-1,1")
    assert result.exit_code == 0, result.stderr
    return folder


def attempts(jobs):
    """What became of each job, by its name."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("attempt.py"))], input="\n".join(map(json.dumps, jobs)),
        capture_output=True, text=True, env=environment, timeout=500, check=False, cwd=jobs[0]["folder"],
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(jobs), f"died at {jobs[len(results)]['name']!r}: {done.returncode} {done.stderr[-2000:]}"
    return {result["name"]: result for result in results}


@pytest.fixture(scope="module")
def outcomes(good, tmp_path_factory):
    top = tmp_path_factory.mktemp("hostile")
    jobs, contents = [], {}
    for place, (name, (make, arguments)) in enumerate(CASES.items()):
        folder = top / str(place)
        folder.mkdir()
        for file in good.iterdir():
            (folder / file.name).hardlink_to(file)
        path = str(make(folder))
        jobs.append(
            {"name": name, "folder": str(folder), "arguments": [word.replace("{}", path) for word in arguments]}
        )
        contents[name] = {file.name for file in folder.iterdir()}
    found = attempts(jobs)
    for job in jobs:
        found[job["name"]]["made"] = {file.name for file in Path(job["folder"]).iterdir()} - contents[job["name"]]
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_one_line_and_does_nothing(name, outcomes):
    outcome = outcomes[name]
    assert outcome["status"] == 2, outcome
    assert outcome["stdout"] == ""
    one_sentence(outcome["stderr"])
    assert outcome["stderr"].strip().isprintable()
    assert len(outcome["stderr"]) < 1500
    assert "defect" not in outcome["stderr"]
    assert "not enough memory" not in outcome["stderr"]
    assert not outcome["seen"]
    assert not outcome["made"]
    assert outcome["grown"] < GROWN << 10
    assert outcome["seconds"] < SECONDS


def test_the_watched_process_sees_what_a_hostile_file_would_do(good):
    """Each guard of the test above fires where a command does what no loader may."""
    doing = {
        "a file opened elsewhere": "open('/etc/passwd').close()",
        "a file written elsewhere": f"open({str(MARKER)!r}, 'w').close()",
        "a program started": "import os; os.system('true')",
        "memory filled": "bytearray(4 << 30)",
        "memory used": "b'1' * (600 << 20)",
        "time used up": "exec('while True: pass')",
    }
    code = (
        "import sys, attempt\n"
        "class Line:\n    def main(self, arguments, prog_name): exec(arguments[0])\n"
        "import relu_shallow.cli.program as program\nprogram.command_line = Line()\nattempt.SECONDS = 1\nattempt.main()"
    )
    jobs = [{"name": name, "folder": str(good), "arguments": [does]} for name, does in doing.items()]
    done = subprocess.run([sys.executable, "-c", code], input="\n".join(map(json.dumps, jobs)), capture_output=True,
                          text=True, check=True, cwd=Path(__file__).parent)  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [bool(result["seen"]) for result in found] == [True, True, True, False, False, False]
    assert "MemoryError" in found[3]["status"]
    assert found[4]["grown"] > GROWN << 10 > found[5]["grown"]
    assert found[5]["status"] == "took too long"
    MARKER.unlink()


def test_a_graph_of_twenty_thousand_layers_is_read_without_recursion(good, tmp_path):
    outcome = attempts([{"name": "deep", "folder": str(tmp_path), "arguments": ["inspect", str(DEEP(tmp_path))]}])[
        "deep"
    ]
    assert outcome["status"] == 0, outcome
    assert outcome["grown"] < GROWN << 10
