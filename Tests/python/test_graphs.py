"""Graphs of layers: states that feed others, layers that are called twice, two-sided layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import carousel
import numpy as np
import pytest
from carousel import layers
from test_gradients import randomised

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(3, 5, 2))
TARGET = RNG.normal(size=(3, 4, 3))


def encoder_decoder(cell: Any, dtype: str = "float64", **outer: Any) -> carousel.Network:
    source, target = layers.Input((None, 2), name="source"), layers.Input((None, 3), name="target")
    encoded = cell(name="encoder")(source)
    decoded = cell(return_sequences=True, name="decoder")(target, initial_state=encoded.states)
    output = layers.Dense(2, name="head")(decoded)
    net = carousel.Network(inputs=[source, target], outputs=output, dtype=dtype)
    return randomised(net, np.random.default_rng(3))


CELLS: dict[str, Any] = {
    "lstm": lambda **options: layers.LSTM(4, **options),
    "projection": lambda **options: layers.LSTM(4, projection_size=2, **options),
    "gru": lambda **options: layers.GRU(4, **options),
    "simple": lambda **options: layers.SimpleRNN(4, **options),
    "both directions": lambda name, **options: layers.Bidirectional(
        layers.LSTM(4, **options), name=name
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_decoder_begins_where_its_encoder_ended(name: str) -> None:
    net = encoder_decoder(CELLS[name])
    encoder = carousel.Network([CELLS[name](name="encoder")], input_size=2, dtype="float64")
    decoder = carousel.Network(
        [CELLS[name](return_sequences=True, name="decoder"), layers.Dense(2, name="head")],
        input_size=3,
        dtype="float64",
    )
    for part in (encoder, decoder):
        for key, values in part.parameters().items():
            values[...] = net.parameters()[key]
    _, states = encoder(SOURCE, return_state=True)
    expected = decoder(TARGET, initial_state=states)
    assert np.array_equal(net([SOURCE, TARGET]), expected)


def numeric(loss: Any, values: np.ndarray, direction: np.ndarray) -> float:
    kept, step = values.copy(), 1e-6
    values[...] = kept + step * direction
    above = loss()
    values[...] = kept - step * direction
    below = loss()
    values[...] = kept
    return (above - below) / (2 * step)


def check(net: carousel.Network, inputs: list[np.ndarray]) -> None:
    """Every parameter and input against central differences in random directions."""
    rng = np.random.default_rng(5)
    outputs = net(inputs)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    weights = [rng.normal(size=output.shape) for output in outputs]

    def loss() -> float:
        got = net(inputs)
        got = got if isinstance(got, list) else [got]
        return sum(float(np.sum(a * b)) for a, b in zip(got, weights))

    g = net.backpropagate(inputs, weights if len(weights) > 1 else weights[0])
    places = [(net.parameters()[key], gradient, key) for key, gradient in g.parameters.items()]
    places += [(a, b, "input") for a, b in zip(inputs, g.input)]
    for values, gradient, key in places:
        direction = rng.normal(size=values.shape)
        measured, computed = numeric(loss, values, direction), float(np.sum(gradient * direction))
        assert measured == pytest.approx(computed, rel=2e-6, abs=2e-7), key


@pytest.mark.parametrize("name", CELLS)
def test_gradients_flow_back_through_states(name: str) -> None:
    check(encoder_decoder(CELLS[name]), [SOURCE.copy(), TARGET.copy()])


def test_gradients_of_states_as_values() -> None:
    given = layers.Input((None, 2))
    encoded = layers.Bidirectional(layers.GRU(3, return_sequences=True))(given)
    joined = layers.Concatenate()(encoded.states)
    start = layers.Dense(4, activation="tanh")(joined)
    other = layers.Input((None, 3))
    decoded = layers.SimpleRNN(4, return_sequences=True)(other, initial_state=start)
    net = carousel.Network(inputs=[given, other], outputs=[decoded, joined], dtype="float64")
    check(randomised(net, np.random.default_rng(1)), [SOURCE.copy(), TARGET.copy()])


def shared() -> carousel.Network:
    a, b = layers.Input((None, 2)), layers.Input((None, 2))
    tower = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="tower")
    top = layers.GRU(4, name="top")
    head = layers.Dense(2, name="head")
    difference = layers.Subtract()([top(tower(a)), top(tower(b))])
    net = carousel.Network(inputs=[a, b], outputs=head(difference), dtype="float64")
    return randomised(net, np.random.default_rng(2))


def test_a_layer_called_twice_has_its_parameters_once() -> None:
    net = shared()
    stems = {key.split("/")[0] for key in net.parameters()}
    assert stems == {"tower", "top", "head"}
    again = SOURCE[::-1].copy()
    assert np.array_equal(
        net([SOURCE, SOURCE]), np.broadcast_to(net.parameters()["head/bias"], (3, 2))
    )
    there, back = net([SOURCE, again]), net([again, SOURCE])
    bias = net.parameters()["head/bias"]
    np.testing.assert_allclose(there - bias, bias - back, rtol=1e-12)


def test_gradients_of_a_shared_layer_are_summed() -> None:
    check(shared(), [SOURCE.copy(), SOURCE[::-1].copy()])


def test_training_a_shared_layer() -> None:
    net = shared()
    before = net.parameter_buffer().copy()
    inputs = [SOURCE, SOURCE[::-1].copy()]
    history = net.fit(inputs, np.ones((3, 2)), epochs=20, optimizer=carousel.Adam(0.02))
    assert history["loss"][-1] < history["loss"][0]
    assert not np.array_equal(before, net.parameter_buffer())


NETWORKS = {
    "encoder and decoder": (lambda: encoder_decoder(CELLS["lstm"]), [SOURCE, TARGET]),
    "both directions": (lambda: encoder_decoder(CELLS["both directions"]), [SOURCE, TARGET]),
    "shared": (shared, [SOURCE, SOURCE[::-1].copy()]),
}


@pytest.mark.parametrize("layout", ["carousel", "keras-h5", "keras"])
@pytest.mark.parametrize("name", NETWORKS)
def test_files_keep_graphs(name: str, layout: str, tmp_path: Path) -> None:
    make, inputs = NETWORKS[name]
    net = make()
    path = tmp_path / ("m.keras" if layout == "keras" else "m.h5")
    net.save(path, format=layout)
    copy = carousel.load(path, dtype="float64")
    assert np.array_equal(copy(inputs), net(inputs))
    assert len(copy.parameters()) == len(net.parameters())


@pytest.mark.parametrize("layout", ["keras-weights", "keras-legacy-weights", "torch"])
def test_weights_of_a_graph(layout: str, tmp_path: Path) -> None:
    net, other = encoder_decoder(CELLS["lstm"]), encoder_decoder(CELLS["lstm"])
    other.initialize(9)
    net.save(tmp_path / "w.weights.h5", format=layout)
    other.load_weights(tmp_path / "w.weights.h5")
    assert np.array_equal(other([SOURCE, TARGET]), net([SOURCE, TARGET]))


def test_given_states_take_the_place_of_fed_ones() -> None:
    net = encoder_decoder(CELLS["gru"])
    zero = np.zeros((3, 4))
    assert not np.array_equal(
        net([SOURCE, TARGET], initial_state=[(zero,), (zero,)]), net([SOURCE, TARGET])
    )


def test_what_cannot_be() -> None:
    net = encoder_decoder(CELLS["lstm"])
    with pytest.raises(carousel.Error, match=r"decoder.*initial state"):
        net.stream()
    given = layers.Input((None, 2))
    with pytest.raises(carousel.InvalidArgumentError, match=r"h, c"):
        layers.LSTM(3)(given, initial_state=[given])
    with pytest.raises(carousel.InvalidArgumentError, match="no states"):
        _ = layers.Dense(3)(given).states
    wrong = layers.LSTM(3, name="b")(given, initial_state=layers.LSTM(4, name="a")(given).states)
    with pytest.raises(carousel.Error, match=r"'b'.*\(3,\)"):
        carousel.Network(inputs=given, outputs=wrong)
    one = layers.LSTM(3, stateful=True, name="s")
    with pytest.raises(carousel.Error, match=r"stateful"):
        carousel.Network(inputs=given, outputs=layers.Add()([one(given), one(given)]))


def test_a_backward_layer_of_its_own() -> None:
    given = layers.Input((None, 2))
    forward = layers.LSTM(3, return_sequences=True)
    backward = layers.GRU(4, return_sequences=True, go_backwards=True)
    net = carousel.Network([layers.Bidirectional(forward, backward_layer=backward, name="bi")], 2)
    parts = carousel.Network(
        inputs=given,
        outputs=[
            layers.LSTM(3, return_sequences=True, name="f")(given),
            layers.GRU(4, return_sequences=True, go_backwards=True, name="b")(given),
        ],
    )
    for key, values in parts.parameters().items():
        side, leaf = key.split("/")
        values[...] = net.parameters()[f"bi/{'forward' if side == 'f' else 'backward'}/{leaf}"]
    one, other = parts(SOURCE.astype("f4"))
    assert np.array_equal(net(SOURCE.astype("f4")), np.concatenate([one, other[:, ::-1]], axis=-1))
    with pytest.raises(carousel.InvalidArgumentError, match="go_backwards"):
        carousel.Network([layers.Bidirectional(forward, backward_layer=layers.LSTM(3))], 2)
