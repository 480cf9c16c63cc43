"""The table of regions as Parquet and CSV: what other programs read is what the list holds, from a file or a folder."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command_line import one_sentence, run
from folders import files_of, in_many_files
from networks import NAMED
from scipy.optimize import linprog

from relu_shallow.checks.counting import domain_rows
from relu_shallow.checks.maps import maps_of
from relu_shallow.domain import Box, Polytope, WholeSpace
from relu_shallow.export import blocks as exported
from relu_shallow.export.parquet import distinct
from relu_shallow.network import from_layers, named
from relu_shallow.precision import RADIUS
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.store import save_shallow


def layers(widths, seed=0):
    r = np.random.default_rng(seed)
    return [(r.normal(size=(o, i)) / np.sqrt(i), 0.3 * r.normal(size=o)) for i, o in pairwise(widths)]


CASES = {
    "box": (named(from_layers(layers((3, 9, 6, 2), 1)), ("age", "dose", "=sum")), Box(-1.0, 1.0)),
    "whole space": (from_layers(layers((2, 8, 5, 1), 1)), WholeSpace()),
    "wedge": (from_layers(layers((2, 9, 6, 1), 2)), Polytope([[1.0, 1.0], [-1.0, 0.5]], [1.0, 1.0])),
    "triangle": (from_layers(layers((2, 9, 6, 1), 2)), Polytope([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.0]], [1.0] * 3)),
    "flat box": (from_layers(layers((3, 9, 6, 2), 3)), Box([-1.0, 0.25, -1.0], [1.0, 0.25, 1.0])),
    "one region": (NAMED["linear"].network, Box(-1.0, 1.0)),
    "one region everywhere": (NAMED["linear"].network, WholeSpace()),
}


@pytest.fixture(scope="module", params=CASES)
def job(request, tmp_path_factory):
    """(network as a file holds it, folder of both a converted file and a folder of regions)."""
    network, domain = CASES[request.param]
    path = tmp_path_factory.mktemp("job")
    shallow = shallow_network(enumerate_regions(network, domain))
    save_shallow(shallow, path / "x.shallow.safetensors")
    in_many_files(network, domain, path / "x.regions", each=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported, "MOST", 50)
        for source in ("x.shallow.safetensors", "x.regions"):
            for ending in ("parquet", "csv"):
                result = run("export", path / source, "-o", path / f"{source}.{ending}")
                assert result.exit_code == 0, result.stderr or repr(result.exception)
    return shallow, path


def test_pandas_reads_what_the_list_holds(job):
    shallow, path = job
    table, network = shallow.table, shallow.network
    frame = pd.read_parquet(path / "x.shallow.safetensors.parquet")
    assert frame["region"].tolist() == list(range(table.regions))
    digits = ["".join(map(str, row)) for row in table.patterns.astype(int)]
    assert frame["pattern"].tolist() == digits
    assert np.array_equal(frame["radius"], table.radii)
    for k, feature in enumerate(network.feature_names):
        assert np.array_equal(frame[f"witness_{feature}"], table.witnesses[:, k])
        for m, output in enumerate(network.output_names):
            assert np.array_equal(frame[f"alpha_{output}_{feature}"], table.alpha[:, m, k])
    for m, output in enumerate(network.output_names):
        assert np.array_equal(frame[f"beta_{output}"], table.beta[:, m])


def test_a_folder_is_exported_as_the_file_is(job):
    shallow, path = job
    ours, theirs = (pd.read_parquet(path / f"{name}.parquet") for name in ("x.regions", "x.shallow.safetensors"))
    assert list(ours) == list(theirs)
    near = ["radius", *(name for name in ours if name.startswith(("witness_", "lo_", "hi_")))]  # found in other orders
    assert ours.drop(columns=near).equals(theirs.drop(columns=near))
    np.testing.assert_allclose(ours["radius"], theirs["radius"], rtol=1e-6)
    rows = [
        pd.read_csv(path / f"{name}.csv", dtype={"pattern": str}) for name in ("x.regions", "x.shallow.safetensors")
    ]
    assert rows[0]["pattern"].tolist() == ours["pattern"].tolist() or not shallow.network.neurons
    assert rows[0].drop(columns=near, errors="ignore").equals(rows[1].drop(columns=near, errors="ignore"))


def test_row_groups_are_bounded_and_the_metadata_say_what_it_is(job):
    shallow, path = job
    file = pq.ParquetFile(path / "x.regions.parquet")
    sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert sum(sizes) == shallow.regions
    assert max(sizes) <= 50
    about = json.loads(file.schema_arrow.metadata[b"relu_shallow"])
    assert (about["regions"], about["complete"], about["level"]) == (shallow.regions, True, "certified")
    assert about["feature_names"] == list(shallow.network.feature_names)


def test_boxes_hold_their_regions_and_are_no_larger_than_they_must(job):
    """Against SciPy's linear programs over all rows of the pattern and the domain's."""
    shallow, path = job
    frame = pd.read_parquet(path / "x.regions.parquet")
    names = shallow.network.feature_names
    low, high = (frame[[f"{end}_{name}" for name in names]].to_numpy() for end in ("lo", "hi"))
    table, n = shallow.table, shallow.network.inputs
    assert (low <= frame[[f"witness_{name}" for name in names]].to_numpy()).all()
    faces = (np.zeros((0, n)), np.zeros(0)) if isinstance(shallow.domain, WholeSpace) else domain_rows(_fitted(shallow))
    tight = ends = 0
    for region in np.random.default_rng(0).choice(table.regions, min(table.regions, 12), replace=False):
        rows = maps_of(shallow.network, table.patterns[region : region + 1]).rows[:, 0]
        side = np.where(table.patterns[region], 1.0, -1.0)[:, None]
        A = np.concatenate([faces[0], -(side * rows)[:, :-1]])
        b = np.concatenate([faces[1], (side * rows)[:, -1]])
        for k in range(n):
            for sign, given in ((1.0, low), (-1.0, high)):
                found = linprog(sign * np.eye(n)[k], A_ub=A, b_ub=b, bounds=[(None, None)] * n)
                bound = sign * given[region, k]
                if found.status == 3:
                    assert bound == -np.inf
                    continue
                assert bound <= found.fun + 1e-9
                ends += 1
                tight += bound >= found.fun - 10 * RADIUS * (1 + abs(found.fun))
    assert tight == ends


def _fitted(shallow):
    n = shallow.network.inputs
    if isinstance(shallow.domain, Box):
        return Box(np.broadcast_to(shallow.domain.lo, n), np.broadcast_to(shallow.domain.hi, n))
    return shallow.domain


def test_names_that_meet_are_told_apart():
    assert distinct(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_2", "a_3"]


@pytest.mark.parametrize("ending", ["json", "npz", "pt2"])
def test_forms_that_hold_everything_at_once_refuse_a_folder(tmp_path, ending):
    in_many_files(*CASES["whole space"], tmp_path / "x.regions")
    result = run("export", tmp_path / "x.regions", "-o", tmp_path / f"out.{ending}")
    assert result.exit_code == 2
    one_sentence(result.stderr, "folder of regions", ".parquet")
    assert not (tmp_path / f"out.{ending}").exists()


def test_a_damaged_file_leaves_the_old_table(tmp_path):
    in_many_files(*CASES["box"], tmp_path / "x.regions", each=40)
    file = files_of(tmp_path / "x.regions")[-1]
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    for ending in ("csv", "parquet"):
        (tmp_path / f"t.{ending}").write_text("old")
        result = run("export", tmp_path / "x.regions", "-o", tmp_path / f"t.{ending}")
        assert result.exit_code == 2
        one_sentence(result.stderr, file.name)
        assert (tmp_path / f"t.{ending}").read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["t.csv", "t.parquet", "x.regions"]
