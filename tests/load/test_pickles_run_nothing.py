"""Pickles that want to run code: refused by the name of what they wanted to call, and nothing was run."""

import builtins
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from test_load_torch import CHAIN, saved_by_another_program

from relu_shallow.errors import ModelError
from relu_shallow.load import load_network


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def payloads(marker):
    return {
        "system": Calls(os.system, f"touch {marker}"),
        "eval": Calls(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "open": Calls(open, str(marker), "w"),
        "getattr": Calls(builtins.getattr, "x", "upper"),
    }


def written(path, payload, form):
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(payload, protocol=2))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
@pytest.mark.parametrize("ending", [".pt", ".pth"])
@pytest.mark.parametrize("what", ["system", "eval", "open", "getattr"])
def test_a_pickle_that_wants_to_call_something_is_refused_by_its_name(what, form, ending, tmp_path):
    marker = tmp_path / "marker"
    path = tmp_path / f"m{ending}"
    written(path, {"weight": torch.zeros(2), "x": payloads(marker)[what]}, form)
    message = r"not a readable PyTorch|wants to call" if form == "bare pickle" else rf"wants to call \w+\.{what}"
    with pytest.raises(ModelError, match=message):
        load_network(path)
    assert not marker.exists()


def test_the_payload_is_real(tmp_path):
    marker = tmp_path / "marker"
    written(tmp_path / "m.pt", payloads(marker)["system"], "zip")
    torch.load(tmp_path / "m.pt", weights_only=False)
    assert marker.exists()


def with_pickle(path, code):
    """A PyTorch zip file with a hand-written pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", code)
        archive.writestr("m/version", "3\n")
    return path


HAND_WRITTEN = {
    # the opcodes that call: INST, OBJ, NEWOBJ with arguments, REDUCE of a dotted name
    "wants to call posix.system": b"(S'touch marker'\niposix\nsystem\n.",
    "wants to call os.system": b"(cos\nsystem\nS'touch marker'\no.",
    "wants to call torch._dynamo.x.eval": b"ctorch._dynamo.x\neval\n(S'1'\ntR.",
    "wants to call builtins.map": b"cbuiltins\nmap\n(cposix\nsystem\n(S'touch marker'\nltR.",
    "not a readable PyTorch file": b"\x80\x02cposix\nsystem\nX\x0c\x00\x00\x00touch marker\x85\x81.",
    # a state for a function or class of ours
    "not a readable PyTorch file ": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00functionK\x01s\x86b."
    ),
    "holds a": b"\x80\x02cposix\nsystem\n.",
}


@pytest.mark.parametrize("message", HAND_WRITTEN)
def test_every_way_a_pickle_can_call_is_refused(message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message.strip()):
        load_network(with_pickle(tmp_path / "m.pt", HAND_WRITTEN[message]))
    assert not (tmp_path / "marker").exists()


def test_a_stand_in_cannot_be_given_behaviour(tmp_path, monkeypatch):
    """A state that sets __setstate__ or __reduce__ on a stand-in is data, never called with effect."""
    monkeypatch.chdir(tmp_path)
    code = (b"\x80\x02cacme\nModel\n)\x81q\x00}X\x0c\x00\x00\x00__setstate__cposix\nsystem\nsb"
            b"h\x00X\x0c\x00\x00\x00touch markerb.")  # fmt: skip
    with pytest.raises(ModelError):
        load_network(with_pickle(tmp_path / "m.pt", code))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("view", ["beyond its storage", "negative"])
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(view, tmp_path):
    saved_by_another_program(tmp_path, CHAIN)
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    path = tmp_path / "m.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            short = data[:-4] if "/data/" in name and view == "beyond its storage" else data
            if name.endswith("data.pkl") and view == "negative":
                short = data.replace(b"K\x05K\x03\x86", b"J\xfb\xff\xff\xffK\x03\x86")
            archive.writestr(name, short)
    with pytest.raises(ModelError, match=r"numbers|negative"):
        load_network(path)


def test_stand_ins_share_and_reorder_tensors_as_pytorch_does(tmp_path):
    from relu_shallow.load.inert_pickle import read_archive_pickle, read_legacy_pickle
    from relu_shallow.load.reading import open_archive, read_model_file

    base = torch.arange(24.0).reshape(4, 6)
    table = {"base": base, "part": base[1:3, ::2], "turned": base.T, "empty": base[:0], "one": base[2, 3],
             "half": base.half(), "brain": base.bfloat16(), "whole": base.long(), "truth": base > 3}  # fmt: skip
    for zipped, read in ((True, lambda file: read_archive_pickle(open_archive(file))), (False, read_legacy_pickle)):
        torch.save(table, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
        found = read(read_model_file(tmp_path / "m.pt"))
        for key, tensor in table.items():
            assert np.array_equal(found[key], tensor.float().numpy()), key
            assert found[key].shape == tuple(tensor.shape)


@pytest.mark.parametrize("version", ["2.9.1", "1.13.0+cpu", "2.10.0", "10.0"])
def test_trust_needs_a_pytorch_whose_loader_has_no_known_way_past_it(version, tmp_path, monkeypatch):
    torch.save(torch.nn.Linear(2, 1), tmp_path / "m.pt")
    monkeypatch.setattr(torch, "__version__", version)
    if version.startswith(("2.9", "1.")):
        with pytest.raises(ModelError, match=r"needs PyTorch 2\.10 or newer, and this is"):
            load_network(tmp_path / "m.pt", trust=["torch.nn.modules.linear.Linear"])
    else:
        assert load_network(tmp_path / "m.pt", trust=["torch.nn.modules.linear.Linear"]).inputs == 2


def test_trust_does_not_let_strides_fill_the_memory(tmp_path):
    table = {"0.weight": torch.zeros(1).expand(200_000, 200_000)}
    torch.save(table, tmp_path / "m.pt")
    assert (tmp_path / "m.pt").stat().st_size < 2048
    for trust in ([], ["torch.nn.modules.linear.Linear"]):
        with pytest.raises(ModelError, match=r"repeats .* stored numbers; call \.contiguous\(\)"):
            load_network(tmp_path / "m.pt", trust=trust)


def test_without_trust_pytorch_never_sees_the_file(tmp_path, monkeypatch):
    """Whatever is in it: the weights-only loader too has had its holes, and allocates what a pickle asks for."""
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)), tmp_path / "m.pt")
    written(tmp_path / "bad.pt", {"x": payloads(tmp_path / "marker")["system"]}, "zip")

    class Seen(Exception):  # noqa: N818
        pass

    def seen(*args, **kwargs):
        raise Seen

    monkeypatch.setattr(torch, "load", seen)
    assert load_network(tmp_path / "m.pt").inputs == 2
    with pytest.raises(ModelError, match="wants to call"):
        load_network(tmp_path / "bad.pt")
    with pytest.raises(Seen):
        load_network(tmp_path / "m.pt", trust=["torch.nn.modules.linear.Linear"])


def test_with_trust_the_loader_is_the_weights_only_one(tmp_path, monkeypatch):
    torch.save(torch.nn.Linear(2, 1), tmp_path / "m.pt")
    given = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: given.append(options) or load(*args, **options))
    load_network(tmp_path / "m.pt", trust=["torch.nn.modules.linear.Linear"])
    assert [options["weights_only"] for options in given] == [True]


def test_a_tensor_whose_numbers_are_negated_when_read_is_refused(tmp_path):
    """Its storage holds the other sign, which a reader that ignores the mark would take for the weights."""
    turned = torch.view_as_complex(torch.randn(2, 2, 2)).conj().imag
    assert turned.is_neg()
    torch.save({"0.weight": turned}, tmp_path / "m.pt")
    with pytest.raises(ModelError, match="negated or conjugated"):
        load_network(tmp_path / "m.pt")
