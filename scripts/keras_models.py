"""Writes small Keras models of every layer that is read, with random weights and their outputs, for the tests.

    KERAS_BACKEND=jax python scripts/keras_models.py tests/load/keras/three
    python scripts/keras_models.py tests/load/keras/two

Needs, in an environment of its own, Keras 3 with one of its backends (pip install keras jax h5py), or Keras 2 (pip
install tensorflow-cpu==2.15): relu-shallow reads the files without. A model is kept as NAME.keras, some as NAME.h5 in
legacy.zip too, inputs and outputs in outputs.npz.
"""

import io
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers as L  # noqa: N812

ROWS = 4
NEW = keras.__version__.startswith("3")
LEGACY = ("dense", "normalised", "convolution", "separable", "residual", "nested", "shared", "activations", "merges")


def randomised(model, rng):
    """The model with random weights, variances above zero."""
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "layers") or not layer.weights:
            continue
        layer.set_weights([
            (rng.uniform(0.3, 2, old.shape) if "variance" in w.name else rng.normal(size=old.shape) * 0.6)
            .astype(old.dtype)
            for w, old in zip(layer.weights, layer.get_weights(), strict=True)
        ])  # fmt: skip
    return model


def chain(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def residual():
    i = keras.Input((6, 6, 2))
    x = L.Conv2D(3, 3, padding="same", activation="relu")(i)
    y = L.BatchNormalization()(L.Conv2D(3, 3, padding="same", use_bias=False)(x))
    x = L.ReLU()(L.Add()([x, y]))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(i, L.Dense(2, activation="softmax")(x))


def nested():
    i = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dense(4)])
    j = keras.Input((4,))
    frozen = L.Dense(3, activation="relu")
    frozen.trainable = False
    twice = keras.Model(j, L.Concatenate()([frozen(j), L.Dense(2)(j)]))
    return keras.Model(i, L.Dense(2)(twice(L.ReLU()(inner(i)))))


def shared():
    i = keras.Input((3,))
    dense = L.Dense(3, activation="relu")
    return keras.Model(i, L.Dense(1)(dense(dense(i))))


def merges():
    i = keras.Input((4,))
    a, b, c = (L.Dense(3)(i) for _ in range(3))
    parts = [L.Subtract()([a, b]), L.Average()([a, b, c]), L.Maximum()([a, b, c]), L.Minimum()([a, b])]
    return keras.Model(i, L.Dense(2)(L.Concatenate()(parts)))


def operations():
    i = keras.Input((4,))
    x = L.Dense(3)(i)
    y = keras.ops.relu(x * 2.0 + 1.0) - L.Dense(3)(i)
    y = keras.ops.maximum(y, -x) / 3.0
    return keras.Model(i, L.Dense(2)(keras.ops.abs(1.0 - y)))


def activations():
    i = keras.Input((4,))
    kinds = ["relu", "leaky_relu", "hard_sigmoid", "linear"]
    kinds += ["relu6", "hard_tanh", "soft_shrink"] if NEW else []
    parts = [L.Dense(2, activation=kind)(i) for kind in kinds]
    x = L.Dense(4)(i)
    parts += [L.ReLU(max_value=1.5, negative_slope=0.1)(x), L.ReLU(max_value=1.0)(x), L.LeakyReLU(0.4)(x),
              L.LeakyReLU()(x), L.PReLU()(x), L.Activation("hard_sigmoid")(x),
              L.Activation("relu6")(x) if NEW else L.ThresholdedReLU(0.0)(x)]  # fmt: skip
    parts += [L.Dense(2, activation=L.LeakyReLU(0.25))(i)]
    return keras.Model(i, L.Dense(1, activation="sigmoid")(L.Concatenate()(parts)))


def models():
    """(name, model) of every kind, made one after the other."""
    yield "dense", chain((3,), L.Dense(4, activation="relu"), L.Dropout(0.5), L.Dense(2, activation="softmax"))
    yield "normalised", chain(
        (3, 2), L.Normalization(mean=[1.0, -2.0], variance=[4.0, 0.5]), L.Rescaling(0.5, 1.0), L.Permute((2, 1)),
        L.BatchNormalization(axis=1, epsilon=0.01), L.Reshape((-1, 2)), L.Dense(3, activation="relu"),
        L.BatchNormalization(scale=False), L.PReLU(shared_axes=[1]), L.Flatten(), L.BatchNormalization(center=False),
        L.Dense(2, activation="tanh"),
    )  # fmt: skip
    yield "adapted", chain((3,), L.Normalization(), L.Dense(3, activation="relu"), L.RepeatVector(2),
                           L.Normalization(invert=True, mean=1.0, variance=4.0), L.Flatten(), L.Dense(1))  # fmt: skip
    yield "convolution", chain(
        (7, 8, 2), L.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu"),
        L.Conv2D(4, 2, groups=2, dilation_rate=2), L.ZeroPadding2D(((1, 0), (0, 2))), L.Cropping2D(((0, 1), (1, 0))),
        L.LeakyReLU(0.1), L.Flatten(), L.Dense(2),
    )  # fmt: skip
    yield "line", chain(
        (9, 2), L.Conv1D(3, 3, padding="causal", dilation_rate=2, activation="relu"), L.ZeroPadding1D((1, 2)),
        L.MaxPooling1D(2, padding="same"), L.Conv1D(2, 2, strides=2), L.UpSampling1D(2), L.Cropping1D(1),
        L.AveragePooling1D(2, strides=1, padding="same"), L.DepthwiseConv1D(2), L.GlobalMaxPooling1D(),
    )  # fmt: skip
    yield "separable", chain(
        (6, 6, 2), L.SeparableConv2D(3, 3, padding="same", depth_multiplier=2, activation="relu"),
        L.DepthwiseConv2D(2, strides=2, depth_multiplier=2), L.ReLU(),
        L.GlobalMaxPooling2D(keepdims=True), L.Flatten(), L.Dense(2),
    )  # fmt: skip
    yield "transposed", chain(
        (3, 2, 2), L.Conv2DTranspose(2, 3, strides=2, padding="same", activation="relu"),
        L.Conv2DTranspose(2, (2, 3), strides=(3, 1)), L.ReLU(),
        L.Conv2DTranspose(1, 2, strides=3, padding="same"), L.AveragePooling2D(4), L.Flatten(), L.Dense(2),
    )  # fmt: skip
    yield "pooled", chain(
        (7, 7, 2), L.MaxPooling2D(3, strides=2, padding="same"), L.UpSampling2D((2, 1)),
        L.AveragePooling2D((3, 2), strides=2, padding="same"), L.UpSampling2D(2, interpolation="bilinear"),
        L.MaxPooling2D(2), L.Flatten(), L.Dense(2),
    )  # fmt: skip
    yield "volume", chain((3, 3, 4, 1), L.Conv3D(2, 2, activation="relu"), L.MaxPooling3D((2, 1, 2)), L.Flatten(),
                          L.Dense(1))  # fmt: skip
    yield "residual", residual()
    yield "nested", nested()
    yield "shared", shared()
    yield "merges", merges()
    if NEW:
        yield "operations", operations()
    yield "activations", activations()


def squeezed(path):
    """The model of an archive, whose members are compressed as well: a weights file is half empty."""
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name, content in members.items():
            new.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    path.write_bytes(buffer.getvalue())
    return keras.models.load_model(path)


def main(folder):
    kept = {}
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    for name, model in models():
        keras.utils.set_random_seed(1)
        randomised(model, rng)
        X = rng.normal(size=(ROWS, *model.input_shape[1:])).astype(np.float32) * 2
        model.save(str(folder / f"{name}.keras"))
        again = squeezed(folder / f"{name}.keras")
        kept[f"{name}.x"], kept[f"{name}.y"] = X, np.asarray(again(X, training=False))
        if name in LEGACY:
            model.save(str(folder / f"{name}.h5"))
    with zipfile.ZipFile(folder / "legacy.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as old:
        for path in sorted(folder.glob("*.h5")):
            old.write(path, path.name)
            path.unlink()
    np.savez_compressed(folder / "outputs.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
