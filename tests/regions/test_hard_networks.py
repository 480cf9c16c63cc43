"""Hard networks on hard domains, against exact arithmetic; and that arithmetic against a slower one."""

import dataclasses
import sys
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from command_line import run, run_json, write_onnx
from hard import DOMAINS, KINDS, domain, layers
from rational import pattern, regions, strictly_feasible

from relu_shallow.domain import Box, WholeSpace
from relu_shallow.errors import DomainError
from relu_shallow.network import from_layers
from relu_shallow.regions.search import enumerate_regions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import hard_cases
import hard_networks


@pytest.mark.parametrize("kind", KINDS)
def test_hard_networks_agree_with_exact_rationals_pattern_for_pattern(kind):
    """Every kind on every kind of domain; scripts/hard_networks.py does the same ten thousand times."""
    outcomes = [hard_networks.compare(hard_networks.Sample(kind, where, seed)) for seed, where in enumerate(DOMAINS)]
    assert [f"{outcome.sample}: {outcome.wrong}" for outcome in outcomes if outcome.wrong] == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_boxes_and_the_whole_space_agree_too(kind, seed):
    pairs = layers(kind, seed)
    n = pairs[0][0].shape[1]
    lo, hi = -np.linspace(0.7, 1.3, n), np.linspace(1.1, 0.9, n)
    for where, box in ((Box(lo, hi), list(zip(lo, hi, strict=True))), (WholeSpace(), None)):
        found = enumerate_regions(from_layers(pairs), where)
        assert set(map(tuple, found.patterns.astype(int).tolist())) == regions(pairs, box)


@pytest.mark.parametrize(("kind", "seed", "has"), [
    ("zero biases", 1, 0), ("through one vertex", 3, 0), ("slivers", 5, 0), ("no hidden layer", 0, 1),
])  # fmt: skip
def test_an_empty_domain_is_refused_and_a_flat_box_reduced(kind, seed, has):
    pairs = layers(kind, seed)
    n = pairs[0][0].shape[1]
    with pytest.raises(DomainError, match="empty"):
        enumerate_regions(from_layers(pairs), Box(np.ones(n), -np.ones(n)))
    point = np.linspace(-0.5, 0.75, n)
    found = enumerate_regions(from_layers(pairs), Box(point, point))
    assert found.patterns.astype(int).tolist() == [list(pattern(pairs, point))]
    assert regions(pairs, list(zip(point, point, strict=True))) == {pattern(pairs, point)}


def test_what_is_printed_of_a_flat_box_says_so(tmp_path):
    model = write_onnx(tmp_path / "model.onnx", layers("plain", 4))
    inputs = layers("plain", 4)[0][0].shape[1]
    (tmp_path / "box.csv").write_text("lo,hi\n0.25,0.25\n" + "-1,1\n" * (inputs - 1))
    said = f"flat: 1 of {inputs} inputs fixed, its regions those of its own affine hull"
    assert said in run("convert", model, "--domain", f"box:{tmp_path / 'box.csv'}").stdout
    assert said in run_json("inspect", tmp_path / "model.shallow.safetensors")["domain"]
    assert "flat:" not in run("convert", model, "--domain", "box:-1,1").stdout


# --- the reference itself ---


@pytest.mark.parametrize("where", DOMAINS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_agrees_with_elimination_over_all_patterns_of_one_layer(kind, where):
    """2^N systems of strict inequalities, each by Fourier-Motzkin; an identically zero neuron is inactive."""
    pairs = layers(kind, 2)
    W, b = pairs[0][0][:4], pairs[0][1][:4]
    n = W.shape[1]
    box, half_spaces = domain(where, 1, n)
    if where == "flat box":
        half_spaces, box, fixed = [], None, [lo == hi for lo, hi in box]
        flat = [(0, 0) if stays else (-1, 1) for stays in fixed]
        W = W[:, [not stays for stays in fixed]]
        assert regions([(pairs[0][0][:4], b), pairs[-1]], flat) == _all_feasible(W, b, [(-1, 1)] * W.shape[1], [])
    else:
        assert regions([(W, b), pairs[-1]], box, half_spaces) == _all_feasible(W, b, box, half_spaces)


def _all_feasible(W, b, box, half_spaces):
    n = W.shape[1]
    rows = [[Fraction(float(v)) for v in (*w, c)] for w, c in zip(W, b, strict=True)]
    domain_rows = [[-Fraction(float(v)) for v in (*row[:-1], -row[-1])] for row in half_spaces]
    for axis, (lo, hi) in enumerate(box or []):
        unit = [Fraction(int(axis == k)) for k in range(n)]
        domain_rows += [[*unit, -Fraction(float(lo))], [*(-v for v in unit), Fraction(float(hi))]]
    found = set()
    for bits in product((0, 1), repeat=len(rows)):
        if any(bit for bit, row in zip(bits, rows, strict=True) if not any(row)):
            continue
        sides = [[v if bit else -v for v in row] for bit, row in zip(bits, rows, strict=True) if any(row)]
        if strictly_feasible(domain_rows + sides):
            found.add(bits)
    return found


def test_elimination_can_tell_flat_from_full():
    half = [[Fraction(v) for v in row] for row in ([1, 0, 0], [-1, 0, 0], [0, 1, 1], [0, -1, 1])]
    assert not strictly_feasible(half)  # x > 0, x < 0, |y| < 1
    assert strictly_feasible(half[1:])


# --- the script ---


@pytest.mark.parametrize("change", ["one less", "one twice", "another", "partial", "witness"])
def test_the_comparison_notices_a_broken_list(change, monkeypatch):
    sample = hard_networks.Sample("plain", "box", 6)
    assert hard_networks.compare(sample).wrong == ""

    def broken(network, where, workers):
        found = enumerate_regions(network, where, workers=workers)
        bits, witnesses = found.bits.copy(), found.witnesses.copy()
        assert len(bits) > 2
        if change == "one less":
            bits, witnesses = bits[1:], witnesses[1:]
        elif change == "one twice":
            bits[0] = bits[1]
        elif change == "another":
            unlisted = next(v for v in range(0, 256, 2) if v not in bits[:, 0])  # 7 neurons
            bits[0, 0] = unlisted
        elif change == "witness":
            witnesses[0] = witnesses[1]
        radii, complete = found.radii[: len(bits)], change != "partial"
        return dataclasses.replace(found, bits=bits, witnesses=witnesses, radii=radii, complete=complete)

    monkeypatch.setattr(hard_networks, "enumerate_regions", broken)
    assert hard_networks.compare(sample).wrong


def test_samples_go_through_every_kind_on_every_domain_and_can_be_repeated():
    chosen = list(hard_networks.samples(len(KINDS) * len(DOMAINS), 7, KINDS, DOMAINS))
    assert {(s.kind, s.domain) for s in chosen} == set(product(KINDS, DOMAINS))
    assert len({s.seed for s in chosen}) == len(chosen)
    assert hard_networks.compare(chosen[5]) == hard_networks.compare(chosen[5])


def test_a_disagreement_is_printed_with_what_repeats_it_and_the_status_is_1(monkeypatch, capsys):
    sample = hard_networks.Sample("slivers", "thin box", 12)
    monkeypatch.setattr(hard_networks, "outcomes", lambda given, workers: [
        hard_networks.Outcome(s, 3, 1, "certified", "1 missing") for s in given])  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["hard_networks.py", "--one", sample.kind, sample.domain, "12"])
    assert hard_networks.main() == 1
    told = capsys.readouterr().out
    assert f"DISAGREEMENT {sample}: 1 missing" in told
    assert "| slivers | 1 | 3 | 1 | 0 | 0 | 1 |" in told


def test_the_page_shows_every_named_network_and_nothing_wrong():
    page = (Path(__file__).resolve().parents[2] / "docs" / "hard-networks.md").read_text(encoding="utf-8")
    assert [case.title for case in hard_cases.CASES if f"| {case.title} |" not in page] == []
    assert "**wrong**" not in page.split("## By name")[1].split("**True count.**")[0]
    assert [kind for kind in (*KINDS, *DOMAINS) if f"| {kind} |" not in page] == []


@pytest.mark.parametrize("case", [case for case in hard_cases.CASES if case.source == "theorem"], ids=lambda c: c.title)
def test_the_named_networks_have_the_counts_of_their_theorems(case):
    problem = case.problem()
    box = list(zip(problem.lo, problem.hi, strict=True)) if problem.bounded else None
    assert len(regions(problem.layers, box)) == case.count


@pytest.mark.parametrize("kind", ["equal up to scale", "slivers", "scales everywhere"])
def test_a_wedge_thinner_than_floats_has_a_radius_all_the_same(kind):
    """On the whole space: these had negative radii, which no file may hold."""
    seed = {"equal up to scale": 7003114, "slivers": 7003115, "scales everywhere": 7003118}[kind]
    size = hard_networks.SIZES[np.random.default_rng(seed).integers(len(hard_networks.SIZES))]
    found = enumerate_regions(from_layers(layers(kind, seed, *size)), WholeSpace())
    assert found.level == "certified"
    assert (found.radii > 0).all()
