"""Every layer trained a few steps, and through every layout that can hold it; and arrays in these
layouts that do not fit."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers
from carousel.__main__ import FORMATS
from test_gradients import check_gradients, randomised

TIME, FEATURES = 6, 4
KERAS = ("keras-h5", "keras", "keras-weights", "keras-legacy-weights")
BARE = ("torch", "chainer", "tf1", "onnx")


def sequences(cell: Callable[..., layers.Layer], **options: Any) -> list[layers.Layer]:
    return [cell(5, return_sequences=True, **options), layers.Dense(2)]


def both_ways(cell: Callable[..., layers.Layer], **options: Any) -> list[layers.Layer]:
    return [layers.Bidirectional(cell(3, return_sequences=True, **options)), layers.Dense(2)]


def bare(cell: Callable[..., layers.Layer], **options: Any) -> list[layers.Layer]:
    return [sequences(cell, use_bias=False, **options)[0], layers.Dense(2, use_bias=False)]


def bare_both_ways(cell: Callable[..., layers.Layer], **options: Any) -> list[layers.Layer]:
    return [both_ways(cell, use_bias=False, **options)[0], layers.Dense(2, use_bias=False)]


STACKS: dict[str, Callable[[], list[layers.Layer]]] = {
    "LSTM": lambda: sequences(layers.LSTM),
    "LSTM without bias": lambda: sequences(layers.LSTM, use_bias=False),
    "peepholes": lambda: sequences(layers.LSTM, peepholes=True),
    "dense peepholes": lambda: sequences(layers.LSTM, peepholes="dense"),
    "projection": lambda: sequences(layers.LSTM, projection_size=3),
    "coupled gates": lambda: sequences(layers.LSTM, coupled_gates=True),
    "clips": lambda: sequences(layers.LSTM, cell_clip=0.5, gate_clip=2.0),
    "layer norm": lambda: sequences(layers.LSTM, layer_norm=True),
    "hard gates": lambda: sequences(layers.LSTM, recurrent_activation="hard_sigmoid_keras2"),
    "GRU": lambda: sequences(layers.GRU),
    "GRU, reset before": lambda: sequences(layers.GRU, reset_after=False),
    "SimpleRNN": lambda: sequences(layers.SimpleRNN),
    "ReLU RNN": lambda: sequences(layers.SimpleRNN, activation="relu"),
    "two layers": lambda: [layers.LSTM(5, return_sequences=True), *sequences(layers.LSTM)],
    "two GRUs": lambda: [layers.GRU(5, return_sequences=True), *sequences(layers.GRU)],
    "both ways": lambda: both_ways(layers.LSTM),
    "both ways, GRU": lambda: both_ways(layers.GRU),
    "both ways, GRU, reset before": lambda: both_ways(layers.GRU, reset_after=False),
    "both ways, RNN": lambda: both_ways(layers.SimpleRNN),
    "bare": lambda: bare(layers.LSTM),
    "bare GRU": lambda: bare(layers.GRU),
    "bare GRU, reset before": lambda: bare(layers.GRU, reset_after=False),
    "bare RNN": lambda: bare(layers.SimpleRNN),
    "bare, both ways": lambda: bare_both_ways(layers.LSTM),
    "bare, both ways, GRU": lambda: bare_both_ways(layers.GRU),
    "bare, both ways, GRU, reset before": lambda: bare_both_ways(layers.GRU, reset_after=False),
    "bare, both ways, RNN": lambda: bare_both_ways(layers.SimpleRNN),
    "normalised": lambda: [
        layers.BatchNormalization(),
        layers.LSTM(3, return_sequences=True),
        layers.LayerNormalization(),
        layers.Dense(2),
    ],
    "convolution": lambda: [
        layers.Conv1D(6, 3, padding="same"),
        layers.LSTM(3, return_sequences=True),
        layers.Dense(2),
    ],
    "learned slopes": lambda: [
        layers.LSTM(3, return_sequences=True),
        layers.PReLU(shared_axes=(1,)),
        layers.Dense(2),
    ],
    "functions": lambda: [
        layers.LSTM(3),
        *(layers.Activation(name) for name in ("elu", "selu", "gelu", "silu", "softplus")),
        *(layers.Activation(name) for name in ("softsign", "exponential", "softmax")),
        layers.ReLU(max_value=0.9, negative_slope=0.1, threshold=0.2),
        layers.LeakyReLU(0.2),
        layers.ELU(0.7),
        layers.Dense(2),
    ],
    "pooling": lambda: [
        layers.LSTM(3, return_sequences=True),
        layers.MaxPooling1D(2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2),
    ],
    "states": lambda: [
        layers.LSTM(3, learn_initial_state=True, return_sequences=True),
        layers.Dense(2),
    ],
}


def network(name: str, seed: int) -> carousel.Network:
    net = carousel.Network(STACKS[name](), input_size=FEATURES, seed=seed)
    rng = np.random.default_rng(seed)
    for values in net.parameters().values():
        values += np.abs(rng.normal(scale=0.1, size=values.shape)).astype(values.dtype)
    return net


def data(batch: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(batch, TIME, FEATURES)).astype(np.float32)


def refusals(word: str, *layouts: str) -> dict[str, str]:
    return dict.fromkeys(layouts, word)


RESETS_AFTER = refusals("reset_after", "tf1")
RESETS_BEFORE = refusals("reset", "torch")
RESETS_BEFORE_BOTH_WAYS = refusals("reset", "torch", "chainer")
#: What a layout cannot hold, by a word of the reason. ONNX's has recurrent layers only, and of
#: these not all (``OPERATORS``).
REFUSED: dict[str, dict[str, str]] = {
    "peepholes": refusals("peepholes", *KERAS, "torch"),
    "dense peepholes": refusals("peepholes", *KERAS, "torch", "tf1"),
    "projection": refusals("projection", *KERAS, "chainer"),
    "coupled gates": {
        **refusals("coupled gates", *KERAS),
        **refusals("lacks a gate", "torch", "chainer", "tf1"),
    },
    "clips": refusals("clip", "keras-h5", "keras", "torch", "chainer", "tf1"),
    "layer norm": refusals("normalis", *KERAS, "torch", "chainer", "tf1"),
    "hard gates": refusals("hard_sigmoid_keras2", "torch", "chainer", "tf1"),
    "ReLU RNN": refusals("relu", "tf1"),
    "states": refusals("learned initial states", *KERAS, "torch", "chainer", "tf1"),
    "GRU": RESETS_AFTER,
    "two GRUs": RESETS_AFTER,
    "both ways, GRU": RESETS_AFTER,
    "bare GRU": RESETS_AFTER,
    "bare, both ways, GRU": RESETS_AFTER,
    "GRU, reset before": RESETS_BEFORE,
    "bare GRU, reset before": RESETS_BEFORE,
    "both ways, GRU, reset before": RESETS_BEFORE_BOTH_WAYS,
    "bare, both ways, GRU, reset before": RESETS_BEFORE_BOTH_WAYS,
}


def refusal(name: str, layout: str) -> str | None:
    """A word of why the layout cannot hold this stack; None if it can."""
    return "ONNX" if layout == "onnx" else REFUSED.get(name, {}).get(layout)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("name", STACKS)
def test_weights_come_back(name: str, layout: str, tmp_path: Path) -> None:
    net, other = network(name, 1), network(name, 2)
    path = tmp_path / ("model.keras" if layout == "keras" else "model.h5")
    reason = refusal(name, layout)
    if reason is not None:
        with pytest.raises(carousel.UnsupportedModelError, match=reason):
            net.save(path, format=layout)
        assert not path.exists()
        return
    net.save(path, format=layout)
    assert not np.array_equal(other(data()), net(data()))
    other.load_weights(path)
    assert other(data()).tobytes() == net(data()).tobytes() or layout in BARE
    np.testing.assert_allclose(other(data()), net(data()), rtol=1e-5, atol=1e-6)
    if layout in ("carousel", "keras-h5", "keras"):
        again = carousel.load(path)
        np.testing.assert_allclose(again(data()), net(data()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", ["chainer", "tf1"])
def test_a_bias_that_counts_is_not_dropped(layout: str, tmp_path: Path) -> None:
    network("LSTM", 1).save(tmp_path / "w.h5", format=layout)
    unbiased = network("LSTM without bias", 2)
    before = unbiased.parameter_buffer().tobytes()
    with pytest.raises(carousel.FormatError, match="no parameters for lstm/bias"):
        unbiased.load_weights(tmp_path / "w.h5")
    assert unbiased.parameter_buffer().tobytes() == before


OPERATORS: dict[str, Callable[[], layers.Layer]] = {
    "LSTM": lambda: layers.LSTM(5, return_sequences=True),
    "peepholes": lambda: layers.LSTM(5, peepholes=True, return_sequences=True),
    "coupled": lambda: layers.LSTM(5, coupled_gates=True, return_sequences=True),
    "hard": lambda: layers.LSTM(
        5, recurrent_activation="hard_sigmoid_keras2", return_sequences=True
    ),
    "clip": lambda: layers.LSTM(5, gate_clip=0.3, return_sequences=True),
    "both ways": lambda: layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
    "GRU": lambda: layers.GRU(5, return_sequences=True),
    "GRU, reset before": lambda: layers.GRU(5, reset_after=False, return_sequences=True),
    "RNN": lambda: layers.SimpleRNN(5, activation="relu", return_sequences=True),
    **{name: lambda name=name: STACKS[name]()[0] for name in STACKS if name.startswith("bare")},
    **{name: lambda name=name: STACKS[name]()[0] for name in STACKS if name.startswith("both")},
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_onnx_make_a_network(name: str, count: int, tmp_path: Path) -> None:
    """Their file says what they compute, so it needs no architecture."""
    stack = [OPERATORS[name]() for _ in range(count)]
    net = carousel.Network(stack, input_size=FEATURES, seed=3)
    net.save(tmp_path / "model.h5", format="onnx")
    found = carousel.load(tmp_path / "model.h5")
    np.testing.assert_allclose(found(data()), net(data()), rtol=1e-5, atol=1e-6)
    stack = [OPERATORS[name]() for _ in range(count)]
    other = carousel.Network(stack, input_size=FEATURES, seed=4)
    other.load_weights(tmp_path / "model.h5")
    np.testing.assert_allclose(other(data()), net(data()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", STACKS)
def test_a_step_of_training_lowers_the_loss(name: str) -> None:
    net = network(name, 1)
    x = data(8)
    y = np.zeros_like(net(x))
    trainer = carousel.Trainer(
        net, loss="mse", optimizer=carousel.optimizers.SGD(learning_rate=1e-3)
    )
    losses = [trainer.step(x, y).loss for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


def joined(join: layers.Layer) -> carousel.Network:
    given = layers.Input((TIME, FEATURES))
    parts = [
        layers.LSTM(3, return_sequences=True, name="one")(given),
        layers.GRU(3, return_sequences=True, name="two")(given),
    ]
    return carousel.Network(inputs=given, outputs=layers.Dense(2)(join(parts)), dtype="float64")


JOINS = {
    one.__name__: one
    for one in (
        layers.Concatenate,
        layers.Add,
        layers.Subtract,
        layers.Multiply,
        layers.Average,
        layers.Maximum,
        layers.Minimum,
    )
}


@pytest.mark.parametrize("name", JOINS)
def test_gradients_through_joins(name: str) -> None:
    rng = np.random.default_rng(3)
    check_gradients(
        randomised(joined(JOINS[name]()), rng), rng.normal(size=(2, TIME, FEATURES)), rng
    )


SHAPES: dict[str, Callable[[], list[layers.Layer]]] = {
    "Permute": lambda: [layers.Permute((2, 1)), layers.LSTM(3)],
    "Reshape": lambda: [layers.Reshape((3, 8)), layers.LSTM(3)],
    "Flatten": lambda: [layers.LSTM(3, return_sequences=True), layers.Flatten(), layers.Dense(2)],
    "RepeatVector": lambda: [layers.LSTM(3), layers.RepeatVector(4), layers.GRU(2)],
    "ZeroPadding1D": lambda: [layers.ZeroPadding1D(2), layers.LSTM(3)],
    "UpSampling1D": lambda: [layers.UpSampling1D(2), layers.LSTM(3)],
    "AveragePooling1D": lambda: [layers.AveragePooling1D(2), layers.LSTM(3)],
    "GlobalMaxPooling1D": lambda: [
        layers.LSTM(3, return_sequences=True),
        layers.GlobalMaxPooling1D(),
    ],
    "causal convolution": lambda: [
        layers.Conv1D(3, 2, padding="causal", dilation_rate=2),
        layers.LSTM(3),
    ],
}


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_through_shapes(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    given = layers.Input((TIME, FEATURES))
    output: Any = given
    for one in SHAPES[name]():
        output = one(output)
    net = randomised(carousel.Network(inputs=given, outputs=output, dtype="float64"), rng)
    x = rng.normal(size=(2, TIME, FEATURES))
    check_gradients(net, x, rng)
    for layout in ("carousel", "keras-h5"):
        net.save(tmp_path / "model.h5", format=layout)
        assert carousel.load(tmp_path / "model.h5", dtype="float64")(x) == pytest.approx(
            net(x), abs=0 if layout == "carousel" else 1e-5
        )


def test_a_causal_convolution_step_by_step() -> None:
    stack = [layers.Conv1D(3, 2, padding="causal", dilation_rate=2), *sequences(layers.LSTM)]
    net = carousel.Network(stack, input_size=FEATURES, seed=1)
    x, stream = data(2), net.stream(batch=2)
    steps = [stream.step(x[:, t]) for t in range(TIME)]
    assert np.stack(steps, axis=1).tobytes() == net(x).tobytes()


# --- arrays that do not fit --------------------------------------------------------------------


def names_in(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
    return names


def replace(path: Path, name: str, values: np.ndarray | None) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs.pop("checksum", None)
        del file[name]
        if values is not None:
            file[name] = values


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "missing": lambda values: None,
    "a row more": lambda values: np.concatenate([values, values[-1:]]),
    "a column less": lambda values: values[..., :-1],
    "an axis more": lambda values: values[None],
    "NaN": lambda values: np.full_like(values, np.nan),
}


@pytest.mark.parametrize(
    "name, layout",
    [
        (name, layout)
        for name in ["LSTM", "GRU", "SimpleRNN", "both ways", "normalised"]
        for layout in FORMATS
        if layout != "keras" and refusal(name, layout) is None
    ],
)
def test_arrays_that_do_not_fit_are_named(name: str, layout: str, tmp_path: Path) -> None:
    """One array after the other: an error, and the network as it was; or, for what the network does
    not need, a load that says so."""
    path, broken = tmp_path / "good.h5", tmp_path / "broken.h5"
    net = network(name, 1)
    net.save(path, format=layout)
    refused = 0
    for array, change in itertools.product(names_in(path), CHANGES):
        with h5py.File(path) as file:
            values = file[array][()]
        if values.ndim == 0 or values.dtype.kind != "f":
            continue
        shutil.copy(path, broken)
        replace(broken, array, CHANGES[change](values))
        other = network(name, 2)
        before = other.parameter_buffer().tobytes()
        try:
            other.load_weights(broken)
        except carousel.Error as error:
            refused += 1
            assert other.parameter_buffer().tobytes() == before
            assert len(str(error)) > 20
        else:
            # Biases may be left out, and read as zeros, or have an axis of length 1.
            assert change in ("missing", "an axis more") and values.ndim == 1, (array, change)
    assert refused >= 8
