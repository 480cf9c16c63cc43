"""Proofs that lists of regions are right: the stand-alone checker believes true ones, and nothing else."""

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import one_sentence, random_layers, run, run_json, write_onnx
from conftest import data_path
from hard import DOMAINS, KINDS, domain, layers
from networks import NAMED
from safetensors.numpy import load_file, save_file

import relu_shallow as rs
from relu_shallow.archive import KEY, content_hash, read_metadata
from relu_shallow.errors import DomainError, FormatError, OutputError, UsageError
from relu_shallow.network import Affine, Gate, Network, from_layers
from relu_shallow.proof import check
from relu_shallow.proof.prove import with_proof
from relu_shallow.regions.search import enumerate_regions
from relu_shallow.shallow.build import shallow_network
from relu_shallow.shallow.store import load_shallow, save_shallow

CHECKER = Path(check.__file__)
TRIANGLE = rs.Polytope([[1, 1], [-1, 0.5], [0, -1]], [1, 1, 1])


def checked(shallow, path):
    """What the checker says of a network stored in a file."""
    save_shallow(shallow, path)
    return check.check_file(path)


@pytest.fixture(scope="module")
def proved(tmp_path_factory):
    """A network on the box, the whole plane and a triangle, and one with all biases zero, whose proofs are exact."""
    folder = tmp_path_factory.mktemp("proofs")
    deep = from_layers(random_layers(2, 5, 4, 1))
    for name, place in {"box": rs.Box(-1, 1), "all": rs.WholeSpace(), "polytope": TRIANGLE}.items():
        save_shallow(rs.convert(deep, place, proof=True), folder / name)
    save_shallow(rs.convert(from_layers(layers("zero biases", 0, 9, 3)), proof=True), folder / "degenerate")
    return folder


def altered(path, change, to):
    """What the checker says of a copy whose arrays and fields were changed."""
    arrays, about = load_file(path), read_metadata(path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(arrays, about)
    save_file(arrays, to, metadata={KEY: json.dumps(about)})
    return check.check_file(to)


# --- what it believes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["box", "all", "polytope", "degenerate"])
def test_a_proof_is_believed_after_storing_and_loading(proved, name, tmp_path):
    shallow = load_shallow(proved / name)
    assert shallow.proof
    status, sentence = checked(shallow, tmp_path / "again")
    assert status == 0, sentence
    assert sentence.startswith(f"{shallow.regions} regions, each real, and none is missing")
    assert (proved / name).read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("where", ["box", "whole space"])
@pytest.mark.parametrize("name", NAMED)
def test_networks_worked_out_by_hand_are_proved(name, where, tmp_path):
    known = NAMED[name]
    place = rs.Box(*known.box) if where == "box" else rs.WholeSpace()
    status, sentence = checked(rs.convert(known.network, place, proof=True), tmp_path / "s")
    assert status == 0, sentence
    count = known.regions_in_box if where == "box" else known.regions_everywhere
    assert count is None or sentence.startswith(f"{count} regions,")


@pytest.mark.parametrize("kind", KINDS)
def test_hard_networks_are_proved(kind, tmp_path):
    """Each kind on boxes, polytopes, the whole space and where there is nothing to find."""
    for where in ("box", "polytope", "whole space", "flat box", "no interior"):
        seed = 7 * DOMAINS.index(where) + KINDS.index(kind) + 100
        pairs = layers(kind, seed, 8, 3)
        box, half_spaces = domain(where, seed, pairs[0][0].shape[1])
        place = rs.WholeSpace()
        if box:
            place = rs.Box(*map(np.array, zip(*box, strict=True)))
        elif len(half_spaces):
            place = rs.Polytope(np.asarray(half_spaces)[:, :-1], np.asarray(half_spaces)[:, -1])
        try:
            partition = enumerate_regions(from_layers(pairs), place)
        except DomainError:
            assert where == "no interior"
            continue
        status, sentence = checked(with_proof(shallow_network(partition)), tmp_path / "s")
        assert status == 0, (where, seed, sentence)


def test_gates_of_two_slopes_and_sparse_weights_are_read(tmp_path):
    from scipy.sparse import csr_array

    rng = np.random.default_rng(5)
    first = Affine(csr_array(np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.5]])), rng.normal(size=3))
    second = Affine(rng.normal(size=(3, 3)), rng.normal(size=3))
    inactive, active = np.array([[0.1, -1.0, 0.5], [0.0, 3.0, 1.0]]), np.array([[1.0, 1.0, 0.5], [1.0, 0.0, 2.0]])
    gates = (Gate(inactive[0], active[0]), Gate(inactive[1], active[1]))
    deep = Network((first, second, Affine(np.ones((1, 3)), np.zeros(1))), gates)
    for place in (rs.WholeSpace(), rs.Box(-2, [2, 3])):
        shallow = rs.convert(deep, place, proof=True)
        status, sentence = checked(shallow, tmp_path / "s")
        assert status == 0, sentence
        assert shallow.regions > 4


@pytest.mark.parametrize("constants", [[0.0], [0.0, 0.0], [2.0], [0.0, 1e-300]])
def test_a_half_space_that_is_everything_changes_no_proof(constants, tmp_path):
    """0 . x <= c among a polytope's rows, in every place: the zero function is below no pattern either."""
    deep = from_layers(random_layers(2, 5, 4, 1))
    for place in (0, 3):
        A, b = (np.insert(part, place, rows, axis=0) for part, rows in ((TRIANGLE.A, 0.0), (TRIANGLE.b, constants[0])))
        for constant in constants[1:]:
            A, b = np.append(A, [[-0.0, 0.0]], axis=0), np.append(b, constant)
        shallow = rs.convert(deep, rs.Polytope(A, b), proof=True)
        status, sentence = checked(shallow, tmp_path / "s")
        assert status == 0, sentence
        assert shallow.regions == rs.convert(deep, TRIANGLE).regions


def test_a_list_of_a_general_solver_can_be_proved_too(tmp_path):
    shallow = with_proof(rs.convert(from_layers(random_layers(2, 4, 3, 1)), rs.Box(-1, 1), lp="highs"))
    assert checked(shallow, tmp_path / "s")[0] == 0


def test_a_real_network_is_proved(tmp_path):
    """The pendulum controller near the origin; docs/proofs.md has it on the whole plane."""
    model = data_path("onnx/archcomp/Single_Pendulum_controller_single_pendulum.onnx")
    shallow = rs.convert(model, rs.Box(-0.5, 0.5), proof=True)
    assert shallow.regions > 100
    status, sentence = checked(shallow, tmp_path / "s")
    assert status == 0, sentence


# --- what it does not believe -----------------------------------------------------------------------------------


def without_region(arrays, about, region=3):
    for name in ("bits", "witnesses"):
        arrays[f"table.0.{name}"] = np.delete(arrays[f"table.0.{name}"], region, axis=0)
    exact = about["tables"][0].pop("exact_witnesses", {})
    moved = {str(int(r) - (int(r) > region)): point for r, point in exact.items() if int(r) != region}
    about["tables"][0]["exact_witnesses"] = moved


@pytest.mark.parametrize("name", ["box", "all", "polytope", "degenerate"])
def test_a_region_left_out_of_the_list_is_missed(proved, name, tmp_path):
    status, sentence = altered(proved / name, without_region, tmp_path / "s")
    assert status == 1
    assert "which it does not list, is not a region" in sentence


def test_a_region_left_out_of_the_list_and_the_tree_is_missed():
    """Where one of two neighbours goes, so does their fork, and nothing shows that the branch is empty."""
    found = enumerate_regions(from_layers(random_layers(2, 5, 4, 1)), rs.Box(-1, 1))
    assert with_proof(shallow_network(found)).proof
    for region in (0, found.regions // 2, found.regions - 1):
        bits, witnesses, radii = (np.delete(a, region, axis=0) for a in (found.bits, found.witnesses, found.radii))
        with pytest.raises(OutputError, match="one is missing"):
            with_proof(shallow_network(replace(found, bits=bits, witnesses=witnesses, radii=radii)))


def test_every_fork_is_needed(proved, tmp_path):
    """A fork turned into one branch, in either way, drops leaves that nothing shows to be empty."""
    codes = load_file(proved / "box")["proof.codes"]
    for at in np.flatnonzero(codes == check.BOTH)[::5]:
        for code in (check.INACTIVE, check.ACTIVE):
            status, sentence = altered(
                proved / "box",
                lambda arrays, about, at=at, code=code: put(arrays, "proof.codes", at, code),
                tmp_path / "s",
            )
            assert status == 1, sentence


def put(arrays, name, at, value):
    arrays[name].reshape(-1)[at] = value


def test_exchanged_codes_are_not_believed(proved, tmp_path):
    codes = load_file(proved / "all")["proof.codes"]
    places = [i for i in range(len(codes) - 1) if {codes[i], codes[i + 1]} == {check.INACTIVE, check.ACTIVE}]
    assert places
    for at in places[:20]:

        def exchange(arrays, about, at=at):
            arrays["proof.codes"][[at, at + 1]] = arrays["proof.codes"][[at + 1, at]]

        # an INACTIVE that stood at the entry of a layer says nothing, so what counts is the neuron's
        status, _ = altered(proved / "all", exchange, tmp_path / "s")
        assert status == 1


def test_a_code_that_does_not_exist_proves_nothing(proved, tmp_path):
    codes = load_file(proved / "box")["proof.codes"]
    at = int(np.flatnonzero(codes == check.ACTIVE)[0])
    for code in (check.BOUNDS, 77, 255):
        assert altered(proved / "box", lambda a, _, code=code: put(a, "proof.codes", at, code), tmp_path / "s")[0] == 1


@pytest.mark.parametrize("name", ["box", "all", "polytope", "degenerate"])
def test_weights_that_are_nothing_prove_nothing(proved, name, tmp_path):
    def nothing(arrays, about):
        arrays["proof.weights"][:] = 0

    assert altered(proved / name, nothing, tmp_path / "s")[0] == 1


def test_negative_weights_count_for_nothing(proved, tmp_path):
    def negate(arrays, about):
        arrays["proof.weights"] *= -1

    assert altered(proved / "box", negate, tmp_path / "s")[0] == 1


def test_an_exact_weight_is_needed_to_the_last_digit(proved, tmp_path):
    arrays = load_file(proved / "degenerate")
    assert np.isnan(arrays["proof.weights"]).any()

    def slightly_less(arrays, about):
        words = bytes(arrays["proof.exact"]).decode().split()
        k = next(i for i, word in enumerate(words) if "/" in word)
        top, bottom = (int(v, 16) for v in words[k].split("/"))
        words[k] = f"{top * 10**30 - 1:x}/{bottom * 10**30:x}"
        arrays["proof.exact"] = np.frombuffer(" ".join(words).encode(), np.uint8)

    assert altered(proved / "degenerate", slightly_less, tmp_path / "s")[0] == 1


def test_a_witness_of_another_region_is_not_believed(proved, tmp_path):
    def exchange(arrays, about):
        arrays["table.0.witnesses"][[0, 1]] = arrays["table.0.witnesses"][[1, 0]]

    status, sentence = altered(proved / "box", exchange, tmp_path / "s")
    assert status == 1
    assert "that region 0 is real" in sentence


@pytest.mark.parametrize("place", [rs.Box(-1, 1), rs.Polytope([[1], [-1]], [1, 1])], ids=["box", "polytope"])
def test_a_witness_outside_the_domain_is_not_believed(place, tmp_path):
    """relu(x): 5 has the pattern of the right half, but does not lie in it; of a polytope, nor does the border."""
    save_shallow(rs.convert(NAMED["one_relu"].network, place, proof=True), tmp_path / "s")
    believed = {0.25: 0, 1.0: 0 if isinstance(place, rs.Box) else 1, 1.0000000000000002: 1, 5.0: 1, -0.25: 1, 0.0: 1}
    for x, expected in believed.items():
        status, _ = altered(tmp_path / "s", lambda a, _, x=x: put(a, "table.0.witnesses", 1, x), tmp_path / "t")
        assert status == expected, x


def test_a_witness_mirrored_at_the_centre_is_not_believed(tmp_path):
    """relu(x) everywhere: in the chart beyond x = R, -5 would lie behind infinity, where every sign is reversed."""
    save_shallow(rs.convert(NAMED["one_relu"].network, proof=True), tmp_path / "s")
    for x, expected in {5.0: 0, -5.0: 1, 1e-300: 0}.items():
        status, _ = altered(tmp_path / "s", lambda a, _, x=x: put(a, "table.0.witnesses", 1, x), tmp_path / "t")
        assert status == expected, x


@pytest.mark.parametrize("weight", [np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_refused(proved, weight, tmp_path):
    def damage(arrays, about):
        arrays["proof.weights"][:] = weight

    assert altered(proved / "box", damage, tmp_path / "s")[0] in (1, 2)


def test_a_region_listed_twice_is_not_believed(proved, tmp_path):
    def twice(arrays, about):
        for name in ("bits", "witnesses"):
            arrays[f"table.0.{name}"] = np.concatenate([arrays[f"table.0.{name}"], arrays[f"table.0.{name}"][-1:]])

    assert altered(proved / "box", twice, tmp_path / "s")[0] == 1


def test_a_weight_changed_by_its_last_digit_undoes_a_proof_that_hangs_on_it(tmp_path):
    """x and its double: were the second neuron's weight an ulp less or its bias not 0, a third region would open."""
    deep = from_layers([(np.array([[1.0], [2.0]]), np.array([1.0, 2.0])), (np.ones((1, 2)), np.zeros(1))])
    save_shallow(rs.convert(deep, rs.Box(-4, 4), proof=True), tmp_path / "s")
    assert check.check_file(tmp_path / "s")[0] == 0

    def nudge(arrays, about):
        arrays["network.affine.0.W"][1, 0] = np.nextafter(2.0, 3.0)

    assert altered(tmp_path / "s", nudge, tmp_path / "t")[0] == 1


def test_a_dropped_chart_is_missed(proved, tmp_path):
    """The checker makes the charts itself; the steps of the last one are missing."""
    last = load_file(proved / "all")["proof.codes"].size // 5

    def drop(arrays, about):
        arrays["proof.codes"] = arrays["proof.codes"][:-last]

    assert altered(proved / "all", drop, tmp_path / "s")[0] == 1


def test_charts_that_do_not_cover_are_refused(proved, tmp_path):
    for scale in (0.0, -1.0):
        status, sentence = altered(proved / "all", lambda a, _, s=scale: put(a, "proof.scale", 0, s), tmp_path / "s")
        assert status == 1
        assert "charts" in sentence


def test_a_box_taken_for_the_whole_space_is_not_believed(proved, tmp_path):
    def widen(arrays, about):
        about["domain"] = "all"
        arrays.update({"proof.center": np.zeros(2), "proof.scale": np.ones(2)})

    assert altered(proved / "box", widen, tmp_path / "s")[0] == 1


def test_a_larger_box_is_not_believed(proved, tmp_path):
    def widen(arrays, about):
        arrays["domain.hi"][:] = 50.0

    assert altered(proved / "box", widen, tmp_path / "s")[0] == 1


def test_a_half_space_that_holds_nothing_leaves_no_region_real(tmp_path):
    """Without hidden neurons the proof has no steps, and the domain alone decides."""
    save_shallow(rs.convert(from_layers(random_layers(2, 1)), TRIANGLE, proof=True), tmp_path / "whole")
    for constant, expected in {0.0: 0, 5e-324: 0, -5e-324: 1, -1.0: 1}.items():

        def add(arrays, about, constant=constant):
            arrays["domain.A"] = np.append(arrays["domain.A"], np.zeros((1, 2)), axis=0)
            arrays["domain.b"] = np.append(arrays["domain.b"], constant)

        assert altered(tmp_path / "whole", add, tmp_path / "s")[0] == expected, constant


def test_a_sum_of_two_tables_is_refused_though_each_would_be_proved(proved, tmp_path):
    """What the file computes is the sum; whose regions would be listed is nobody's to say."""

    def second(arrays, about):
        arrays.update(
            {name.replace("table.0", "table.1"): a for name, a in arrays.items() if name.startswith("table.")}
        )
        about["tables"] *= 2

    status, sentence = altered(proved / "box", second, tmp_path / "s")
    assert status == 1, sentence
    stored(tmp_path / "s")
    with pytest.raises(FormatError, match="those of modules"):
        load_shallow(tmp_path / "s")


def test_a_table_of_another_network_than_the_file_s_is_not_believed(proved, tmp_path):
    """The proof is of the file's network; the table's own, which it computes, has another first bias."""

    def own(arrays, about):
        network = {name: a for name, a in arrays.items() if name.startswith("network.")}
        arrays.update({f"table.0.{name}": a.copy() for name, a in network.items()})
        arrays["table.0.network.affine.0.b"][0] += 1.0
        about["tables"][0]["network"] = about["network"]

    status, sentence = altered(proved / "box", own, tmp_path / "s")
    assert status == 1, sentence
    stored(tmp_path / "s")
    with pytest.raises(FormatError, match="does not belong"):
        load_shallow(tmp_path / "s")


def test_a_sum_of_modules_is_no_list_of_all_regions(tmp_path):
    layers = [(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    apart = rs.convert(from_layers(layers), rs.Box(-1, 1), modular=True)
    save_shallow(apart, tmp_path / "sum")
    status, sentence = check.check_file(tmp_path / "sum")
    assert status == 1
    assert "no list of all regions" in sentence
    with pytest.raises(OutputError):
        with_proof(apart)


def stored(path):
    """Puts the hash of an altered file right."""
    arrays, about = load_file(path), read_metadata(path)
    about["sha256"] = content_hash(arrays, {name: value for name, value in about.items() if name != "sha256"})
    save_file(arrays, path, metadata={KEY: json.dumps(about)})


def test_a_proof_of_one_list_proves_no_other(proved, tmp_path):
    def borrow(arrays, about):
        arrays.update({name: array for name, array in load_file(proved / "box").items() if name.startswith("proof.")})

    save_shallow(rs.convert(from_layers(random_layers(2, 5, 4, 1, seed=8)), rs.Box(-1, 1)), tmp_path / "s")
    assert check.check_file(tmp_path / "s")[0] == 1  # it holds none
    assert altered(tmp_path / "s", borrow, tmp_path / "t")[0] == 1


def test_bounds_are_those_that_the_weights_prove():
    """Two layers of one neuron each: z = y, then z = 2 relu(y) - 1, told apart at the entry of the second layer."""
    layer = check.Layer([[(0, 1)], [(1, 1)]], [(1, 1)] * 2, [True])
    second = check.Layer([[(0, 2)], [(0, -1), (1, 1)]], [(0, 1), (1, 1)], [True])
    boxes = []

    def steps(given):
        def step(entered, q, row, rows):
            if row is None:
                return (check.BOUNDS, given) if q == 1 else (check.INACTIVE, [])
            boxes.append(list(entered.box))
            return check.BOTH, []

        return step

    one = check.UNIT
    # the rows are y >= 0 and -y >= 0, halved to a size below one: twice that row is needed to cancel y
    for given, active in [
        ([[(2.0, 0)], []], (0, one)),
        ([[(4.0, 0)], []], (-one, one)),
        ([[(1.0, 0)], []], (-one // 2, one)),
    ]:
        boxes.clear()
        list(check.walk([layer, second], [[1, 0], [0, 1]], [], steps(given)))
        assert boxes == [[(-one, one)], [(-one, one)], [active]]


@pytest.mark.parametrize(
    ("step", "weights"),
    [
        (check.EMPTY, []),
        (check.EMPTY, [(0.0, 0)]),
        (check.EMPTY, [(-1.0, 0)]),
        (check.EMPTY, [(1.0, 0)]),
        (check.INACTIVE_BY, [(-1.0, 0)]),  # were it taken, y - y <= 0 would prove y <= 0
        (check.ACTIVE_BY, [(0.5, 0)]),
        (check.INACTIVE, []),
    ],
)
def test_a_neuron_that_takes_both_signs_loses_no_branch(step, weights):
    """z = y on the half y >= -1/2 of the chart; only with weight enough of a row that cancels it would a branch go."""
    layer = check.Layer([[(0, 1)], [(1, 1)]], [(1, 1)] * 2, [True])
    with pytest.raises(check.Unproved):
        list(
            check.walk(
                [layer], [[1, 0], [0, 1]], [[2, 1]], lambda entered, q, row, rows: (step, [weights] if row else [])
            )
        )


@pytest.mark.parametrize(("step", "leaves"), [(check.ACTIVE, [b"\1"]), (check.BOTH, [b"\0", b"\1"])])
def test_a_neuron_of_one_sign_may_take_one_branch(step, leaves):
    """z = y + 2 > 0; a code that means nothing counts as inactive, which is not so."""
    layer = check.Layer([[(0, 1)], [(0, 2), (1, 1)]], [(1, 1)] * 2, [True])
    assert [leaf for leaf, _ in check.walk([layer], [[1, 0], [0, 1]], [], lambda *_: (step, []))] == leaves
    for wrong in (check.INACTIVE, check.INACTIVE_BY, check.BOUNDS, 77, -1):
        with pytest.raises(check.Unproved):
            list(check.walk([layer], [[1, 0], [0, 1]], [], lambda *given, wrong=wrong: (wrong, [])))


def test_a_maximum_just_above_zero_leaves_no_branch_out():
    """z = y - 1 + e on y <= 1 is zero at most where e = 0."""
    for e, proved in ((0, True), (-1, True), (1, False)):
        layer = check.Layer([[(0, 2**90)], [(0, e - 2**90), (1, 1)]], [(1, 1)] * 2, [True])
        grown = check.walk([layer], [[1, 0], [0, 1]], [], lambda *_: (check.INACTIVE, []))
        if proved:
            assert [leaf for leaf, _ in grown] == [b"\0"]
        else:
            with pytest.raises(check.Unproved):
                list(grown)


# --- the script and the file ------------------------------------------------------------------------------------


def test_the_checker_is_short_and_needs_only_python():
    text = CHECKER.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_the_checker_runs_alone_wherever_it_is_copied(proved, tmp_path):
    shutil.copy(CHECKER, tmp_path / "check.py")
    good = run_alone(tmp_path, proved / "all")
    assert good.returncode == 0, good.stderr
    assert "none is missing" in good.stdout
    altered(proved / "all", without_region, tmp_path / "bad")
    assert run_alone(tmp_path, tmp_path / "bad").returncode == 1
    assert run_alone(tmp_path).returncode == 2


def run_alone(folder, *arguments):
    words = [sys.executable, "-I", "-S", folder / "check.py", *arguments]  # -S: no installed package can be imported
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("size", [0, 5, 8, 60, 3_000, -1])
def test_a_damaged_file_gives_one_message(proved, size, tmp_path):
    data = (proved / "box").read_bytes()
    for number, damage in enumerate(
        [data[:size], b"\xff" * 8 + data[8:], data[:8] + b"[" * 50_000, data.replace(b"F64", b"F99")]
    ):
        (tmp_path / str(number)).write_bytes(damage)
        status, sentence = check.check_file(tmp_path / str(number))
        assert status == 2
        assert "not a proper converted file" in sentence
        assert "\n" not in sentence
    assert check.check_file(tmp_path / "nowhere")[0] == 2


def test_a_stored_proof_is_part_of_what_the_hash_covers(proved, tmp_path):
    altered(proved / "box", lambda arrays, about: put(arrays, "proof.codes", 0, 9), tmp_path / "s")
    with pytest.raises(rs.errors.FormatError, match="hash"):
        load_shallow(tmp_path / "s")


def test_the_command_line_keeps_a_proof(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 5, 1))
    report = run_json("convert", model, "-o", tmp_path / "s", "--proof")
    assert report["proof"] > 0
    assert report["seconds"]["prove"] > 0
    assert check.check_file(tmp_path / "s")[0] == 0
    assert "none is missing" not in run("convert", model, "-o", tmp_path / "t").stdout
    assert run_json("convert", model, "-o", tmp_path / "t")["proof"] == 0
    assert "proved; " in run("convert", model, "-o", tmp_path / "s", "--proof").stdout


def test_a_partial_or_uncertified_list_keeps_no_proof(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", random_layers(2, 5, 1))
    partial = run("convert", model, "-o", tmp_path / "s", "--proof", "--max-regions", "2")
    assert partial.exit_code == 0
    one_sentence(partial.stderr, "partial", "no proof")
    assert not load_shallow(tmp_path / "s").proof
    unproved = run("convert", model, "-o", tmp_path / "t", "--proof", "--no-certify")
    assert unproved.exit_code == 2
    one_sentence(unproved.stderr, "--no-certify")
    with pytest.raises(UsageError):
        rs.convert(model, certify=False, proof=True)
    with pytest.raises(OutputError, match="complete list"):
        with_proof(load_shallow(tmp_path / "s"))
