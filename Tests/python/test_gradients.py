"""Gradients: against PyTorch's autograd (Tests/fixtures/train) and against finite differences."""

from __future__ import annotations

import itertools
import json
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers
from conftest import FIXTURES, manifest
from networks import inputs_for, random_network

ORACLES = [entry for entry in manifest() if entry["format"] == "train-oracle-h5"]
GATES = "ifgo"
PEEPHOLES = {"i": "input", "f": "forget", "o": "output"}


# --- oracles -----------------------------------------------------------------------------------


def cell_network(file: h5py.File, dtype: str) -> carousel.Network:
    """The network of an oracle that states its cell gate by gate."""
    params, attributes = file["params"], file.attrs
    features = file["x"].shape[2]
    if attributes["cell"] == "rnn":
        units = params["W"].shape[0]
        cell: layers.Layer = layers.SimpleRNN(units, return_sequences=True, name="cell")
    else:
        cell = layers.LSTM(
            params["W_g"].shape[0],
            activation=attributes["activation"],
            recurrent_activation=attributes["gate_activation"],
            use_bias=bool(attributes["bias"]),
            peepholes=[PEEPHOLES[gate] for gate in "ifo" if f"p_{gate}" in params],
            forget_gate=attributes["variant"] != "nfg",
            coupled_gates=attributes["variant"] == "cifg",
            projection_size=int(attributes["projection"]) or None,
            return_sequences=True,
            name="cell",
        )
    return carousel.Network([cell], input_size=features, dtype=dtype)


def cell_arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    """An oracle's parameters (or their gradients) under Carousel's keys."""
    if "W" in group:
        return {
            "cell/kernel": group["W"][()].T,
            "cell/recurrent_kernel": group["R"][()].T,
            "cell/bias": group["b"][()],
        }
    gates = [gate for gate in GATES if f"W_{gate}" in group]
    arrays = {
        "cell/kernel": np.concatenate([group[f"W_{gate}"][()] for gate in gates]).T,
        "cell/recurrent_kernel": np.concatenate([group[f"R_{gate}"][()] for gate in gates]).T,
    }
    if "b_g" in group:
        arrays["cell/bias"] = np.concatenate([group[f"b_{gate}"][()] for gate in gates])
    for gate, name in PEEPHOLES.items():
        if f"p_{gate}" in group:
            arrays[f"cell/peephole_{name}"] = group[f"p_{gate}"][()]
    if "W_r" in group:
        arrays["cell/projection"] = group["W_r"][()].T
    return arrays


def module_network(file: h5py.File, dtype: str) -> carousel.Network:
    """The network of an oracle that is a whole torch.nn.LSTM."""
    arguments = json.loads(file.attrs["module_args"])
    stack: list[layers.Layer] = []
    for index in range(arguments.get("num_layers", 1)):
        one: layers.Layer = layers.LSTM(
            arguments["hidden_size"],
            projection_size=arguments.get("proj_size") or None,
            return_sequences=True,
        )
        if arguments.get("bidirectional"):
            one = layers.Bidirectional(one)
        one.name = f"rnn_l{index}"
        stack.append(one)
    return carousel.Network(stack, input_size=arguments["input_size"], dtype=dtype)


def module_arrays(group: h5py.Group, is_gradient: bool) -> dict[str, np.ndarray]:
    """state_dict keys to Carousel's. Two biases add up to one, whose gradient is that of each."""
    arrays = {}
    is_bidirectional = any(name.endswith("_reverse") for name in group)
    for name in group:
        part, found, place = name.rpartition("_l")
        if not found:  # x, h0, c0
            continue
        index, _, reverse = place.partition("_")
        direction = ("backward/" if reverse else "forward/") if is_bidirectional else ""
        key = f"rnn_l{index}/{direction}"
        values = group[name][()]
        if part == "bias_hh":
            continue
        if part == "bias_ih":
            other = group[name.replace("bias_ih", "bias_hh")][()]
            arrays[f"{key}bias"] = values if is_gradient else values + other
            continue
        new = {
            "weight_ih": "kernel",
            "weight_hh": "recurrent_kernel",
            "weight_hr": "projection",
        }
        arrays[f"{key}{new[part]}"] = values.T
    return arrays


def grouped(net: carousel.Network, h: np.ndarray, c: np.ndarray | None) -> list[tuple]:
    """(layer and direction, batch, units) or (batch, units) as our states."""
    h = h if h.ndim == 3 else h[np.newaxis]
    parts = [h] if c is None else [h, c if c.ndim == 3 else c[np.newaxis]]
    flat = iter([part[index] for index in range(len(h)) for part in parts])
    return [tuple(next(flat) for _ in widths) for widths in net.state_widths]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("entry", ORACLES, ids=lambda entry: entry["file"])
def test_oracle(entry: dict[str, Any], dtype: str, record_property: Any) -> None:
    record_property("format", f"{entry['format']} in {dtype}")
    suffix = "32" if dtype == "float32" else ""
    limits = {kind: entry["tolerance"][kind + suffix] for kind in ("atol", "rtol")}
    with h5py.File(FIXTURES / entry["file"], "r") as file:
        is_module = "module_args" in file.attrs
        if is_module:
            net = module_network(file, dtype)
            values = module_arrays(file["params"], is_gradient=False)
            wanted = module_arrays(file["grads"], is_gradient=True)
        else:
            net, values = cell_network(file, dtype), cell_arrays(file["params"])
            wanted = cell_arrays(file["grads"])
        data = {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}
        state_gradients = [file["grads"][name][()] for name in ("h0", "c0") if name in data]
        input_gradient = file["grads/x"][()]

    parameters = net.parameters()
    assert parameters.keys() == values.keys()
    for name, array in values.items():
        assert parameters[name].shape == array.shape
        parameters[name][...] = array
    g = net.backpropagate(
        data["x"],
        data["G_y"],
        initial_state=grouped(net, data["h0"], data.get("c0")),
        state_gradient=grouped(net, data["G_h"], data.get("G_c")),
        lengths=data.get("lengths"),
    )

    def same(got: np.ndarray, expected: np.ndarray, name: str) -> None:
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_allclose(got, expected, err_msg=name, **limits)

    same(g.output, data["y"], "y")
    for got, expected in zip(g.states, grouped(net, data["h_T"], data.get("c_T"))):
        for part, array in zip(got, expected):
            same(part, array, "final state")
    assert g.parameters.keys() == wanted.keys()
    for name, array in wanted.items():
        same(g.parameters[name], array, name)
    same(g.input, input_gradient, "x")
    c0 = state_gradients[1] if len(state_gradients) > 1 else None
    for got, expected in zip(g.initial_state, grouped(net, state_gradients[0], c0)):
        for part, array in zip(got, expected):
            same(part, array, "initial state")


# --- finite differences ------------------------------------------------------------------------

CELLS = {
    "lstm": {},
    "peepholes": {"peepholes": True},
    "dense peepholes": {"peepholes": "dense"},
    "coupled": {"coupled_gates": True, "peepholes": True},
    "no input gate": {"input_gate": False, "peepholes": True},
    "no forget gate": {"forget_gate": False, "peepholes": True},
    "no output gate": {"output_gate": False, "peepholes": True},
    "carousel alone": {"input_gate": False, "forget_gate": False, "output_gate": False},
    "projection": {"projection_size": 3, "peepholes": True},
    "layer norm": {"layer_norm": True},
    "layer norm, peepholes": {"layer_norm": True, "peepholes": True},
    "identity": {"activation": "linear", "output_activation": "linear"},
    "others": {
        "activation": "softsign",
        "recurrent_activation": "hard_sigmoid",
        "output_activation": "sigmoid",
    },
    "no bias": {"use_bias": False},
    "cell clip": {"cell_clip": 0.6},
    "gate clip": {"gate_clip": 0.9},
    "learned state": {"learn_initial_state": True},
    "zoneout": {"zoneout": 0.3},
    "backwards": {"go_backwards": True},
}


def check_gradients(
    net: carousel.Network, x: np.ndarray, rng: np.random.Generator, **options: Any
) -> None:
    """All derivatives of a random linear loss against central differences, in random directions.

    A direction mixes all numbers of an array, so that a few evaluations test all of them."""
    states = [
        tuple(rng.normal(size=(len(x), width)) for width in widths) for widths in net.state_widths
    ]
    output, finals = net(x, initial_state=states, return_state=True, **options)
    weights = rng.normal(size=output.shape)
    state_weights = [tuple(rng.normal(size=part.shape) for part in group) for group in finals]

    def loss() -> float:
        y, after = net(x, initial_state=states, return_state=True, **options)
        total = float(np.sum(y * weights))
        for group, factors in zip(after, state_weights):
            total += sum(float(np.sum(part * factor)) for part, factor in zip(group, factors))
        return total

    g = net.backpropagate(x, weights, states, state_weights, **options)
    places = [
        (net.parameters()[name], gradient, name)
        for name, gradient in g.parameters.items()
        if "/moving_" not in name  # statistics: nobody asks for their gradients
    ]
    if x.dtype.kind == "f":
        places.append((x, g.input, "input"))
    for group, gradients in zip(states, g.initial_state):
        places += [(part, grad, "initial state") for part, grad in zip(group, gradients)]
    for values, gradient, name in places:
        for _ in range(2):
            direction = rng.normal(size=values.shape)
            kept, step = values.copy(), 1e-6
            values[...] = kept + step * direction
            above = loss()
            values[...] = kept - step * direction
            below = loss()
            values[...] = kept
            measured, computed = (above - below) / (2 * step), float(np.sum(gradient * direction))
            assert measured == pytest.approx(computed, rel=2e-6, abs=2e-7), name


def randomised(net: carousel.Network, rng: np.random.Generator) -> carousel.Network:
    """Random values in every parameter, so that no term is zero by accident."""
    for name, values in net.parameters().items():
        spread = rng.normal(scale=0.4, size=values.shape)
        values[...] = 1 + 0.2 * spread if name.endswith(("gamma", "scale", "variance")) else spread
    return net


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_lstm_by_finite_differences(name: str, lengths: Any) -> None:
    rng = np.random.default_rng(1)
    cell = layers.LSTM(4, return_sequences=True, **CELLS[name])
    net = randomised(carousel.Network([cell], input_size=3, dtype="float64"), rng)
    check_gradients(net, rng.normal(size=(3, 5, 3)), rng, lengths=lengths)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("sequences", [True, False], ids=["sequences", "last"])
def test_bidirectional_by_finite_differences(merge_mode: str, sequences: bool) -> None:
    rng = np.random.default_rng(2)
    stack = [
        layers.Bidirectional(layers.LSTM(4, peepholes=True, return_sequences=True), merge_mode),
        layers.Bidirectional(layers.GRU(3, return_sequences=sequences), merge_mode),
        layers.Dense(2, activation="tanh"),
    ]
    net = randomised(carousel.Network(stack, input_size=3, dtype="float64"), rng)
    check_gradients(net, rng.normal(size=(2, 6, 3)), rng, lengths=[6, 4])


OTHERS = {
    "rnn": [layers.SimpleRNN(4)],
    "gru": [layers.GRU(4, return_sequences=True)],
    "gru reset before": [layers.GRU(4, reset_after=False, return_sequences=True)],
    "stack": [
        layers.LSTM(4, return_sequences=True),
        layers.LayerNormalization(),
        layers.SimpleRNN(3, return_sequences=True),
        layers.Dense(2),
    ],
    "convolution": [
        layers.Conv1D(4, 3, padding="causal", activation="tanh"),
        layers.AveragePooling1D(2),
        layers.LSTM(3),
    ],
    "strided": [layers.Conv1D(4, 2, strides=2, padding="same", groups=1), layers.GRU(3)],
    "pools": [layers.LSTM(4, return_sequences=True), layers.GlobalAveragePooling1D()],
    "maximum": [layers.MaxPooling1D(2), layers.LSTM(3, return_sequences=True)],
    "encoder": [
        layers.LSTM(4),
        layers.RepeatVector(3),
        layers.LSTM(3, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2, activation="softmax")),
    ],
    "activations": [
        layers.LSTM(4, return_sequences=True),
        layers.Dense(4, activation="gelu"),
        layers.PReLU(),
        layers.Dense(3, activation="selu"),
        layers.Activation("swish"),
    ],
    "statistics": [layers.LSTM(4, return_sequences=True), layers.BatchNormalization()],
}


@pytest.mark.parametrize("name", OTHERS)
def test_layers_by_finite_differences(name: str) -> None:
    rng = np.random.default_rng(3)
    stack = OTHERS[name]
    if name == "activations":  # PReLU has a slope for each step: the length must be known
        stack = [layers.Input((6, 3)), *stack]
        net = carousel.Network(stack, dtype="float64")
    else:
        net = carousel.Network(stack, input_size=3, dtype="float64")
    check_gradients(randomised(net, rng), rng.normal(size=(2, 6, 3)), rng)


def test_embedding_by_finite_differences() -> None:
    rng = np.random.default_rng(4)
    stack = [layers.Embedding(7, 4, mask_zero=True), layers.LSTM(3, return_sequences=True)]
    net = randomised(carousel.Network(stack, dtype="float64"), rng)
    ids = np.array([[1, 4, 4, 0, 0], [6, 2, 0, 3, 5]])
    check_gradients(net, ids, rng)


def test_graph_by_finite_differences() -> None:
    rng = np.random.default_rng(5)
    x = layers.Input((None, 3))
    a = layers.LSTM(4, return_sequences=True)(x)
    b = layers.GRU(4, return_sequences=True)(x)
    y = layers.Concatenate()([layers.Add()([a, b]), layers.Multiply()([a, b])])
    net = carousel.Network(inputs=x, outputs=layers.SimpleRNN(3)(y), dtype="float64")
    check_gradients(randomised(net, rng), rng.normal(size=(2, 5, 3)), rng)


# --- properties --------------------------------------------------------------------------------


def test_the_1997_cut_lets_error_flow_through_the_cell_only() -> None:
    """With the cut and f = 1, dL/dc(t) is the same at all steps: the constant error carousel."""
    rng = np.random.default_rng(6)
    cell = layers.LSTM(3, forget_gate=False, truncate_gates=True, name="cec")
    net = randomised(carousel.Network([cell], input_size=2, dtype="float64"), rng)
    trace = net.trace(rng.normal(size=(2, 20, 2)), output_gradient=np.ones((2, 3)))
    deltas = trace["cec"].delta_cell
    np.testing.assert_allclose(deltas, np.broadcast_to(deltas[:, -1:], deltas.shape), rtol=1e-12)
    full = layers.LSTM(3, forget_gate=False, name="cec")
    other = carousel.Network([full], input_size=2, dtype="float64")
    other.parameter_buffer()[:] = net.parameter_buffer()
    deltas = other.trace(rng.normal(size=(2, 20, 2)), output_gradient=np.ones((2, 3)))
    assert np.ptp(deltas["cec"].delta_cell, axis=1).max() > 1e-3


@pytest.mark.parametrize("shape", itertools.product([1, 5], [1, 33], [3, 17]))
def test_float32_is_near_float64(shape: tuple[int, int, int]) -> None:
    batch, time, units = shape
    rng = np.random.default_rng(7)
    stack = [
        layers.LSTM(units, peepholes=True, return_sequences=True),
        layers.Bidirectional(layers.LSTM(units, projection_size=2)),
        layers.Dense(2),
    ]
    exact = randomised(carousel.Network(stack, input_size=4, dtype="float64"), rng)
    fast = carousel.Network(stack, input_size=4)
    for name, values in fast.parameters().items():
        values[...] = exact.parameters()[name]
        exact.parameters()[name][...] = values
    x = rng.normal(size=(batch, time, 4)).astype(np.float32)
    wanted = exact.backpropagate(x, lambda y: y)
    got = fast.backpropagate(x, lambda y: y)
    np.testing.assert_allclose(got.output, wanted.output, rtol=1e-4, atol=1e-5)
    for name, gradient in wanted.parameters.items():
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(got.parameters[name], gradient, rtol=1e-3, atol=1e-4 * scale)


def test_gradients_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(8)
    stack = [layers.LSTM(40, return_sequences=True), layers.LSTM(33), layers.Dense(3)]
    net = carousel.Network(stack, input_size=9, seed=3)
    x = rng.normal(size=(21, 12, 9)).astype(np.float32)
    one = net.backpropagate(x, np.ones((21, 3), np.float32), threads=1)
    two = net.backpropagate(x, np.ones((21, 3), np.float32), threads=2)
    assert one.buffer.tobytes() == two.buffer.tobytes()
    assert one.input.tobytes() == two.input.tobytes()


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("batch", [1, 8])
def test_both_directions_at_once_change_no_bit(batch: int, go_backwards: bool) -> None:
    """Both add to the gradient of an input to which another layer has added before them."""
    rng = np.random.default_rng(9)
    x = layers.Input((None, 20))
    cell = layers.LSTM(40, return_sequences=True, go_backwards=go_backwards, dropout=0.2)
    y = layers.Concatenate()([layers.Bidirectional(cell)(x), x])
    net = carousel.Network(inputs=x, outputs=layers.GRU(3)(y), seed=4)
    values = rng.normal(size=(batch, 480 // batch, 20)).astype(np.float32)
    ones = np.ones((batch, 3), np.float32)
    one = net.backpropagate(values, ones, threads=1)
    for threads in (2, 3):
        many = net.backpropagate(values, ones, threads=threads)
        assert one.buffer.tobytes() == many.buffer.tobytes()
        assert one.input.tobytes() == many.input.tobytes()


def test_gradients_outlive_everything() -> None:
    net = carousel.Network([layers.LSTM(4)], input_size=3)
    g = net.backpropagate(np.ones((2, 5, 3), np.float32), np.ones((2, 4), np.float32))
    kernel, before = g.parameters["lstm/kernel"], g.parameters["lstm/kernel"].copy()
    del g, net
    carousel.Network([layers.LSTM(4)], input_size=3).backpropagate(np.ones((2, 5, 3)))
    np.testing.assert_array_equal(kernel, before)


def test_wrong_gradients_are_refused() -> None:
    net = carousel.Network([layers.LSTM(4)], input_size=3)
    x = np.ones((2, 5, 3), np.float32)
    with pytest.raises(carousel.ShapeError, match="output_gradient"):
        net.backpropagate(x, np.ones((2, 5)))
    with pytest.raises(carousel.ShapeError, match="state_gradient"):
        net.backpropagate(x, np.ones((2, 4)), state_gradient=[(np.ones((2, 3)), np.ones((2, 4)))])


def test_an_output_that_another_layer_reads() -> None:
    """Two gradients are summed there, whatever an earlier tape left in the memory."""
    rng = np.random.default_rng(10)
    x = layers.Input((None, 3))
    a = layers.LSTM(5, return_sequences=True)(x)
    y = layers.GRU(2)(a)
    net = randomised(carousel.Network(inputs=x, outputs=[a, y], dtype="float64"), rng)
    values = rng.normal(size=(4, 6, 3))
    given = [rng.normal(size=np.shape(output)) for output in net(values)]
    zeros = [0 * array for array in given]
    net.backpropagate(values * np.nan, [array * np.nan for array in given])
    both = net.backpropagate(values, given)
    parts = [
        net.backpropagate(values, pair) for pair in ([given[0], zeros[1]], [zeros[0], given[1]])
    ]
    np.testing.assert_allclose(both.buffer, sum(p.buffer for p in parts), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(both.input, sum(p.input for p in parts), rtol=1e-12, atol=1e-12)


# --- memory of tapes ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_tape_in_the_memory_of_another_knows_nothing_of_it(seed: int) -> None:
    net, rng = random_network(seed)
    x = inputs_for(net, rng, batch=5, time=7)
    other = inputs_for(net, rng, batch=5, time=7)
    gradient = rng.normal(size=np.shape(net(x))).astype(net.dtype)
    lengths = rng.integers(1, 8, size=5)
    net.backpropagate(other, gradient * np.nan, lengths=rng.integers(1, 8, size=5))
    net.backpropagate(other * np.nan, gradient * np.nan)
    for values in net.parameters().values():
        values *= 0.75
    fresh = net.copy()
    for given in (None, lengths):
        again, first = (n.backpropagate(x, gradient, lengths=given) for n in (net, fresh.copy()))
        for name, values in first.parameters.items():
            np.testing.assert_array_equal(again.parameters[name], values, err_msg=name)
        np.testing.assert_array_equal(again.input, first.input)
        np.testing.assert_array_equal(again.output, first.output)
