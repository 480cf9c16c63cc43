"""Hostile Keras files, `.h5` and `.keras`, each made by a function of the folder it is to lie in."""

import json
import struct
import zipfile

import h5py
import numpy as np


def spec(kind, name="a", **options):
    return {"class_name": kind, "config": {"name": name, **options}}


def rows(*shape):
    return spec("InputLayer", "x", batch_input_shape=[None, *shape])


def sequence(*layers):
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def h5(config, weights=(), version="2.15.0", change=None):
    """A function of a folder that writes a file of this configuration and these weights of layer a."""

    def make(folder):
        with h5py.File(folder / "m.h5", "w") as file:
            file.attrs["model_config"] = config if isinstance(config, (str, bytes)) else json.dumps(config)
            file.attrs["keras_version"] = version
            group = file.create_group("model_weights/a")
            group.attrs["weight_names"] = [name.encode() for name in dict(weights)]
            for name, values in dict(weights).items():
                group[name] = values
            if change is not None:
                change(folder, group)
        return folder / "m.h5"

    return make


DENSE = sequence(rows(3), spec("Dense"))
WEIGHTS = {"k": np.ones((3, 2), np.float32), "b": np.zeros(2, np.float32)}


def in_place_of_k(put):
    """The weight k, put there in another way."""

    def change(folder, group):
        del group["k"]
        put(folder, group)

    return h5(DENSE, WEIGHTS, change=change)


def linked(folder, group):
    with h5py.File(folder / "other.h5", "w") as other:
        other["k"] = WEIGHTS["k"]
    group["k"] = h5py.ExternalLink(str(folder / "other.h5"), "k")


def soft(folder, group):
    group["k"] = h5py.SoftLink("/model_weights/a/b")


def outside(folder, group):
    group.create_dataset("k", (3, 2), "f4", external=[("/etc/passwd", 0, 24)])


def virtual(folder, group):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "k", (3, 2))
    group.create_virtual_dataset("k", layout)


def bomb(folder, group):
    group.create_dataset("k", (1 << 15, 1 << 15), "f4", chunks=(1 << 10, 1 << 15), compression="gzip")


def unwritten(folder, group):
    group.create_dataset("k", (1 << 20, 1 << 20), "f4")


def circle(folder, group):
    """A group that holds itself, as the place of a layer's weights."""
    group["k"] = group


def again_and_again(folder):
    """A thousand layers whose weights are all one array of a megabyte."""
    names = [f"l{place}" for place in range(1000)]
    layers = [spec("Dense", name, use_bias=False) for name in names]
    with h5py.File(folder / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequence(rows(512), *layers))
        for name in names:
            group = file.create_group(f"model_weights/{name}")
            group.attrs["weight_names"] = [b"k"]
            if name == "l0":
                group["k"] = np.ones((512, 512), np.float32)
            else:
                group["k"] = file["model_weights/l0/k"]
    return folder / "m.h5"


def changed(find, replace, count=1):
    """The bytes of a good file with some of them replaced."""

    def make(folder):
        path = h5(DENSE, WEIGHTS)(folder)
        data = path.read_bytes()
        assert data.count(find) >= 1
        path.write_bytes(data.replace(find, replace, count))
        return path

    return make


def doubled(times):
    """Models in models, each applied twice: two to the power of `times` layers."""

    def graph(name, part):
        return {"class_name": "Functional", "name": name, "config": {
            "name": name, "input_layers": [["x", 0, 0]], "output_layers": [["a", 1, 0]],
            "layers": [rows(3) | {"inbound_nodes": []},
                       part | {"name": "a", "inbound_nodes": [[["x", 0, 0, {}]], [["a", 0, 0, {}]]]}]}}  # fmt: skip

    inner = spec("ReLU")
    for _ in range(times):
        inner = graph("a", inner)
    return h5(inner)


def nested(depth):
    return h5('{"class_name": "Sequential", "config": {"layers": [' * depth + "]}}" * depth)


def archive(members, packing=zipfile.ZIP_DEFLATED):
    def make(folder):
        with zipfile.ZipFile(folder / "m.keras", "w", packing) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return folder / "m.keras"

    return make


META = json.dumps({"keras_version": "3.0.0"})


def weights_elsewhere(folder):
    path = h5(DENSE, WEIGHTS, change=lambda folder, group: group.clear())(folder)
    return archive({"config.json": json.dumps(DENSE), "metadata.json": META, "model.weights.h5": path.read_bytes()})(
        folder
    )


def grown(kind, shape, **options):
    return h5(sequence(rows(*shape), spec(kind, **options)))


HUGE = 10**9
KERNEL = {"k": np.ones((2, 2, 1, 1), np.float32), "b": np.zeros(1, np.float32)}
H5 = {
    "a link to another file": in_place_of_k(linked),
    "a soft link": in_place_of_k(soft),
    "a weight in another file": in_place_of_k(outside),
    "a virtual weight": in_place_of_k(virtual),
    "a compressed weight of four gigabytes": in_place_of_k(bomb),
    "a weight of four terabytes that was never written": in_place_of_k(unwritten),
    "a group in place of a weight": in_place_of_k(circle),
    "one weight a thousand times": again_and_again,
    "a weight whose shape is beyond 64 bits": changed(struct.pack("<QQ", 3, 2), struct.pack("<QQ", 2**63, 2**63)),
    "a weight larger than the file": lambda folder: _resized(h5(DENSE, WEIGHTS)(folder), 2**60),
    "a weight smaller than its shape": lambda folder: _resized(h5(DENSE, WEIGHTS)(folder), 8),
    "a root beyond the file": lambda folder: _cut(h5(DENSE, WEIGHTS)(folder), 64, struct.pack("<Q", 2**62)),
    "a root at its own beginning": lambda folder: _cut(h5(DENSE, WEIGHTS)(folder), 64, struct.pack("<Q", 0)),
    "a tree that is its own branch": lambda folder: _loop(h5(DENSE, WEIGHTS)(folder)),
    "a Lambda layer": h5(sequence(rows(3), spec("Lambda", function=["4wEAAAA=", None, None]))),
    "a class of its author's own": h5(sequence(rows(3), {"module": "os", **spec("system", command="id")})),
    "a program of TensorFlow": h5(sequence(rows(3), spec("TFSMLayer", filepath="/etc"))),
    "a function of its author's own": h5(sequence(rows(3), spec("Dense", activation={
        "class_name": "function", "module": "os", "config": "system"})), WEIGHTS),
    "no JSON": h5(b"\xff{"),
    "a list of layers": h5("[]"),
    "a configuration nested without end": h5("[" * 100_000),
    "models nested without end": nested(100),
    "models used twice, forty deep": doubled(40),
    "a layer that needs itself": h5({"class_name": "Functional", "config": {
        "layers": [spec("ReLU") | {"inbound_nodes": [[["a", 0, 0, {}]]]}],
        "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}}),
    "an input of a million million values": h5(sequence(rows(10**6, 10**6), spec("ReLU"))),
    "an input of negative size": h5(sequence(rows(-3), spec("ReLU"))),
    "a size that is no number": h5(sequence(rows("3"), spec("ReLU"))),
    "a repetition of a thousand million": grown("RepeatVector", (3,), n=HUGE),
    "zeros of a thousand million": grown("ZeroPadding2D", (3, 3, 1), padding=HUGE),
    "an enlargement of a million million": grown("UpSampling2D", (3, 3, 1), size=10**6),
    "an interpolation of a million million": grown("UpSampling2D", (3, 3, 1), size=10**6, interpolation="bilinear"),
    "a pool of a thousand million": grown("MaxPooling2D", (3, 3, 1), pool_size=HUGE, padding="same"),
    "a pool without stride": grown("MaxPooling2D", (3, 3, 1), pool_size=2, strides=[0, 0]),
    "a cut of more than there is": grown("Cropping2D", (3, 3, 1), cropping=5),
    "a cut beyond the other end": grown("Cropping2D", (3, 3, 1), cropping=[[0, 5], [0, 0]]),
    "a class of its author's own with a name of Keras": h5(
        sequence(rows(3), {"module": "mine", **spec("Dense")}), WEIGHTS),
    "a dilation of a thousand million": h5(
        sequence(rows(3, 3, 1), spec("Conv2D", dilation_rate=HUGE, padding="same")), KERNEL),
    "a transposed stride of a thousand million": h5(
        sequence(rows(3, 3, 1), spec("Conv2DTranspose", strides=HUGE)), KERNEL),
    "no groups": h5(sequence(rows(3, 3, 1), spec("Conv2D", groups=0)), KERNEL),
    "a shape of a million million": grown("Reshape", (3,), target_shape=[10**12]),
    "axes that are no numbers": h5(sequence(rows(3), spec("BatchNormalization", axis={})), dict.fromkeys(
        "abcd", np.ones(3, np.float32))),
    "a variance below zero": h5(sequence(rows(3), spec("BatchNormalization")), dict.fromkeys(
        "abcd", -np.ones(3, np.float32))),
    "a weight that is NaN": h5(DENSE, WEIGHTS | {"k": np.full((3, 2), np.nan, np.float32)}),
    "a weight of text": h5(DENSE, WEIGHTS | {"k": b"text"}),
    "a name with control characters": h5(sequence(rows(3), spec("\x1b[2J", "a\x1b]0;x\x07\n"))),
    "a version that is no number": h5(DENSE, WEIGHTS, version="\x1b[2Jx"),
}  # fmt: skip
ARCHIVES = {
    "no weights": archive({"config.json": json.dumps(DENSE), "metadata.json": META, "model.weights.json": "{}"}),
    "weights that are no HDF5": archive(
        {"config.json": json.dumps(DENSE), "metadata.json": META, "model.weights.h5": b"x"}),
    "a configuration of four gigabytes": archive(
        {"config.json": b" " * (200 << 20), "metadata.json": META, "model.weights.h5": b"x"}),
    "weights of other layers": weights_elsewhere,
    "no metadata": archive({"config.json": json.dumps(DENSE), "model.weights.h5": b"x"}),
    "metadata that are a list": archive({"config.json": "{}", "metadata.json": "[]", "model.weights.h5": b"x"}),
    "packed by a method unheard of": archive(
        {"config.json": "{}", "metadata.json": META, "model.weights.h5": b"x" * 999}, zipfile.ZIP_LZMA),
}  # fmt: skip


def _cut(path, place, content):
    data = bytearray(path.read_bytes())
    data[place : place + len(content)] = content
    path.write_bytes(data)
    return path


def _resized(path, size):
    """The array of 24 bytes says that it has another size."""
    return _cut(path, path.read_bytes().rindex(struct.pack("<Q", 24)), struct.pack("<Q", size))


def _loop(path):
    """The first tree of groups has itself as its first member."""
    data = path.read_bytes()
    tree = data.index(b"TREE")
    return _cut(path, tree + 32, struct.pack("<Q", tree))


KERAS = {
    **{f".h5: {name}": make for name, make in H5.items()},
    **{f".keras: {name}": make for name, make in ARCHIVES.items()},
}
