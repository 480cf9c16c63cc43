"""Writes Keras 2 `.h5` files in their documented layout, of layers given as (class, options, weights)."""

import json

import h5py
import numpy as np


def layer(kind, name=None, weights=None, **options):
    """A layer: its class, its name, its weights by their part in Keras' order, its options."""
    return {"class_name": kind, "config": {"name": name or kind.lower(), **options}, "weights": weights or {}}


def sequential(shape, *layers):
    """The configuration of layers one after the other, for rows of a shape."""
    first = layer("InputLayer", "input", batch_input_shape=[None, *shape])
    numbered = [{**one, "config": {**one["config"], "name": f"{one['config']['name']}_{place}"}}
                for place, one in enumerate(layers)]  # fmt: skip
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": [first, *numbered]}}


def functional(inputs, outputs, *layers):
    """A graph: each layer with the names of those it is called on; `inputs` are {name: shape of a row}."""
    ends = [layer("InputLayer", name, batch_input_shape=[None, *shape]) | {"inbound_nodes": []}
            for name, shape in inputs.items()]  # fmt: skip
    called = [one | {"name": one["config"]["name"], "inbound_nodes": [[[source, 0, 0, {}] for source in sources]]}
              for one, sources in layers]  # fmt: skip
    return {"class_name": "Functional", "config": {
        "name": "model", "layers": [*ends, *called], "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[name, 0, 0] for name in outputs]}}  # fmt: skip


def write_h5(path, model, version="2.3.0", **file_options):
    """The model as an `.h5` file, its weights at model_weights/LAYER/LAYER/PART:0."""
    layers = model["config"]["layers"]
    plain = json.dumps(model, default=lambda value: None)
    with h5py.File(path, "w", **file_options) as file:
        file.attrs["model_config"] = json.dumps(_without_weights(json.loads(plain))).encode()
        file.attrs["keras_version"], file.attrs["backend"] = version.encode(), b"tensorflow"
        top = file.create_group("model_weights")
        top.attrs["layer_names"] = [one["config"]["name"].encode() for one in layers]
        for one in layers:
            group = top.create_group(one["config"]["name"])
            names = [f"{one['config']['name']}/{part}:0" for part in one.get("weights", {})]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, one.get("weights", {}).values(), strict=True):
                group[name] = np.asarray(values, np.float32)
    return path


def _without_weights(spec):
    if isinstance(spec, dict):
        return {key: _without_weights(value) for key, value in spec.items() if key != "weights"}
    return [_without_weights(value) for value in spec] if isinstance(spec, list) else spec
