"""Models of the real Keras 3 load here, and what is saved here loads there, with equal numbers.

Runs where Keras is installed (on PyTorch, JAX or TensorFlow); ``scripts/test`` installs it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable

import carousel
import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
layers = keras.layers

RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(2, 6, 3)).astype("f4")
IDS = RNG.integers(1, 9, size=(2, 6))
IDS[0, 4:] = 0
PADDED = SERIES.copy()
PADDED[1, 3:] = 2.0


def chain(*parts: Any, shape: tuple[int, ...] = (6, 3)) -> Any:
    return keras.Sequential([keras.Input(shape), *parts])


def branches() -> Any:
    given = keras.Input((6, 3))
    one = layers.LSTM(4, return_sequences=True)(given)
    two = layers.LSTM(4, return_sequences=True, go_backwards=True)(given)
    merged = layers.Concatenate()([layers.Add()([one, two]), given])
    return keras.Model(given, [layers.Dense(2)(merged), layers.GlobalAveragePooling1D()(merged)])


def residual() -> Any:
    inner_input = keras.Input((6, 4))
    recurrent = layers.LSTM(4, return_sequences=True)(inner_input)
    inner = keras.Model(inner_input, layers.Dense(4, activation="relu")(recurrent), name="block")
    given = keras.Input((6, 3))
    hidden = layers.Dense(4)(given)
    return keras.Model(given, layers.LSTM(2)(layers.add([hidden, inner(hidden)])))


def masked_ids() -> Any:
    given = keras.Input((6,))
    hidden = layers.Dropout(0.1)(layers.Embedding(9, 4, mask_zero=True)(given))
    hidden = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(hidden)
    return keras.Model(given, layers.Dense(2)(layers.LSTM(3)(hidden)))


def masked_series() -> Any:
    given = keras.Input((6, 3))
    masked = layers.Masking(2.0)(given)
    return keras.Model(given, layers.GRU(3)(layers.LSTM(4, return_sequences=True)(masked)))


def nested() -> Any:
    inner = chain(
        layers.BatchNormalization(),
        layers.LSTM(4, return_sequences=True),
        layers.BatchNormalization(),
    )
    return chain(inner, layers.LSTM(2))


def frozen() -> Any:
    model = chain(layers.BatchNormalization(), layers.LSTM(4, name="my lstm é"))
    model.layers[1].trainable = False
    return model


def own_backward_layer() -> Any:
    forward = layers.LSTM(4, return_sequences=True)
    backward = layers.LSTM(4, return_sequences=True, go_backwards=True, activation="relu")
    return chain(layers.Bidirectional(forward, backward_layer=backward), layers.Dense(2))


def stacked_cells() -> Any:
    cells = [layers.LSTMCell(4), layers.GRUCell(5), layers.SimpleRNNCell(3)]
    return chain(layers.RNN(cells, return_sequences=True), layers.Dense(2))


def distributed_model() -> Any:
    inner = chain(layers.Dense(5, activation="relu"), layers.Dense(2), shape=(4,))
    return chain(layers.LSTM(4, return_sequences=True), layers.TimeDistributed(inner))


def shared() -> Any:
    given = keras.Input((6, 3))
    layer = layers.Dense(3)
    return keras.Model(given, layer(layers.LSTM(3, return_sequences=True)(layer(given))))


def shared_model() -> Any:
    tower = chain(layers.LSTM(4, return_sequences=True), layers.GRU(3))
    given = keras.Input((6, 3))
    turned = layers.Dense(3, activation="tanh")(given)
    return keras.Model(given, layers.Subtract()([tower(given), tower(turned)]))


def encoder_decoder() -> Any:
    given = keras.Input((6, 3))
    _, *states = layers.Bidirectional(layers.LSTM(2, return_state=True))(given)
    states = [layers.Concatenate()([states[0], states[2]]), layers.Dense(4)(states[3])]
    decoded, _, c = layers.LSTM(4, return_sequences=True, return_state=True)(
        layers.Dense(4)(given), initial_state=states
    )
    return keras.Model(given, [layers.Dense(2)(decoded), c])


def models_of_models() -> Any:
    """Encoder and decoder as models of their own, with states between them."""
    given = keras.Input((6, 3))
    encoder = keras.Model(given, layers.LSTM(4, return_state=True)(given)[1:], name="encoder")
    sequence, h, c = keras.Input((6, 3)), keras.Input((4,)), keras.Input((4,))
    decoded = layers.LSTM(4, return_sequences=True)(sequence, initial_state=[h, c])
    decoder = keras.Model([sequence, h, c], layers.Dense(2)(decoded), name="decoder")
    outer = keras.Input((6, 3))
    return keras.Model(outer, decoder([outer, *encoder(outer)]))


def uneven_branches() -> Any:
    """Keras holds layers by their distance from the outputs, not in the order of their making."""
    given = keras.Input((6, 3))
    short = layers.LSTM(3, return_sequences=True)(given)
    deep = layers.LSTM(3, return_sequences=True)(given)
    for _ in range(2):
        deep = layers.LSTM(3, return_sequences=True)(deep)
    return keras.Model(given, layers.Dense(2)(layers.Subtract()([short, deep])))


def masked_branch() -> Any:
    """Keras 3 counts the operations that find the mask, too."""
    given = keras.Input((6, 3))
    deep = layers.Masking(2.0)(layers.Dense(3, activation="relu")(given))
    deep = layers.LSTM(3, return_sequences=True)(deep)
    return keras.Model(given, layers.Subtract()([layers.Dense(3)(given), deep]))


def masked_merge() -> Any:
    """Keras 3 spells the united masks out, as LogicalOr."""
    given = keras.Input((6, 3))
    masked = layers.Masking(2.0)(given)
    one = layers.LSTM(4, return_sequences=True)(masked)
    other = layers.GRU(4, return_sequences=True)(masked)
    return keras.Model(given, layers.LSTM(3)(layers.Add()([one, other])))


def zoo() -> Any:
    return chain(
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu"),
        layers.ZeroPadding1D(1),
        layers.AveragePooling1D(2),
        layers.UpSampling1D(2),
        layers.PReLU(shared_axes=[1]),
        layers.SpatialDropout1D(0.2),
        layers.ReLU(max_value=3, negative_slope=0.1, threshold=0.2),
        layers.BatchNormalization(scale=False),
        layers.LayerNormalization(center=False),
        layers.Reshape((-1, 3)),
        layers.LSTM(4),
        layers.ELU(alpha=0.5),
        layers.Dense(2, activation="gelu"),
    )


MODELS: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "branches": (branches, SERIES),
    "residual": (residual, SERIES),
    "masked ids": (masked_ids, IDS),
    "masked series": (masked_series, PADDED),
    "nested": (nested, SERIES),
    "frozen": (frozen, SERIES),
    "own backward layer": (own_backward_layer, SERIES),
    "stacked cells": (stacked_cells, SERIES),
    "model in TimeDistributed": (distributed_model, SERIES),
    "zoo": (zoo, SERIES),
    "masked merge": (masked_merge, PADDED),
    "uneven branches": (uneven_branches, SERIES),
    "masked branch": (masked_branch, SERIES),
    "shared layer": (shared, SERIES),
    "shared model": (shared_model, SERIES),
    "encoder and decoder": (encoder_decoder, SERIES),
    "models of models": (models_of_models, SERIES),
}


def outputs(value: Any) -> list[np.ndarray]:
    return [np.asarray(part) for part in (value if isinstance(value, (list, tuple)) else [value])]


def agree(one: Any, other: Any) -> None:
    pairs = list(zip(outputs(one), outputs(other)))
    assert pairs
    for first, second in pairs:
        assert first.shape == second.shape
        assert np.abs(first - second).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_both_ways(name: str, tmp_path: Path) -> None:
    make, x = MODELS[name]
    model = make()
    for weight in model.weights:
        value = RNG.normal(size=weight.shape) * 0.4
        weight.assign((np.abs(value) + 0.3 if "variance" in weight.path else value).astype("f4"))
    expected = model.predict(x, verbose=0)

    for name in ["m.h5", "m.keras"]:
        model.save(str(tmp_path / name))
        agree(carousel.load(str(tmp_path / name))(x), expected)
    model.save_weights(str(tmp_path / "m.weights.h5"))
    net = carousel.load(str(tmp_path / "m.weights.h5"), config=model.to_json())
    agree(net(x), expected)

    for layout, name in [("keras-h5", "o.h5"), ("keras", "o.keras")]:
        net.save(str(tmp_path / name), format=layout)
        copy = keras.models.load_model(str(tmp_path / name), compile=False)
        agree(copy.predict(x, verbose=0), expected)
    copy = keras.models.model_from_json(net.to_json())
    net.save(str(tmp_path / "o.weights.h5"), format="keras-weights")
    copy.load_weights(str(tmp_path / "o.weights.h5"))
    agree(copy.predict(x, verbose=0), expected)
    copy.compile(optimizer="adam", loss="mse")
    if len(outputs(expected)) == 1:
        copy.fit(x, expected, epochs=1, verbose=0)


def scaled() -> Any:
    given = keras.Input((6, 3))
    return keras.Model(given, layers.LSTM(2)(given * 2.0))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "arithmetic with a constant": (scaled, "multiply"),
    "Lambda": (lambda: chain(layers.Lambda(lambda x: x * 2), layers.LSTM(2)), "Lambda"),
    "custom activation": (
        lambda: chain(layers.LSTM(2, activation=lambda x: x)),
        "activation|lambda",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("file", ["m.h5", "m.keras"])
def test_what_is_not_understood_is_named(name: str, file: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    path = tmp_path / file
    make().save(str(path))
    with pytest.raises(carousel.Error, match=message):
        carousel.load(str(path))


def test_legacy_weights_mean_what_the_configuration_says(tmp_path: Path) -> None:
    """The file says tf.keras 2.15, the configuration Keras 3: hard_sigmoid is that of Keras 3."""
    cell = carousel.LSTM(3, recurrent_activation="hard_sigmoid")
    net = carousel.Network([cell], input_size=3, seed=1)
    net.save(tmp_path / "w.h5", format="keras-legacy-weights")
    copy = carousel.load(tmp_path / "w.h5", config=net.to_json())
    assert np.array_equal(copy(SERIES), net(SERIES))


def test_layers_that_versions_order_differently_are_refused(tmp_path: Path) -> None:
    """With the operations of the mask the branch behind Masking is the longer one."""
    given = carousel.Input((None, 3))
    masked = carousel.Masking(2.0)(carousel.Dense(3, name="a")(given))
    masked = carousel.LSTM(3, return_sequences=True)(masked)
    plain = carousel.Dense(3, name="b")(given)
    for index in range(2):
        plain = carousel.LSTM(3, return_sequences=True, name=f"plain_{index}")(plain)
    net = carousel.Network(inputs=given, outputs=carousel.Subtract()([plain, masked]), seed=1)
    net.save(tmp_path / "own.h5")
    for layout in ["keras-h5", "keras", "keras-weights", "keras-legacy-weights"]:
        with pytest.raises(carousel.UnsupportedModelError, match="Masking behind layers"):
            net.save(tmp_path / "refused", format=layout)
    assert not (tmp_path / "refused").exists()


def test_names_are_such_that_every_keras_makes_scopes_of_them(tmp_path: Path) -> None:
    names = ["head#2", "head_2", "my layer é", "_private", "a.b", "ok-1"]
    parts: list[carousel.Layer] = [carousel.Dense(3, name=name) for name in names]
    net = carousel.Network(parts, input_size=3, name="net #1", seed=1)
    net.save(tmp_path / "m.h5", format="keras-h5")
    copy = carousel.load(tmp_path / "m.h5")
    assert np.array_equal(copy(SERIES), net(SERIES))
    written = [copy.name, *(layer.name for layer in copy.layers)]
    assert len(set(written)) == len(written)
    assert all(re.fullmatch("[A-Za-z0-9][A-Za-z0-9_>-]*", name) for name in written)
