"""The benchmark measures what it says: systems that agree, totals that are marked, a note for what is missing."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from networks import NAMED

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from benchmark.cases import plane_network, random_network  # noqa: E402
from benchmark.growth import count  # noqa: E402
from benchmark.images import on_problem  # noqa: E402
from benchmark.limit import flops, lowest_flips  # noqa: E402
from benchmark.measure import extrapolate, part_done, summarise  # noqa: E402
from benchmark.problem import Problem, on_unit_box, read_problem, write_problem  # noqa: E402
from benchmark.report import seconds  # noqa: E402
from benchmark.splinecam import faces_of, partition  # noqa: E402
from benchmark.start import TINY, WRITERS  # noqa: E402
from benchmark.systems import SYSTEMS  # noqa: E402

from relu_shallow.load import load_network  # noqa: E402
from relu_shallow.network import from_layers  # noqa: E402
from relu_shallow.regions.partition import pack  # noqa: E402
from relu_shallow.slices import line  # noqa: E402

MEASURED = ("kernel", "kernel-2", "uncertified", "straightforward", "every-pattern")


def bench(*arguments, **environment):
    return subprocess.run([sys.executable, str(ROOT / "scripts/bench.py"), *map(str, arguments)], capture_output=True,
                          text=True, check=False, env={**os.environ, **environment})  # fmt: skip


def problem_of(name):
    named = NAMED[name]
    return Problem([(layer.W, layer.b) for layer in named.network.affine], *named.box)


def result(**changes):
    return {"regions": 10, "lps": 5, "complete": True, "done": math.nan, "bytes": 4, "seconds": 2.0, "peak": 30,
            "before": 20, **changes}  # fmt: skip


def test_the_smallest_case_gives_a_line_per_system_with_the_same_count(tmp_path):
    page = tmp_path / "docs/page.md"
    systems = [word for name in MEASURED for word in ("--system", name)]
    done = bench("--part", "cases", "--case", "paper-0", "--runs", 1, "--limit", 30, *systems, "--write", page)
    assert done.returncode == 0, done.stderr
    assert page.read_text() in done.stdout
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.read_text().splitlines()]
    rows = {line[0]: line[1] for line in lines if len(line) == 10 and line[0] in {SYSTEMS[n].title for n in MEASURED}}
    assert len(rows) == len(MEASURED)
    assert set(rows.values()) == {"29"}
    assert str(tmp_path) not in page.read_text()
    assert "Commit: " in page.read_text()


def test_the_figure_is_drawn_with_a_table_of_the_same_numbers(tmp_path):
    done = bench("--part", "neurons", "--quick", "--system", "kernel", "--write", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "images/neurons.png").read_bytes().startswith(b"\x89PNG")
    assert "| 12 " in (tmp_path / "page.md").read_text()


def test_a_network_that_is_not_there_is_a_note_and_no_failure(tmp_path):
    done = bench("--part", "cases", "--case", "acc", "--system", "kernel", RELU_SHALLOW_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Not measured: onnx/archcomp/ACC_controller_5_20.onnx is not in the data folder" in done.stdout
    assert "| under 3 s | not measured |" in done.stdout


@pytest.mark.parametrize("name", [name for name, named in NAMED.items() if 0 < named.network.neurons <= 8
                                  and all((gate.active == 1).all() and not gate.inactive.any()
                                          for gate in named.network.gates)])  # fmt: skip
@pytest.mark.parametrize("system", MEASURED)
def test_every_system_finds_the_regions_worked_out_by_hand(system, name):
    outcome = SYSTEMS[system].ready(problem_of(name), 60.0)()
    assert outcome.regions == NAMED[name].regions_in_box
    assert outcome.complete


@pytest.mark.parametrize("neurons", [6, 18, 30])
def test_polygons_cut_layer_by_layer_are_as_many_as_regions_and_fill_the_square(neurons):
    problem = plane_network(neurons)
    polygons, complete = partition(on_unit_box(problem), math.inf)
    assert complete
    assert len(polygons) == SYSTEMS["kernel"].ready(problem, 60.0)().regions
    sides = [np.column_stack([polygon, np.roll(polygon, -1, axis=0)]) for polygon in polygons]
    areas = [(s[:, 0] * s[:, 3] - s[:, 1] * s[:, 2]).sum() / 2 for s in sides]
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(4.0)


def test_lines_through_a_square_part_it_as_worked_out_by_hand():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    cross, beside = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.25]]), np.array([[1.0, 0.0, 5.0]])
    assert sorted(len(face) for face in faces_of(square, cross)) == [4, 4, 4, 4]
    assert len(faces_of(square, beside)) == 1
    assert len(faces_of(square, np.array([[1.0, 1.0, -0.5], [1.0, 1.0, -1.5]]))) == 3  # parallel ones


def test_a_pattern_trial_that_stops_says_what_part_it_tried():
    outcome = SYSTEMS["every-pattern"].ready(random_network((2, 7, 7, 1), 0, 1.0), 0.05)()
    assert not outcome.complete
    assert 0 < outcome.done < 1
    assert outcome.lps <= outcome.done * 2**14


def test_what_a_stopped_run_would_take_follows_from_the_part_it_did():
    assert extrapolate(60.0, 0.25) == 240.0
    assert math.isnan(extrapolate(60.0, 0.0))
    assert part_done(result(regions=10), 40) == 0.25
    assert part_done(result(regions=10, done=0.5), 40) == 0.5
    assert math.isnan(part_done(result(), None))
    stopped = summarise([result(complete=False, seconds=60.0)], 40, 60.0)
    assert (stopped.seconds, stopped.measured, stopped.extrapolated) == (240.0, 60.0, True)
    assert seconds(stopped.seconds) == "240 s"


def test_medians_are_of_all_runs_and_memory_is_besides_the_result():
    row = summarise([result(), result(seconds=4.0), result(seconds=9.0)], 10, 60.0)
    assert (row.seconds, row.runs, row.besides, row.rate) == (4.0, 3, 6, 2.5)
    assert not row.extrapolated


def test_a_problem_is_read_as_it_was_written_and_scaled_without_change(tmp_path):
    problem = random_network((3, 5, 2, 1), 3, 2.0)
    problem.lo[1] = problem.hi[1]  # an input that the box fixes
    write_problem(problem, tmp_path / "p.npz")
    read = read_problem(tmp_path / "p.npz")
    x = problem.lo + (problem.hi - problem.lo) * [[0.3, 0.0, 0.9]]
    expected = from_layers(problem.layers)(x)
    assert from_layers(read.layers)(x) == pytest.approx(expected)
    u = np.array([[0.3 * 2 - 1, 0.9 * 2 - 1]])
    assert from_layers(on_unit_box(read))(u) == pytest.approx(expected)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_tiny_files_hold_the_network_they_are_made_of(suffix, tmp_path):
    problem = random_network(TINY, 0, 1.0)
    path = tmp_path / f"tiny{suffix}"
    WRITERS[suffix](problem.layers, path)
    x = np.array([[0.2, -0.4], [1.0, 0.5]])
    assert load_network(path)(x) == pytest.approx(from_layers(problem.layers)(x), rel=1e-5)


def test_the_limit_counts_the_layers_above_the_lowest_flip():
    patterns = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 1]], dtype=bool)  # layers of two and one, two outputs
    network = from_layers(random_network((3, 2, 1, 2), 0, 1.0).layers)
    flipped = lowest_flips(SimpleNamespace(bits=pack(patterns), network=network))
    assert flipped.tolist() == [0, 1]
    assert flops(flipped, np.array([2, 1, 2]), 3).tolist() == [2 * 4 * (1 + 2), 2 * 4 * 2]


def test_a_count_that_keeps_nothing_finds_as_many_regions():
    problem = random_network((3, 6, 5, 1), 1, 1.0)
    assert count(problem)[0] == SYSTEMS["kernel"].ready(problem, 60.0)().regions


def test_the_page_says_how_far_each_case_is_above_the_limit(tmp_path):
    parts = ("--part", "limit", "--part", "growth")
    done = bench(*parts, "--case", "paper-0", "--runs", 1, RELU_SHALLOW_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("| The paper's size"))
    regions, operations, size = (cell.strip() for cell in line.split("|")[2:5])
    assert (regions, size) == ("29", "26")
    assert 2 * 3 * 1 <= int(operations) <= 2 * 3 * 9
    assert "## Growth" not in done.stdout


def test_a_slice_is_a_problem_in_its_own_coordinates():
    network = from_layers(random_network((5, 4, 1), 0, 1.0).layers)
    problem = on_problem(network, line(np.zeros(5), np.arange(5.0)))
    assert (problem.lo.tolist(), problem.hi.tolist()) == ([0.0], [1.0])
    np.testing.assert_allclose(from_layers(problem.layers)(np.array([[0.5]])), network(np.arange(5.0)[None] / 2))
