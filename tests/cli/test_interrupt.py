"""Ctrl-C in the middle of long work, and what the user is told while it lasts."""

import os
import signal

import pytest
from command_line import one_sentence, random_layers, run, start, write_onnx

from relu_shallow.cli import progress

IMPATIENT = """
import relu_shallow.cli.progress as progress
progress.LONG = 0.0  # so that the first report of progress is a line on stderr
from relu_shallow.cli import main
main()
"""


@pytest.fixture(scope="module")
def long_job(tmp_path_factory):
    """A network with more regions than can ever be listed."""
    return write_onnx(tmp_path_factory.mktemp("long") / "model.onnx", random_layers(10, 40, 40, 1))


@pytest.mark.parametrize("old", [None, b"what was there before"], ids=["no output yet", "an old output"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_search_and_leaves_the_old_output(long_job, tmp_path, old, number, status):
    out = tmp_path / "out"
    if old:
        out.write_bytes(old)
    process = start("convert", long_job, "-o", out, "--json", code=IMPATIENT)
    lines = []
    while not any("regions after" in line for line in lines):
        lines.append(process.stderr.readline())
        assert lines[-1], lines  # it ended before it searched
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == status
    assert stdout == ""
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [old] * bool(old)


WHILE_WRITING = """
import os, signal
import relu_shallow.archive as archive
old = archive.replacing
from contextlib import contextmanager
@contextmanager
def replacing(path):
    with old(path) as temporary:
        yield temporary
        os.kill(os.getpid(), signal.SIGTERM)
archive.replacing = replacing
from relu_shallow.cli import main
main()
"""


def test_a_signal_amid_writing_leaves_no_temporary_file(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    process = start("convert", model, code=WHILE_WRITING)
    assert "interrupted" in process.communicate(timeout=120)[1]
    assert process.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


IMPORTING = """
import builtins, os, signal
whole = builtins.__import__
def stopping(name, *rest):
    if name == MODULE:
        builtins.__import__ = whole
        os.kill(os.getpid(), signal.SIGINT)
    return whole(name, *rest)
builtins.__import__ = stopping
from relu_shallow.cli import main
main()
"""


@pytest.mark.parametrize("module", ["click", "numpy", "relu_shallow.load"])
def test_ctrl_c_amid_an_import_is_one_line(tmp_path, module):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    process = start("convert", model, code=f"MODULE = {module!r}\n{IMPORTING}")
    one_sentence(process.communicate(timeout=120)[1], "interrupted")
    assert process.returncode == 130


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_stream_changes_nothing_else(tmp_path, closed):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    process = start("convert", model, preexec_fn=lambda: os.close(closed))
    process.communicate(timeout=120)
    assert process.returncode == 0
    inspected = run("inspect", tmp_path / "model.shallow.safetensors")
    assert inspected.exit_code == 0, inspected.stderr


def test_past_ten_seconds_the_user_learns_how_to_have_less_to_wait_for(long_job, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.2)
    result = run("convert", long_job, "-o", tmp_path / "out", "--time-limit", "1.5")
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    told = [line for line in result.stderr.splitlines() if "regions after" in line]
    assert len(told) == 1
    for word in ("unknown", "--domain", "--max-regions", "--time-limit"):
        assert word in told[0]
    assert "a partial list" in result.stdout


def test_short_work_is_silent_where_stderr_is_no_terminal(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 3, 1))
    run("convert", model)  # the kernel may be compiled and announced here
    assert run("convert", model).stderr == ""


def test_a_bar_with_regions_and_rate_is_drawn_on_a_terminal(monkeypatch):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.progress_of("region", progress.SEARCH_ADVICE) as update:
        update(10)
        update(12_345)
    assert "12,345 regions" in screen.getvalue()
    assert "a second" in screen.getvalue()
