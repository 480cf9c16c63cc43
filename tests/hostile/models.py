"""Hostile ONNX, .nnet, safetensors and converted files, each made by a function of the folder it is to lie in."""

import json
import os
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# --- ONNX -------------------------------------------------------------------------------------------------------


def graph(nodes, weights=(), shape=(1, 3), out=(1, 2)):
    """A function of a folder that writes the model of these nodes from x to y there."""

    def make(folder):
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", shape), ("y", out))
        ]
        tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
        built = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], tensors)
        onnx.save(helper.make_model(built, opset_imports=[helper.make_opsetid("", 13)]), folder / "m.onnx")
        return folder / "m.onnx"

    return make


def node(op, inputs, outputs="y", **options):
    return helper.make_node(op, inputs.split(), outputs.split(), **options)


def constant_of_shape(size):
    made = [node("ConstantOfShape", "n", "c", value=numpy_helper.from_array(np.ones(1, np.float32))),
            node("Add", "x c")]  # fmt: skip
    return graph(made, {"n": np.array([size], np.int64)})


def doubled(times):
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(times)]
    return graph([*nodes, node("Add", f"x c{times}")], {"c0": np.ones((1, 3), np.float32)})


def external(location, **more):
    """A weight that lies at some other place."""

    def make(folder):
        path = graph([node("MatMul", "x W")], {"W": np.ones((3, 2), np.float32)})(folder)
        model = onnx.load(path)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": location(folder) if callable(location) else location, "length": "24", **more}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
        path.write_bytes(model.SerializeToString())
        return path

    return make


def link(folder):
    (folder / "weights.bin").symlink_to("/etc/passwd")
    return "weights.bin"


def linked_folder(folder):
    (folder / "data").symlink_to("/etc")
    return "data/passwd"


def circle(folder):
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    return "a"


def pipe(folder):
    os.mkfifo(folder / "weights.bin")
    return "weights.bin"


def own(folder):
    (folder / "weights.bin").write_bytes(bytes(24))
    return "weights.bin"


def claimed(dims, kind=TensorProto.FLOAT):
    def make(folder):
        path = graph([node("MatMul", "x W")], {"W": np.ones((3, 2), np.float32)})(folder)
        model = onnx.load(path)
        tensor = model.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend(dims)
        tensor.data_type = kind
        path.write_bytes(model.SerializeToString())
        return path

    return make


def subgraph(folder):
    """A branch on a value of the input, whose two sides are graphs of their own."""
    inner = helper.make_graph(
        [node("Identity", "x", "z")], "inner", [], [helper.make_tensor_value_info("z", 1, (1, 3))]
    )
    return graph([node("If", "x", then_branch=inner, else_branch=inner)])(folder)


def nested_subgraphs(folder):
    """Subgraphs in subgraphs, deeper than any parser follows them."""
    data = helper.make_graph([node("Identity", "x", "z")], "g", [], []).SerializeToString()

    def field(number, content):
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    for _ in range(5_000):
        data = field(1, field(5, field(6, data)))
    (folder / "m.onnx").write_bytes(field(7, data))
    return folder / "m.onnx"


COLUMN, ROW = np.ones((1 << 16, 1), np.float32), np.ones((1, 1 << 16), np.float32)
ONNX = {
    "ConstantOfShape of a million million": constant_of_shape(10**12),
    "ConstantOfShape of a hundred million": constant_of_shape(10**8),
    "Expand": graph([node("Expand", "c n", "e"), node("Add", "x e")],
                    {"c": np.ones((1, 1), np.float32), "n": np.array([10**6, 10**6])}),
    "Expand of the input": graph([node("Expand", "x n")], {"n": np.array([10**7, 3])}),
    "Tile": graph([node("Tile", "c n", "e"), node("Add", "x e")],
                  {"c": np.ones((1, 3), np.float32), "n": np.array([10**6, 10**6])}),
    "Range": graph([node("Range", "a b d", "e"), node("Add", "x e")],
                   {"a": np.array(0.0), "b": np.array(1e12), "d": np.array(1.0)}),
    "a constant doubled fifty times": doubled(50),
    "constants that broadcast to four thousand million": graph(
        [node("Add", "a b", "c"), node("Reshape", "c n", "e"), node("Add", "x e")],
        {"a": COLUMN, "b": ROW, "n": np.array([-1, 3])}),
    "a Gather of one row again and again": graph(
        [node("Gather", "a i", "c", axis=0), node("MatMul", "x c")], {"a": ROW, "i": np.zeros((1 << 16,), np.int64)}),
    "two layers that multiply out to four thousand million weights": graph(
        [node("MatMul", "x a", "h"), node("MatMul", "h b")],
        {"a": COLUMN, "b": ROW}, shape=(1, 1 << 16), out=(1, 1 << 16)),
    "the input spread over two million rows": graph([node("Add", "x c")], {"c": np.ones((1 << 21, 1), np.float32)}),
    "the input spread over a million columns": graph(
        [node("Add", "x c", "h"), node("Reshape", "h n", "k"), node("Mul", "k d")],
        {"c": np.ones((1, 1 << 20), np.float32), "n": np.array([1, 1, 1 << 20]), "d": np.ones((1, 64, 1), np.float32)},
        shape=(1, 1)),
    "an input of a million million values": graph([node("Relu", "x")], shape=(1, 10**12)),
    "an input of ten million values": graph([node("Relu", "x")], shape=(1, 10**7)),
    "an input of sizes whose product is beyond 64 bits": graph([node("Relu", "x")], shape=(1, 2**40, 2**40)),
    "a convolution padded by a thousand million": graph(
        [node("Conv", "x W", pads=[10**9] * 4)], {"W": np.ones((1, 1, 1, 1), np.float32)}, shape=(1, 1, 3, 3)),
    "a convolution of many channels": graph(
        [node("Conv", "x W")], {"W": np.ones((512, 1, 3, 3), np.float32)}, shape=(1, 1, 1000, 1000)),
    "a convolution with strides of zero": graph(
        [node("Conv", "x W", strides=[0, 0])], {"W": np.ones((1, 1, 1, 1), np.float32)}, shape=(1, 1, 3, 3)),
    "a convolution in no groups": graph(
        [node("Conv", "x W", group=0)], {"W": np.ones((1, 1, 1, 1), np.float32)}, shape=(1, 1, 3, 3)),
    "the same weights for each of a million rows": graph(
        [node("Reshape", "x n", "h"), node("MatMul", "h W")],
        {"n": np.array([1, 1 << 19, 1]), "W": np.ones((1, 1 << 10), np.float32)}, shape=(1, 1 << 19)),
    "weights used by a thousand layers": graph(
        [node("MatMul", f"h{i} W" if i else "x W", f"h{i + 1}" if i < 999 else "y") for i in range(1000)],
        {"W": np.ones((300, 300), np.float32)}, shape=(1, 300)),
    "a circle": graph([node("Relu", "b", "a"), node("Relu", "a", "b"), node("Add", "x b")]),
    "a node that makes its own input": graph([node("Relu", "y", "y")]),
    "control flow": subgraph,
    "subgraphs without end": nested_subgraphs,
    "external data above its folder": external("../../../../../../../../etc/passwd"),
    "external data at an absolute path": external("/etc/passwd"),
    "external data through a link": external(link),
    "external data through a linked folder": external(linked_folder),
    "external data in a circle of links": external(circle),
    "external data in a pipe": external(pipe),
    "external data at a path with a null": external("a\0b"),
    "external data in the folder itself": external("."),
    "external data of a length of a million million": external(own, length=str(10**12)),
    "external data at a negative offset": external(own, offset="-8"),
    "external data whose offset is no number": external(own, offset="x"),
    "a weight of a million million without data": claimed([10**6, 10**6]),
    "a weight whose size is beyond 64 bits": claimed([2**62, 2**62]),
    "a weight of negative size": claimed([-3, -2]),
    "a weight of no type": claimed([3, 2], 0),
    "a weight of a type unheard of": claimed([3, 2], 99),
    "a weight of text": claimed([3, 2], TensorProto.STRING),
}  # fmt: skip
DEEP = graph([node("Neg", f"h{i}" if i else "x", f"h{i + 1}" if i < 20_000 else "y") for i in range(20_001)])


# --- .nnet ------------------------------------------------------------------------------------------------------

NNET = {
    "a header of a million million inputs": "1,1000000000000,1,2,\n1000000000000,1,\n0,\n0,\n0,\n0,\n0,\n",
    "a million million layers": "1000000000000,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n",
    "a layer of infinite size": "1,2,1,2,\n2,inf,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n",
    "a layer of no size": "1,2,1,2,\n2,nan,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n",
    "an infinite number of layers": "inf,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n",
    "a negative layer": "1,2,1,2,\n2,-1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n",
    "a number of a million digits": f"1,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,1,\n{'9' * 10**6},1,\n0,\n",
}


def nnet(text):
    return lambda folder: written(folder / "m.nnet", text.encode())


def written(path, data):
    path.write_bytes(data)
    return path


# --- safetensors ------------------------------------------------------------------------------------------------


def tensors(header, data=bytes(64), size=None):
    """A safetensors file with a header of our own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = struct.pack("<Q", len(text) if size is None else size)
    return lambda folder: written(folder / "m.safetensors", length + text + data)


def entry(start, stop, shape, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def chained(metadata, weights):
    """A file of weights with metadata."""

    def make(folder):
        from safetensors.numpy import save_file

        save_file(
            {name: np.ones(shape, np.float32) for name, shape in weights.items()}, folder / "m.safetensors", metadata
        )
        return folder / "m.safetensors"

    return make


def puzzle(layers):
    """Layers of which no order makes a chain, though nearly every order does for a long while."""
    return {f"l{i}.weight": (1 + i % 3, 1 + (i + 1) % 3) for i in range(layers)} | {
        "a.weight": (5, 4),
        "b.weight": (7, 6),
    }


SAFETENSORS = {
    "a header of 2^60 bytes": tensors({}, size=1 << 60),
    "a header beyond the file": tensors({}, size=10_000),
    "no header": tensors(b""),
    "a header that is no object": tensors(b"[1, 2]"),
    "a header nested too deeply": tensors(b'{"a":' + b"[" * 100_000),
    "metadata nested too deeply": tensors(b'{"__metadata__":' + b'{"a":' * 100_000),
    "tensors that overlap": tensors({"a.weight": entry(0, 64, (4, 4)), "b.weight": entry(32, 96, (4, 4))}, bytes(96)),
    "a gap between tensors": tensors({"a.weight": entry(0, 16, (2, 2)), "b.weight": entry(48, 64, (2, 2))}),
    "offsets beyond the file": tensors({"a.weight": entry(0, 10**12, (500_000, 500_000))}),
    "offsets backwards": tensors({"a.weight": entry(64, 0, (4, 4))}),
    "negative offsets": tensors(b'{"a.weight":{"dtype":"F32","shape":[4,4],"data_offsets":[-64,0]}}'),
    "a shape larger than its bytes": tensors({"a.weight": entry(0, 64, (10**6, 10**6))}),
    "a shape beyond 64 bits": tensors({"a.weight": entry(0, 64, (2**40, 2**40))}),
    "no rows of a million million values": tensors({"a.weight": entry(0, 0, (0, 10**12))}, b""),
    "a type unheard of": tensors({"a.weight": entry(0, 64, (4, 4), "F1024")}),
    "numbers that numpy lacks": tensors({"a.weight": entry(0, 64, (8, 8), "F8_E4M3")}),
    "metadata that is no text": tensors({"__metadata__": {"a": 1}, "a.weight": entry(0, 64, (4, 4))}),
    "a chain nested too deeply": chained({"chain": "[" * 100_000}, {"a.weight": (4, 4)}),
    "a chain that is no list": chained({"chain": "{}"}, {"a.weight": (4, 4)}),
    "a chain with a slope that is none": chained({"chain": '["a", "leaky_relu:0x"]'}, {"a.weight": (4, 4)}),
    "a batch_norm_eps that is none": chained({"chain": '["a"]', "batch_norm_eps": "x"}, {"a.weight": (4, 4)}),
    "as many slopes as do not fit": chained({"chain": '["a", "p"]'}, {"a.weight": (4, 4), "p.weight": (3,)}),
    "a batch normalisation of two sizes": chained(
        {"chain": '["a", "n"]'}, {"a.weight": (4, 4), "n.running_mean": (4,), "n.running_var": (3,)}
    ),
    "a batch normalisation of two shapes": chained(
        {"chain": '["a", "n"]'},
        {"a.weight": (4, 4), "n.running_mean": (4,), "n.running_var": (4,), "n.weight": (2, 2), "n.bias": (1,)},
    ),
    "layers whose order is a puzzle": chained(None, puzzle(36)),
    "layers numbered in superscript": chained(None, {"l²a.weight": (4, 3), "l2a.weight": (9, 8)}),
    "layers numbered in five thousand digits": chained(None, {f"l{'1' * 5000}.weight": (4, 3), "l2.weight": (9, 8)}),
    "two layers that multiply out to four thousand million weights": chained(
        {"chain": '["a", "b"]'}, {"a.weight": (1, 1 << 16), "b.weight": (1 << 16, 1)}),
    "a layer used a thousand times": chained({"chain": json.dumps(["a"] * 1000)}, {"a.weight": (300, 300)}),
}  # fmt: skip


# --- converted files --------------------------------------------------------------------------------------------


def altered(change):
    """A converted network with its arrays and fields changed, and a hash that fits them."""

    def make(folder):
        from safetensors import safe_open
        from safetensors.numpy import save_file

        from relu_shallow.archive import KEY, content_hash

        with safe_open(folder / "good.shallow.safetensors", framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads(file.metadata()[KEY])
        del about["sha256"]
        change(arrays, about)
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        about["sha256"] = content_hash(arrays, about)
        save_file(arrays, folder / "m.shallow.safetensors", metadata={KEY: json.dumps(about)})
        return folder / "m.shallow.safetensors"

    return make


def swapped(arrays, about):
    arrays["table.0.H"], arrays["table.0.witnesses"] = arrays["table.0.witnesses"], arrays["table.0.H"]


def missing(arrays, about):
    del arrays["table.0.trie.child"]


def sparse(rows, columns):
    def change(arrays, about):
        W = arrays.pop("network.affine.1.W")
        arrays["network.affine.1.W.data"] = W.ravel()
        arrays["network.affine.1.W.indices"] = np.arange(W.size)
        arrays["network.affine.1.W.indptr"] = np.array([0, W.size])
        about["network"]["sparse_shapes"][1] = [rows, columns]

    return change


def empty_but_wide(arrays, about):
    for name in ("H", "witnesses"):
        arrays[f"table.0.{name}"] = np.zeros((0, 10**12))


def nested_fields(arrays, about):
    deep: list = []
    for _ in range(500):
        deep = [deep]
    about["network"]["sparse_shapes"] = deep


CONVERTED = {
    "arrays that are swapped": altered(swapped),
    "an array that is missing": altered(missing),
    "a sparse matrix of a million million columns": altered(sparse(1, 10**12)),
    "a sparse matrix of a million million rows": altered(sparse(10**12, 4)),
    "no rows of a million million values": altered(empty_but_wide),
    "fields nested deeply": altered(nested_fields),
    "two thousand layers that are not there": altered(
        lambda arrays, about: about["network"].update(sparse_shapes=[[]] * 2000)),
    "a table that is no object": altered(lambda arrays, about: about.update(tables=[7])),
    "a domain that is a list": altered(lambda arrays, about: about.update(domain=[1])),
    "a tree that begins beyond 64 bits": altered(lambda arrays, about: about["tables"][0].update(root=1 << 70)),
}  # fmt: skip

# --- found by scripts/fuzz.py --------------------------------------------------------------------------------------

FOUND = {
    ".nnet: weights that overflow once they are scaled": lambda folder: written(
        folder / "m.nnet", b"1,2,1,2,\n2,1,\n0,\n0,0,\n0,0,\n0,0,0,\n1,1,22,\n1e308,3.5,\n1,\n"),
    ".nnet: a pickle that ends within a number": lambda folder: written(folder / "m.nnet", b"\x80\x02r"),
    "safetensors: a weight that is NaN": tensors(
        {"__metadata__": {"chain": '["a"]'}, "a.weight": entry(0, 4, (1, 1))}, b"\x00\x00\xbf\xff"),
    "safetensors: a variance below zero": tensors(
        {"__metadata__": {"chain": '["n"]'}, "n.running_mean": entry(0, 4, (1,)),
         "n.running_var": entry(4, 8, (1,))}, struct.pack("<2f", 0, -1)),
}  # fmt: skip

MODELS = {
    **FOUND,
    **{f"ONNX: {name}": make for name, make in ONNX.items()},
    **{f".nnet: {name}": nnet(text) for name, text in NNET.items()},
    **{f"safetensors: {name}": make for name, make in SAFETENSORS.items()},
    **{f"converted: {name}": make for name, make in CONVERTED.items()},
}
