"""Ctrl-C in the middle of long work, and what the user is told while it lasts."""

import signal

import pytest
from command_line import random_layers, run, start, write_onnx

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
def test_ctrl_c_exits_130_and_leaves_the_old_output(long_job, tmp_path, old):
    out = tmp_path / "out"
    if old:
        out.write_bytes(old)
    process = start("convert", long_job, "-o", out, "--json", code=IMPATIENT)
    lines = []
    while not any("regions after" in line for line in lines):
        lines.append(process.stderr.readline())
        assert lines[-1], lines  # it ended before it searched
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [old] * bool(old)


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
