"""`.pt2` archives of torch.export: the graph's JSON and the raw bytes of its weights, read by hand.

`torch.export.load` executes pickles found in the archive, so it is never called on a file. Weights that an archive
keeps pickled are read through inert stand-ins.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from relu_shallow.errors import ModelError
from relu_shallow.load.aten import apply
from relu_shallow.load.aten_windows import Unusable
from relu_shallow.load.inert_pickle import Storage, Tensor, array_of, read_archive_pickle
from relu_shallow.load.lowering import assemble
from relu_shallow.load.reading import Archive, ModelFile, damaged, from_bytes, open_archive
from relu_shallow.load.walk import Walk, Wanted, choose_output, most_entries, source_of, start, walked
from relu_shallow.network import Network

# torch._export.serde.schema.ScalarType
NUMBER_TYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
                12: "bool", 13: "bfloat16"}  # fmt: skip
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, ArithmeticError)


def read_torch_export(file: ModelFile, wanted: Wanted) -> Network:
    """The network of a torch.export archive."""
    walk = Walk(room=most_entries(file), wanted=wanted)
    graph = walked(walk, file.name, lambda: walk_program(walk, file))
    return assemble(graph, source_of(walk, file.name, "torch.export", file.sha256))


def walk_program(walk: Walk, file: ModelFile) -> Any:
    """The output of the program in a torch.export archive, walked."""
    archive = open_archive(file)
    if "models/model.json" not in archive.members:
        raise ModelError(f"{file.name} has no models/model.json: it was not written by torch.export.save, or by one "
                         "older than PyTorch 2.9; save it again, or export it to ONNX")  # fmt: skip
    try:
        program = json.loads(archive.read("models/model.json"))
        return _walked(walk, archive, program["graph_module"])
    except MALFORMED as error:
        raise damaged(file, "torch.export", "its graph is not that of a chain of layers") from error


def _walked(walk: Walk, archive: Archive, module: dict[str, Any]) -> Any:
    """The graph's output, every node applied in the file's own order."""
    graph = module["graph"]
    values = _inputs(walk, archive, module)
    for node in graph["nodes"]:
        op = _operation(node["target"])
        args = [_argument(entry["arg"], values) for entry in node["inputs"] if entry.get("kind", 1) == 1]
        kwargs = {entry["name"]: _argument(entry["arg"], values) for entry in node["inputs"] if entry.get("kind") == 2}
        result = apply(walk, _named(node["outputs"], op), op, args, kwargs)
        _bind(node["outputs"], result, values)
    specs = module["signature"]["output_specs"]
    outputs = [spec["user_output"]["arg"] for spec in specs if "user_output" in spec]
    other = sorted({key for spec in specs for key in spec} - {"user_output", "user_input_mutation"})
    if other:
        raise ModelError(f"{archive.file.name} also changes what it keeps ({', '.join(other)}), so that its output is "
                         "not a function of its input alone; call model.eval() before exporting")  # fmt: skip
    names = _output_names(module, len(outputs))
    return _argument(outputs[names.index(choose_output(archive.file.name, names, walk.wanted))], values)


def _output_names(module: dict[str, Any], count: int) -> list[str]:
    """The outputs' keys or positions, as the exported module returned them."""
    calls = [call for call in module.get("module_call_graph") or [] if call.get("fqn") == "" and call.get("signature")]
    leaves: list[str] = _leaves(json.loads(calls[0]["signature"]["out_spec"])[1], "") if calls else []
    return leaves if len(set(leaves)) == len(leaves) == count else [str(place) for place in range(count)]


def _leaves(spec: dict[str, Any], name: str) -> list[str]:
    """The leaves of PyTorch's record of how outputs lie within one another, named by key or position."""
    if spec["type"] is None:
        return [name or "0"]
    parts = spec["children_spec"]
    keys = json.loads(spec["context"]) if spec["type"] == "builtins.dict" else range(len(parts))
    return [leaf for key, inner in zip(keys, parts, strict=True)
            for leaf in _leaves(inner, f"{name}.{key}" if name else str(key))]  # fmt: skip


def _named(outputs: list[dict[str, Any]], op: str) -> str:
    """The name of a node, which is that of its first result."""
    content = next(iter(outputs[0].values())) if outputs else {}
    first = content[0] if isinstance(content, list) and content else content
    return str(first.get("name", op)) if isinstance(first, dict) else op


def _operation(target: str) -> str:
    """`torch.ops.aten.relu.default` -> `relu`; operations of other libraries keep their whole name."""
    space, _, rest = target.partition("torch.ops.aten.")
    return rest.partition(".")[0] if not space and rest else target


def _inputs(walk: Walk, archive: Archive, module: dict[str, Any]) -> dict[str, Any]:
    """Values by name before the first node: weights, constants, and the one input."""
    values: dict[str, Any] = {}
    users = []
    weights = json.loads(archive.read("data/weights/model_weights_config.json"))["config"]
    constants = {}
    if "data/constants/model_constants_config.json" in archive.members:
        constants = json.loads(archive.read("data/constants/model_constants_config.json"))["config"]
    for spec in module["signature"]["input_specs"]:
        (kind, entry), *_ = spec.items()
        name = entry["arg"].get("name") or entry["arg"].get("as_tensor", {}).get("name")
        if kind in ("parameter", "buffer"):
            values[name] = _weight(archive, "data/weights", weights, entry[f"{kind}_name"])
        elif kind == "tensor_constant":
            values[name] = _weight(archive, "data/constants", constants, entry["tensor_constant_name"])
        elif kind == "user_input" and name is not None:
            users.append(name)
        else:
            raise ModelError(f"{archive.file.name} takes an input of kind {kind}, which is not read")
    if len(users) != 1:
        raise ModelError(f"{archive.file.name} takes {len(users)} input tensors; one was expected")
    sizes = module["graph"]["tensor_values"][users[0]]["sizes"]
    whole = len(sizes) == 1 or sizes[0].get("as_int") == 1
    values[users[0]] = start(walk, _input_shape(walk, sizes), None if whole else 0)
    return values


def _input_shape(walk: Walk, sizes: list[dict[str, Any]]) -> tuple[int, ...]:
    """The shape of one row: the first of two or more axes is the batch."""
    if len(sizes) > 1:
        walk.batch = int(sizes[0].get("as_int", 1))
    rest = sizes if len(sizes) == 1 else sizes[1:]
    if any("as_int" not in size for size in rest):
        raise ModelError("the exported input has a dynamic size besides the batch; export with only axis 0 dynamic")
    shape = tuple(int(size["as_int"]) for size in rest)
    return shape if len(sizes) == 1 else (1, *shape)


def _weight(archive: Archive, folder: str, config: dict[str, Any], name: str) -> np.ndarray:
    """A weight by its name in the model."""
    if name not in config:
        raise damaged(archive.file, "torch.export", f"the weight {name} is missing")
    entry = config[name]
    data = archive.read(f"{folder}/{entry['path_name']}")
    if entry.get("use_pickle"):
        inner = from_bytes(Path(f"{archive.file.name}:{entry['path_name']}"), data)
        return np.asarray(read_archive_pickle(open_archive(inner)))
    meta = entry["tensor_meta"]
    if meta["dtype"] not in NUMBER_TYPES:
        raise ModelError(f"the weight {name} of {archive.file.name} is of a number type that is not read")
    big = "byteorder" in archive.members and archive.read("byteorder").strip() == b"big"
    storage = Storage(NUMBER_TYPES[meta["dtype"]], data, ">" if big else "<")
    shape, strides = (tuple(int(size["as_int"]) for size in meta[key]) for key in ("sizes", "strides"))
    return array_of(archive.file, Tensor(storage, int(meta["storage_offset"]["as_int"]), shape, strides))


def _argument(argument: dict[str, Any], values: dict[str, Any]) -> Any:
    """A node's argument: a value by name, or a number, list or string written in the graph."""
    (kind, content), *_ = argument.items()
    if kind == "as_tensor":
        return values[content["name"]]
    if kind == "as_none":
        return None
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        (_, value), *_ = content.items()
        return values[content["as_name"]] if "as_name" in content else value
    if kind == "as_sym_ints":
        return [values[size["as_name"]] if "as_name" in size else int(size["as_int"]) for size in content]
    if kind == "as_tensors":
        return [values[entry["name"]] for entry in content]
    if kind == "as_optional_tensors":
        return [values[entry["as_tensor"]["name"]] if "as_tensor" in entry else None for entry in content]
    if kind == "as_scalar_type":
        return NUMBER_TYPES.get(content, f"number type {content}")
    return content


def _bind(outputs: list[dict[str, Any]], result: Any, values: dict[str, Any]) -> None:
    """Names a node's results, those that the operation does not give as unusable."""
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    for output in outputs:
        (kind, content), *_ = output.items()
        for entry in content if kind == "as_tensors" else [content]:
            name = entry["name"] if "name" in entry else entry.get("as_name")
            if name is not None:
                lacking = Unusable(f"further results of a layer ({name})")
                values[name] = results.pop(0) if results else lacking
