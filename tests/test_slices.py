"""A network on a line, a plane or any affine subspace of its inputs."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_csv, write_onnx
from folders import rewritten
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import relu_shallow as rs
from relu_shallow.checks.originals import equal_on_slice
from relu_shallow.network import Affine, from_layers
from relu_shallow.slices import restrict, slice_error

POINTS = np.random.default_rng(5).normal(size=(4, 6))
LAYERS = random_layers(6, 9, 7, 2, seed=11)
SCALES = st.integers(-960, 960)


def on_line(layers, start, step, low, high):
    """The patterns along start + t step, low < t < high, in order: breakpoints found one by one in rationals."""
    inputs = [(Fraction(v), Fraction(w)) for v, w in zip(start, step, strict=True)]
    cells = [(Fraction(low), Fraction(high), (), inputs)]
    for W, b in layers[:-1]:
        finer = []
        for left, right, pattern, h in cells:
            z = [
                (sum((Fraction(w) * h[j][0] for j, w in enumerate(row)), Fraction(c)),
                 sum((Fraction(w) * h[j][1] for j, w in enumerate(row)), Fraction(0)))
                for row, c in zip(W.tolist(), b.tolist(), strict=True)
            ]  # fmt: skip
            zeros = {-constant / slope for constant, slope in z if slope}
            ends = [left, *sorted(t for t in zeros if left < t < right), right]
            for a, c in pairwise(ends):
                middle = (a + c) / 2
                active = [constant + slope * middle > 0 for constant, slope in z]
                kept = [pair if on else (Fraction(0), Fraction(0)) for pair, on in zip(z, active, strict=True)]
                finer.append((a, c, (*pattern, *active), kept))
        cells = finer
    return [pattern for _, _, pattern, _ in cells]


def exactly(W, column, bias):
    """W @ column + bias in rationals, each entry rounded once."""
    return [float(sum((Fraction(w) * Fraction(x) for w, x in zip(row, column, strict=True)), Fraction(c)))
            for row, c in zip(W.tolist(), bias.tolist(), strict=True)]  # fmt: skip


def converted(path, where, *more):
    write_onnx(path / "net.onnx", LAYERS)
    write_csv(path / "rows.csv", [], POINTS.tolist())
    return run("convert", path / "net.onnx", "--domain", where.format(path / "rows.csv"), "--no-header", *more)


# --- composing the first layer ----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), SCALES, SCALES, st.booleans())
def test_every_number_of_the_composed_layer_is_the_exact_one_rounded_once(seed, n, a, b, sparse):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(3, n)) * 2.0 ** rng.integers(-40, 40, (3, n)) * 2.0 ** (a / 2)
    W[rng.random((3, n)) < 0.3] = 0
    M, v = rng.normal(size=(n, 1)) * 2.0 ** (b / 2), rng.normal(size=n)
    bias = -(W @ v)  # what is left of the sum is its rounding
    network = from_layers([(W, bias), (np.ones((1, 3)), np.zeros(1))])
    if sparse:
        network = replace(network, affine=(Affine(csr_array(W), bias), network.affine[1]))
    composed = restrict(network, rs.Subspace(M, v)).affine[0]
    assert composed.W[:, 0].tolist() == exactly(W, M[:, 0].tolist(), np.zeros(3))
    assert composed.b.tolist() == exactly(W, v.tolist(), bias)


def test_a_layer_of_many_rows_is_composed_in_blocks(monkeypatch):
    monkeypatch.setattr("relu_shallow.slices.ENTRIES", 20)
    network = from_layers(LAYERS)
    composed = restrict(network, rs.plane(*POINTS[:3])).affine[0]
    W, b = LAYERS[0]
    assert composed.W[:, 1].tolist() == exactly(W, (POINTS[2] - POINTS[0]).tolist(), np.zeros(9))
    assert composed.b.tolist() == exactly(W, POINTS[0].tolist(), b)


def test_the_network_on_a_slice_is_the_original_at_the_embedded_points():
    network = from_layers(LAYERS)
    sliced = restrict(network, rs.plane(*POINTS[:3]))
    assert sliced.feature_names == ("s", "t")
    corners = sliced.slice.at(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(corners, POINTS[:3], rtol=1e-12)
    U = np.random.default_rng(0).normal(size=(500, 2))
    bound = slice_error(network, sliced, U)
    assert (np.abs(sliced(U) - network(sliced.slice.at(U))) <= bound).all()
    assert bound.max() < 1e-10
    assert equal_on_slice(sliced, network, U).ok
    moved = [(LAYERS[0][0], LAYERS[0][1] + 1e-9), *LAYERS[1:]]
    assert not equal_on_slice(sliced, from_layers(moved), U).ok


def test_data_points_are_placed_on_a_slice_with_their_distance_from_it():
    embedding = restrict(from_layers(LAYERS), rs.plane(*POINTS[:3])).slice
    U, distance = embedding.place(POINTS)
    np.testing.assert_allclose(U[:3], [[0, 0], [1, 0], [0, 1]], atol=1e-12)
    assert distance[:3].max() < 1e-12
    assert distance[3] > 0.1
    assert np.allclose((POINTS[3] - embedding.at(U[3:])[0]) @ embedding.M, 0)  # the nearest point of the plane


# --- the regions on a slice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_regions_on_a_line_are_the_patterns_it_crosses(seed):
    layers = random_layers(6, 12, 10, 8, 1, seed=seed)
    shallow = rs.convert(from_layers(layers), rs.line(POINTS[0], POINTS[1], rs.Box(-1, 2)))
    first = shallow.network.affine[0]
    along = [(first.W, first.b), *layers[1:]]
    crossed = on_line(along, [0.0], [1.0], -1, 2)
    assert len(crossed) == len(set(crossed)) > 10
    assert set(crossed) == set(map(tuple, shallow.table.patterns.tolist()))
    assert shallow.completeness.level == "certified"
    # no breakpoint is lost or made by rounding the composed layer: the original on the line has the same patterns
    assert on_line(layers, POINTS[0].tolist(), (POINTS[1] - POINTS[0]).tolist(), -1, 2) == crossed


def test_regions_on_a_plane_are_all_there_by_euler_and_by_area():
    network = from_layers(LAYERS)
    shallow = rs.convert(network, rs.plane(*POINTS[:3]))
    checks = {check.name: check.ok for check in rs.verify(shallow, network, exact=True).checks}
    assert checks["exact areas, V - E + F = 1"]
    assert checks["equal to the original at embedded points"]
    assert all(checks.values())
    assert shallow.regions > 20


def test_a_slice_of_all_dimensions_has_the_regions_of_the_whole():
    layers = random_layers(2, 6, 5, 1)
    turned = rs.Subspace([[1.0, 2.0], [-1.0, 0.5]], [0.1, 0.2])
    whole = rs.convert(from_layers(layers))
    assert rs.convert(from_layers(layers), turned).table.patterns.tolist() == whole.table.patterns.tolist()


def test_a_slice_of_a_convolution_keeps_its_other_layers_sparse():
    W = csr_array(np.where(np.random.default_rng(1).random((12, 6)) < 0.4, 1.0, 0.0))
    network = from_layers(random_layers(6, 12, 12, 1))
    network = replace(network, affine=(Affine(W, np.ones(12)), Affine(csr_array(np.eye(12)), -np.ones(12)),
                                       network.affine[2]))  # fmt: skip
    shallow = rs.convert(network, rs.line(POINTS[0], POINTS[1]))
    assert not isinstance(shallow.network.affine[1].W, np.ndarray)
    assert rs.verify(shallow, network, exact=True).ok


def test_an_estimate_is_of_the_slice():
    network = from_layers(LAYERS)
    where = rs.plane(*POINTS[:3])
    found = rs.estimate(network, where, time_limit=5.0)
    assert found.exact
    assert found.regions == rs.convert(network, where).regions


# --- kept with the result ---------------------------------------------------------------------------------------


def test_the_embedding_is_kept_in_a_file_and_in_a_folder(tmp_path):
    network = from_layers(LAYERS)
    where = rs.line(POINTS[0], POINTS[1], label="from here to there")
    rs.save_shallow(rs.convert(network, where), tmp_path / "line.shallow.safetensors")
    rs.convert_to_folder(network, tmp_path / "line.regions", where)
    for kept in (rs.load_shallow(tmp_path / "line.shallow.safetensors"), rs.open_regions(tmp_path / "line.regions")):
        embedding = kept.network.slice
        assert embedding.M.tolist() == where.M.tolist()
        assert embedding.v.tolist() == POINTS[0].tolist()
        assert embedding.feature_names == network.feature_names
        assert embedding.label == "from here to there"
        assert rs.verify(kept, network).ok


def test_a_file_that_lost_its_embedding_is_damaged(tmp_path):
    path = tmp_path / "line.shallow.safetensors"
    rs.save_shallow(rs.convert(from_layers(LAYERS), rs.line(POINTS[0], POINTS[1])), path)
    kept = rs.load_shallow(path)
    rewritten(path, {"network.slice.v": kept.network.slice.v[:-1]})
    with pytest.raises(rs.ReluShallowError, match=r"network\.slice\.v"):
        rs.load_shallow(path)


def test_verify_composes_the_model_it_is_given_and_sees_another_one(tmp_path):
    assert converted(tmp_path, "line:{}:0,1", "-o", tmp_path / "l.shallow.safetensors").exit_code == 0
    same = run("verify", tmp_path / "l.shallow.safetensors", "--model", tmp_path / "net.onnx")
    assert same.exit_code == 0
    assert "ok    equal to the original at embedded points" in same.stdout
    other = write_onnx(tmp_path / "other.onnx", [(LAYERS[0][0] + 1e-3, LAYERS[0][1]), *LAYERS[1:]])
    found = run("verify", tmp_path / "l.shallow.safetensors", "--model", other)
    assert found.exit_code == 1
    assert "FAIL  same network" in found.stdout
    assert "FAIL  equal to the original at embedded points" in found.stdout
    narrow = write_onnx(tmp_path / "narrow.onnx", random_layers(5, 9, 7, 2))
    assert "FAIL  same network" in run("verify", tmp_path / "l.shallow.safetensors", "--model", narrow).stdout


@pytest.mark.parametrize("result", ["p.shallow.safetensors", "p.regions"])
def test_a_result_says_what_it_is_a_slice_of(tmp_path, result):
    said = converted(tmp_path, "plane:{}:0,2,3", "-o", tmp_path / result)
    assert "on the box [-0.25, 1.25]^2 of the plane through rows 0, 2 and 3 of rows.csv (all of them" in said.stdout
    report = run_json("inspect", tmp_path / result)
    assert report["slice"]["of"] == "the plane through rows 0, 2 and 3 of rows.csv"
    assert report["slice"]["original_inputs"] == 6
    assert report["feature_names"] == ["s", "t"]
    assert "2, of the plane through rows 0, 2 and 3 of rows.csv in 6 inputs" in run("inspect", tmp_path / result).stdout


def test_predict_takes_coordinates_of_the_slice(tmp_path):
    converted(tmp_path, "line:{}:0,1@-1,2", "-o", tmp_path / "l.shallow.safetensors")
    write_csv(tmp_path / "u.csv", ["t"], [[-1], [0], [1]])
    said = run("predict", tmp_path / "l.shallow.safetensors", tmp_path / "u.csv").stdout
    values = [[float(cell) for cell in row.split(",")] for row in said.splitlines()[1:]]
    stored = [(W.astype(np.float32).astype(float), b.astype(np.float32).astype(float)) for W, b in LAYERS]
    expected = from_layers(stored)(np.array([2 * POINTS[0] - POINTS[1], POINTS[0], POINTS[1]]))
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    write_csv(tmp_path / "u.csv", ["t"], [[2.5]])
    outside = run("predict", tmp_path / "l.shallow.safetensors", tmp_path / "u.csv")
    assert outside.exit_code == 2
    one_sentence(outside.stderr, "outside the converted domain")


def test_a_slice_is_searched_in_parts(tmp_path):
    for part in ("1/2", "2/2"):
        folder = tmp_path / f"part{part[0]}.regions"
        assert converted(tmp_path, "plane:{}:0,1,2", "-o", folder, "--shard", part).exit_code == 0
    merged = run("merge", tmp_path / "part1.regions", tmp_path / "part2.regions", "-o", tmp_path / "all.regions")
    assert merged.exit_code == 0, merged.stderr
    whole = converted(tmp_path, "plane:{}:0,1,2", "-o", tmp_path / "p.shallow.safetensors")
    assert whole.stdout.split(" regions", 1)[0] == merged.stdout.split(" regions", 1)[0]


# --- hostile input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("line:{}:0", ["FILE:ROW,ROW"]),
        ("line:{}:0,1,2", ["FILE:ROW,ROW"]),
        ("plane:{}:0,1", ["FILE:ROW,ROW,ROW"]),
        ("line:{}:0,-1", ["FILE:ROW,ROW"]),
        ("line:{}:0,one", ["FILE:ROW,ROW"]),
        ("line:{}:0,1@", ["@LO,HI"]),
        ("line:{}:0,1@0", ["not two numbers LO,HI"]),
        ("line:{}:0,1@1,0", ["the box is empty"]),
        ("line:{}:0,1@0,inf", ["finite"]),
        ("line:{}", ["FILE:ROW,ROW"]),
        ("line:", ["FILE:ROW,ROW"]),
        ("line", ["FILE:ROW,ROW"]),
        ("line:{}:0,9", ["there is no row 9"]),
        ("line:{}:0,99999999999999999999", ["FILE:ROW,ROW"]),
        ("line:{}:2,2", ["two different points"]),
        ("plane:{}:0,1,0", ["on one line"]),
        ("plane:{}x:0,1,2", ["ending"]),
        ("plane:nowhere.csv:0,1,2", ["cannot be read"]),
    ],
)
def test_a_slice_that_is_none_is_one_clear_sentence(tmp_path, where, words):
    result = converted(tmp_path, where, "-o", tmp_path / "x.shallow.safetensors")
    assert result.exit_code == 2
    one_sentence(result.stderr, *words)
    assert not (tmp_path / "x.shallow.safetensors").exists()


def test_the_data_of_a_slice_is_not_overwritten(tmp_path):
    write_onnx(tmp_path / "net.onnx", LAYERS)
    data = write_csv(tmp_path / "rows.csv", [], POINTS.tolist())
    before = data.read_bytes()
    result = run("convert", tmp_path / "net.onnx", "--domain", f"line:{data}:0,1", "--no-header", "-o", data)
    assert result.exit_code == 2
    assert data.read_bytes() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda: rs.Subspace([[1.0, 1.0], [1.0, 1.0]], [0.0, 0.0]),  # dependent columns
        lambda: rs.Subspace([[0.0], [0.0]], [0.0, 0.0]),  # a point
        lambda: rs.Subspace([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [0.0, 0.0]),  # more coordinates than inputs
        lambda: rs.Subspace([[1.0], [np.nan]], [0.0, 0.0]),
        lambda: rs.Subspace([[1.0], [2.0]], [0.0]),
        lambda: rs.Subspace([[1.0], [2.0]], [0.0, 0.0], names=["a", "b"]),
        lambda: rs.Subspace([[1.0], [2.0]], [0.0, 0.0], rs.Box([0, 0], [1, 1])),
        lambda: rs.Subspace([[1.0], [2.0]], [0.0, 0.0], (0, 1)),
        lambda: rs.Subspace("M", "v"),
        lambda: rs.line([0.0, 0.0], [1.0]),
        lambda: rs.line([-1e308, 0.0], [1e308, 0.0]),
        lambda: rs.plane(*np.outer([1, 2, 3.5], np.ones(4)) / 3),
        lambda: rs.convert(from_layers(LAYERS), rs.line([0, 1], [1, 0])),  # another number of inputs
        lambda: restrict(restrict(from_layers(LAYERS), rs.line(*POINTS[:2])), rs.Subspace([[1.0]], [0.0])),
        lambda: restrict(from_layers([(np.full((1, 1), 1e300), np.zeros(1))]), rs.Subspace([[1e200]], [0.0])),
    ],
)
def test_a_subspace_that_is_none_is_refused(make):
    with pytest.raises(rs.ReluShallowError):
        make()
