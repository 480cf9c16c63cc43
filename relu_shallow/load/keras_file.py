"""Keras models, `.h5` files (Keras 2 and the older format of Keras 3) and `.keras` archives, without TensorFlow.

Both hold the configuration of every layer as JSON and the weights as HDF5. Code kept in a file (a Lambda layer, a class
of the author's own) is never run: it is refused by name. There is no framework to compare the outputs with.
"""

from __future__ import annotations

import json
import re
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.hdf5 import BROKEN, Node, open_hdf5
from relu_shallow.load.keras_config import Model, parse_model
from relu_shallow.load.keras_graph import begin, chosen, walk_model
from relu_shallow.load.keras_weights import Tree, weights_of_archive, weights_of_h5
from relu_shallow.load.lowering import assemble
from relu_shallow.load.reading import ModelFile, damaged, is_zip, open_archive
from relu_shallow.load.walk import Vector, Walk, Wanted, most_entries, source_of, walked
from relu_shallow.network import Network

MALFORMED = (*BROKEN, AttributeError, ArithmeticError)
NEWEST = 3  # the major version of Keras whose files are known


def read_keras(file: ModelFile, wanted: Wanted) -> Network:
    """The network of a `.h5` or `.keras` file."""
    try:
        model, tree = _archive(file) if is_zip(file.data) else _hdf5(file)
        walk = Walk(room=most_entries(file), wanted=wanted)

        def run() -> Vector:
            v = begin(walk, file.name, model)
            return walk_model(walk, model, tree, [v], [chosen(file.name, model, wanted.output)])[0]

        graph = walked(walk, file.name, run)
    except MALFORMED as error:
        raise damaged(file, "Keras", f"what it holds is not put together as Keras does: {error}") from error
    return assemble(graph, source_of(walk, file.name, "keras", file.sha256))


def _hdf5(file: ModelFile) -> tuple[Model, Tree]:
    root = open_hdf5(file)
    config = root.attribute("model_config")
    if config is None:
        raise _without_layers(file, root)
    model = parse_model(file, config, _version(file, root.attribute("keras_version")))
    return model, weights_of_h5(file, model, root)


def _without_layers(file: ModelFile, root: Node) -> ModelError:
    if root.attribute("layer_names") is None and root.child("layers") is None:
        return damaged(file, "Keras", "it is an HDF5 file without a model")
    return ModelError(f"{file.name} holds weights only, and not the layers they belong to; save the whole model with "
                      "model.save(), not save_weights()")  # fmt: skip


def _archive(file: ModelFile) -> tuple[Model, Tree]:
    archive = open_archive(file, flat=True)
    for name in ("model.weights.json", "model.weights.npz"):
        if name in archive.members:
            raise ModelError(f"{file.name} keeps its weights as {name}, which is not read; load the model in Keras and "
                             "save it again with model.save()")  # fmt: skip
    metadata: Any = json.loads(archive.read("metadata.json"))
    model = parse_model(file, archive.read("config.json"), _version(file, metadata.get("keras_version")))
    return model, weights_of_archive(file, model, open_hdf5(file, archive.read("model.weights.h5")))


def _version(file: ModelFile, text: Any) -> int:
    """The major version of Keras that wrote a file; 2 where it does not say."""
    if text is None:
        return 2
    found = re.match(r"(\d{1,3})\.", str(text))
    major = int(found[1]) if found else 0
    if not 2 <= major <= NEWEST:
        raise ModelError(f"{file.name} was written by Keras {str(text)[:40]}; files of Keras 2 and 3 are read. Load "
                         "the model in one of these and save it again")  # fmt: skip
    return major
