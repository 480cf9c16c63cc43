"""Keras files: held to outputs that Keras itself recorded, and to a forward pass written from its documentation."""

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import data_path
from framework_agreement import Loaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras_forward import FORWARD, MERGED
from keras_writer import functional, layer, sequential, write_h5

import relu_shallow as rs
from relu_shallow.errors import ModelError
from relu_shallow.load import load_network
from relu_shallow.load.agreement import predicted, rounding
from relu_shallow.precision import UNIT, UNIT32

HERE = Path(__file__).with_name("keras")
RECORDED = [(folder, name) for folder in ("two", "three")
            for name in (*sorted(path.name for path in (HERE / folder).glob("*.keras")),
                         *sorted(zipfile.ZipFile(HERE / folder / "legacy.zip").namelist()))]  # fmt: skip
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
RNG = np.random.default_rng
DENSE = {"kernel": np.eye(3), "bias": np.zeros(3)}


def recorded(folder, name, tmp_path):
    """A recorded model's path, its inputs and its outputs."""
    path = HERE / folder / name
    if path.suffix == ".h5":
        path = Path(zipfile.ZipFile(HERE / folder / "legacy.zip").extract(name, tmp_path))
    kept = np.load(HERE / folder / "outputs.npz")
    X, Y = kept[f"{path.stem}.x"], kept[f"{path.stem}.y"]
    return path, X.reshape(len(X), -1).astype(np.float64), Y.reshape(len(Y), -1).astype(np.float64)


@pytest.mark.parametrize(("folder", "name"), RECORDED)
def test_a_model_has_the_outputs_that_keras_recorded(folder, name, tmp_path, monkeypatch):
    path, X, Y = recorded(folder, name, tmp_path)
    loaded = Loaded(monkeypatch, "keras_file", path)
    ours = predicted(loaded.network, X)
    assert (np.abs(ours - Y) <= rounding(loaded.graph, X, UNIT32)).all()
    assert np.abs(ours - Y).max() <= 64 * UNIT32 * (1 + np.abs(Y).max())  # the proved bound is wide
    assert loaded.network.source.dtype == "float32"
    assert loaded.network.source.format == "keras"


def test_both_formats_of_one_model_give_the_same_network(tmp_path):
    path, X, _ = recorded("three", "nested.h5", tmp_path)
    assert np.array_equal(load_network(path)(X), load_network(HERE / "three" / "nested.keras")(X))


def forward(X, model):
    """The layers of a Sequential model applied one after the other."""
    first, *layers = model["config"]["layers"]
    x = X.reshape(len(X), *first["config"]["batch_input_shape"][1:])
    for one in layers:
        weights = {key: np.float64(np.float32(value)) for key, value in one["weights"].items()}
        x = FORWARD[one["class_name"]](x, one["config"], **weights)
    return x


def check(monkeypatch, tmp_path, shape, *layers):
    model = sequential(shape, *layers)
    loaded = Loaded(monkeypatch, "keras_file", write_h5(tmp_path / "m.h5", model))
    loaded.assert_same(lambda X: forward(X, model), unit=UNIT, rows=5)


def drawn(data, kind, shape, axes):
    """A window layer of a kind with random options and weights, for rows of a shape."""
    rng = RNG(data.draw(st.integers(0, 2**32 - 1)))
    first = data.draw(st.booleans()) and axes > 1
    channels = shape[0] if first else shape[-1]
    strides = data.draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    options = {"padding": data.draw(st.sampled_from(["valid", "same"])), "strides": strides,
               "data_format": "channels_first" if first else "channels_last"}  # fmt: skip
    window = data.draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    if "Pooling" in kind:
        return layer(kind, pool_size=window, **(options | {"strides": data.draw(st.sampled_from([strides, None]))}))
    bias = data.draw(st.booleans())
    options |= {"use_bias": bias, "activation": data.draw(st.sampled_from(["linear", "relu"]))}
    if "Transpose" not in kind and max(strides) == 1:
        options["dilation_rate"] = data.draw(st.integers(1, 2))
    out, times = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    if kind.startswith("Separable"):
        weights = {"depthwise_kernel": (*window, channels, times),
                   "pointwise_kernel": (*[1] * axes, channels * times, out)}  # fmt: skip
    elif kind.startswith("Depthwise"):
        weights, out = {"depthwise_kernel": (*window, channels, times)}, channels * times
    elif "Transpose" in kind:
        weights = {"kernel": (*window, out, channels)}
    else:
        groups = data.draw(st.sampled_from([1, channels]))
        options["groups"], out = groups, out * groups
        weights = {"kernel": (*window, channels // groups, out)}
        if axes == 1 and data.draw(st.booleans()):
            options["padding"] = "causal"
    weights |= {"bias": (out,)} if bias else {}
    return layer(kind, weights={part: rng.normal(size=size) for part, size in weights.items()}, **options)


WINDOWS = [f"{kind}{axes}D{more}" for axes in (1, 2) for kind, more in
           (("Conv", ""), ("Conv", "Transpose"), ("DepthwiseConv", ""), ("SeparableConv", ""), ("MaxPooling", ""),
            ("AveragePooling", ""))]  # fmt: skip


@pytest.mark.parametrize("kind", WINDOWS)
@SLOW
@given(data=st.data())
def test_a_window_of_any_shape_is_what_the_documentation_says(kind, data, tmp_path_factory):
    axes = 1 if "1D" in kind else 2
    shape = tuple(data.draw(st.lists(st.integers(3, 5), min_size=axes + 1, max_size=axes + 1)))
    with pytest.MonkeyPatch.context() as patch:
        window = drawn(data, kind, shape, axes)
        if window["config"]["padding"] == "valid" and "Transpose" not in kind:
            shape = tuple(size + 3 for size in shape)
            window = drawn(data, kind, shape, axes)
        check(patch, tmp_path_factory.mktemp("k"), shape, window, layer("Flatten"))


@pytest.mark.parametrize("axes", [1, 2])
@SLOW
@given(data=st.data())
def test_padding_cropping_upsampling_and_global_pooling_are_what_the_documentation_says(axes, data, tmp_path_factory):
    sizes = st.integers(0, 2)
    around = data.draw(st.lists(st.tuples(sizes, sizes), min_size=axes, max_size=axes))
    around = list(around[0]) if axes == 1 else data.draw(st.sampled_from([around, 1, [2, 1]]))
    first = axes > 1 and data.draw(st.booleans())
    options = {"data_format": "channels_first" if first else "channels_last"}
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=axes + 1, max_size=axes + 1)))
    pooling = data.draw(st.sampled_from(["GlobalMaxPooling", "GlobalAveragePooling"]))
    layers = [layer(f"UpSampling{axes}D", size=2 if axes == 1 else data.draw(st.sampled_from([2, [1, 3]])), **options),
              layer(f"ZeroPadding{axes}D", padding=around, **options), layer("ReLU"),
              layer(f"ZeroPadding{axes}D", padding=2, **options),
              layer(f"Cropping{axes}D", cropping=around, **options),
              layer(f"{pooling}{axes}D", keepdims=data.draw(st.booleans()), **options),
              layer("Flatten", **options)]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        check(patch, tmp_path_factory.mktemp("k"), shape, *layers)


@SLOW
@given(shape=st.lists(st.integers(1, 3), min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_layers_of_values_and_shapes_are_what_the_documentation_says(shape, seed, data, tmp_path_factory):
    rng = RNG(seed)
    axis = data.draw(st.integers(1, len(shape)))
    width, last = shape[axis - 1], shape[-1]
    scaled, centred = data.draw(st.booleans()), data.draw(st.booleans())
    parts = (["gamma"] if scaled else []) + (["beta"] if centred else [])
    order = data.draw(st.permutations(range(1, len(shape) + 1)))
    moved = [shape[place - 1] for place in order]
    stages = [
        layer("Rescaling", scale=float(rng.normal()), offset=float(rng.normal())),
        layer("Normalization", axis=[axis], mean=None, invert=data.draw(st.booleans()),
              weights={"mean": rng.normal(size=width), "variance": rng.uniform(0.5, 2, width), "count": 3}),
        layer("Dense", weights={"kernel": rng.normal(size=(last, last)), "bias": rng.normal(size=last)},
              activation=data.draw(st.sampled_from(["relu", "relu6", "leaky_relu", "hard_sigmoid"]))),
        layer("BatchNormalization", axis=[axis], epsilon=0.01, scale=scaled, center=centred,
              weights={**{part: rng.normal(size=width) for part in parts}, "moving_mean": rng.normal(size=width),
                       "moving_variance": rng.uniform(0.5, 2, width)}),
        layer("LeakyReLU", alpha=float(rng.normal())),
        layer("Permute", dims=list(order)),
        layer("PReLU", weights={"alpha": rng.normal(size=[size if rng.random() < 0.5 else 1 for size in moved])}),
        layer("ReLU", max_value=data.draw(st.sampled_from([None, 0.7])), negative_slope=0.3, threshold=0.0),
        layer("Flatten"), layer("Dropout", rate=0.5), layer("RepeatVector", n=2),
        layer("Reshape", target_shape=[2 * int(np.prod(shape))]),
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        check(patch, tmp_path_factory.mktemp("k"), tuple(shape), *stages)


def test_an_option_that_is_left_out_has_the_default_of_keras(monkeypatch, tmp_path):
    rng = RNG(4)
    statistics = {part: rng.uniform(0.1, 2, 2) for part in ("gamma", "beta", "moving_mean", "moving_variance")}
    check(monkeypatch, tmp_path, (6, 2), layer("LeakyReLU"), layer("BatchNormalization", weights=statistics),
          layer("Conv1D", weights={"kernel": rng.normal(size=(2, 2, 2)), "bias": np.ones(2)}), layer("ReLU"),
          layer("MaxPooling1D"), layer("Normalization", weights={"mean": np.ones(2), "variance": np.full(2, 3.0),
                                                                 "count": 1}), layer("Flatten"))  # fmt: skip


@pytest.mark.parametrize("kind", MERGED)
def test_a_merge_is_what_the_documentation_says(kind, monkeypatch, tmp_path):
    rng, count = RNG(2), 2 if kind == "Subtract" else 3
    kernels = [np.float32(rng.normal(size=(3, 4))) for _ in range(count)]
    names = [f"d{place}" for place in range(count)]
    denses = [(layer("Dense", name, {"kernel": kernel}, use_bias=False), ["x"])
              for name, kernel in zip(names, kernels, strict=True)]  # fmt: skip
    model = functional({"x": (3,)}, ["merge"], *denses, (layer(kind, "merge", axis=-1), names))
    loaded = Loaded(monkeypatch, "keras_file", write_h5(tmp_path / "m.h5", model))
    kernels = [kernel.astype(float) for kernel in kernels]
    loaded.assert_same(lambda X: MERGED[kind]([X @ kernel for kernel in kernels], {"axis": -1}), unit=UNIT)


@pytest.mark.parametrize("last", ["sigmoid", "tanh", "softmax"])
def test_a_smooth_activation_at_the_end_is_kept_apart(last, monkeypatch, tmp_path):
    kernel = RNG(3).normal(size=(3, 4))
    check(monkeypatch, tmp_path, (3,), layer("Dense", weights={"kernel": kernel}, use_bias=False, activation=last))
    assert load_network(tmp_path / "m.h5").head == last


@pytest.mark.parametrize(("name", "sizes", "regions"), [("BM-5", (16, 22, 10, 1), 9031), ("AC-3", (13, 50, 1), None),
                                                        ("GC-1", (20, 50, 1), None)])  # fmt: skip
def test_a_file_of_keras_2_3_is_read(name, sizes, regions):
    path = data_path(f"keras/{name}.h5")
    network = load_network(path)
    assert (network.inputs, *(len(affine.b) for affine in network.affine)) == sizes
    assert network.head == "sigmoid"
    with h5py.File(path) as file:
        layers = [name.decode() for name in file["model_weights"].attrs["layer_names"]]
        kernels = [file["model_weights"][name][name]["kernel:0"][()] for name in layers]
    assert np.array_equal(network.affine[0].W, kernels[0].T)
    assert np.array_equal(network.affine[1].W, kernels[1].T)
    if regions:
        shallow = rs.convert(path, rs.Box(0, 1))
        assert (len(shallow.alpha), shallow.completeness.complete) == (regions, True)


def test_flattening_puts_the_channels_last(monkeypatch, tmp_path):
    check(monkeypatch, tmp_path, (2, 3, 2), layer("Flatten", data_format="channels_first"))


def test_a_model_in_two_places_has_its_weights_in_the_first(tmp_path):
    dense = layer("Dense", "d", use_bias=False)
    inner = sequential((2,), dense) | {"shared_object_id": 7, "name": "s"}
    inner["config"]["name"] = "s"
    twice = functional({"y": (2,)}, ["s"], (inner, ["y"]))
    twice["config"]["name"] = "t"
    whole = functional({"x": (2,)}, ["t"], (inner, ["x"]), (twice, ["s"]))
    for one in whole["config"]["layers"]:
        one.pop("weights", None)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/sequential/layers/dense/vars/0"] = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
        file.create_group("layers/functional/layers/sequential")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(whole))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    assert load_network(tmp_path / "m.keras").affine[0].W.tolist() == [[7.0, 15.0], [10.0, 22.0]]


def test_a_list_of_weights_in_parts_is_read_as_one(tmp_path):
    """Keras splits an attribute that HDF5 would find too long."""
    path = write_h5(tmp_path / "m.h5", sequential((3,), layer("Dense", weights=DENSE)))
    with h5py.File(path, "a") as file:
        names = file["model_weights/dense_0"].attrs
        names["weight_names0"], names["weight_names1"] = names["weight_names"][:1], names["weight_names"][1:]
        del names["weight_names"]
    assert load_network(path).affine[0].W.tolist() == np.eye(3).tolist()


def test_weights_of_half_the_size_are_widened_exactly(tmp_path):
    one = layer("Dense", weights={"kernel": np.ones((1, 1))}, use_bias=False)
    path = write_h5(tmp_path / "m.h5", sequential((1,), one))
    with h5py.File(path, "a") as file:
        group = file["model_weights/dense_0/dense_0"]
        del group["kernel:0"]
        group["kernel:0"] = np.array([[0x3FC0]], np.uint16).view("V2")  # 1.5 in bfloat16, as Keras 3 writes it
        group["kernel:0"].attrs["dtype"] = "bfloat16"
    assert load_network(path).affine[0].W.tolist() == [[1.5]]
    with h5py.File(path, "a") as file:
        del file["model_weights/dense_0/dense_0/kernel:0"].attrs["dtype"]
    with pytest.raises(ModelError, match="not known"):
        load_network(path)


def test_an_archive_with_a_parameter_called_as_keras_calls_its_weights_is_not_taken_for_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/weights.json", "model.weights.h5 config.json metadata.json")
    with pytest.raises(ModelError, match="PyTorch"):
        load_network(tmp_path / "m.pt")


# --- refusals ---------------------------------------------------------------------------------------------------

UNREADABLE = {
    "Lambda": (layer("Lambda", function=["YQ==", None, None]), "never run"),
    "TFOpLambda": (layer("TFOpLambda", function="math.add"), "TensorFlow function"),
    "Custom>Own": (layer("Custom>Own"), "of its author's own"),
    "LSTM": (layer("LSTM", units=3), "LSTM"),
    "LayerNormalization": (layer("LayerNormalization"), "LayerNormalization"),
    "gelu": (layer("Dense", weights=DENSE, activation="gelu"), "dense_0.gelu"),
    "a function of one's own": (layer("Activation", activation={"class_name": "function", "config": "mine"}), "mine"),
    "a threshold": (layer("ReLU", threshold=0.5), "jumps"),
    "ThresholdedReLU": (layer("ThresholdedReLU", theta=0.5), "jumps"),
    "bicubic": (layer("UpSampling1D", size=2), "3 axes|1 axes"),
    "a sigmoid in the middle": (layer("Dense", weights=DENSE, activation="sigmoid"), "in the middle"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_layer_that_cannot_be_read_is_refused_by_name(case, tmp_path):
    one, said = UNREADABLE[case]
    path = write_h5(tmp_path / "m.h5", sequential((3,), one, layer("Dense", weights=DENSE)))
    with pytest.raises(ModelError, match=said) as caught:
        load_network(path)
    assert "_0" in str(caught.value)


def test_the_part_before_a_layer_can_be_read(tmp_path):
    path = write_h5(tmp_path / "m.h5", sequential((3,), layer("Dense", weights=DENSE, activation="gelu")))
    assert np.array_equal(load_network(path, until="dense_0.gelu").affine[0].W, np.eye(3))
    with pytest.raises(ModelError, match=r"dense_0\.gelu"):
        load_network(path, until="elsewhere")


def test_a_model_of_several_inputs_or_outputs_is_refused_or_chosen_from(tmp_path):
    denses = [(layer("Dense", name, {"kernel": np.full((2, 1), k)}, use_bias=False), [source])
              for k, (name, source) in enumerate([("a", "x"), ("b", "x"), ("c", "y")])]  # fmt: skip
    path = write_h5(tmp_path / "outs.h5", functional({"x": (2,)}, ["a", "b"], *denses[:2]))
    with pytest.raises(ModelError, match=r"2 outputs \(a, b\); choose one with --output-name"):
        load_network(path)
    assert load_network(path, output_name="b").affine[0].W.tolist() == [[1.0, 1.0]]
    with pytest.raises(ModelError, match="no output 'z'"):
        load_network(path, output_name="z")
    path = write_h5(tmp_path / "ins.h5", functional({"x": (2,), "y": (2,)}, ["a", "c"], *denses))
    with pytest.raises(ModelError, match=r"2 tensors \(x, y\)"):
        load_network(path, output_name="a")


def test_rows_of_an_open_size_ask_for_it(tmp_path):
    kernel = {"kernel": RNG(1).normal(size=(2, 1, 1)), "bias": np.ones(1)}
    path = write_h5(tmp_path / "m.h5", sequential((None, 1), layer("Conv1D", weights=kernel)))
    with pytest.raises(ModelError, match="--input-shape"):
        load_network(path)
    assert load_network(path, input_shape=(5, 1)).outputs == 4


def test_files_without_layers_and_of_other_versions_are_refused(tmp_path):
    model = sequential((3,), layer("Dense", weights=DENSE))
    with pytest.raises(ModelError, match=r"written by Keras 1\.2\.2"):
        load_network(write_h5(tmp_path / "old.h5", model, version="1.2.2"))
    path = write_h5(tmp_path / "weights.h5", model)
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
        file.attrs["layer_names"] = [b"dense"]
    with pytest.raises(ModelError, match="weights only"):
        load_network(path)


def test_weights_that_do_not_fit_the_layers_are_refused(tmp_path):
    model = sequential((3,), layer("Dense", weights={"kernel": np.eye(3)}))
    with pytest.raises(ModelError, match="1 weight arrays for layer dense_0, and 2 were expected"):
        load_network(write_h5(tmp_path / "m.h5", model))
    model = sequential((4,), layer("Dense", weights=DENSE))
    with pytest.raises(ModelError, match="takes 3 values, but 4 come in"):
        load_network(write_h5(tmp_path / "n.h5", model))


def test_a_layer_always_applied_as_in_training_is_refused(tmp_path):
    model = functional({"x": (3,)}, ["d"], (layer("Dropout", "d"), ["x"]))
    model["config"]["layers"][1]["inbound_nodes"][0][0][3] = {"training": True}
    with pytest.raises(ModelError, match="training=True"):
        load_network(write_h5(tmp_path / "m.h5", model))


def test_the_ending_does_not_matter_and_an_archive_may_be_damaged(tmp_path):
    whole = (HERE / "three" / "dense.keras").read_bytes()
    (tmp_path / "m.h5").write_bytes(whole)
    assert load_network(tmp_path / "m.h5").inputs == 3
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive, zipfile.ZipFile(HERE / "three" / "dense.keras") as old:
        archive.writestr("config.json", old.read("config.json"))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0"}))
        archive.writestr("model.weights.json", "{}")
    with pytest.raises(ModelError, match=r"model\.weights\.json"):
        load_network(tmp_path / "m.keras")
