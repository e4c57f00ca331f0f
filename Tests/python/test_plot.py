"""Traces and the pictures made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import carousel
import numpy as np
import pytest
from carousel import layers
from carousel.block import block_values
from networks import random_network

pytest.importorskip("matplotlib")


def traced(**options: Any) -> tuple[carousel.Network, carousel.Trace, np.ndarray]:
    rng = np.random.default_rng(0)
    cell = layers.LSTM(4, return_sequences=True, name="lstm", **options)
    net = carousel.Network([cell, layers.Dense(2)], input_size=3, dtype="float64")
    for values in net.parameters().values():
        values += rng.normal(scale=0.5, size=values.shape)
    x = rng.normal(size=(2, 6, 3))
    return net, net.trace(x, rng.normal(size=(2, 6, 2))), x


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_traces_hold_what_the_equations_say() -> None:
    net, trace, x = traced(peepholes=True)
    one, p = trace["lstm"], net.parameters()
    np.testing.assert_array_equal(one.input, x)
    h, c = np.zeros((2, 4)), np.zeros((2, 4))
    for t in range(6):
        z = x[:, t] @ p["lstm/kernel"] + h @ p["lstm/recurrent_kernel"] + p["lstm/bias"]
        zi, zf, zg, zo = np.split(z, 4, axis=1)
        i = sigmoid(zi + p["lstm/peephole_input"] * c)
        f = sigmoid(zf + p["lstm/peephole_forget"] * c)
        g = np.tanh(zg)
        c = f * c + i * g
        o = sigmoid(zo + p["lstm/peephole_output"] * c)
        h = o * np.tanh(c)
        wanted = {
            "input_gate": i,
            "forget_gate": f,
            "cell_input": g,
            "output_gate": o,
            "cell": c,
            "hidden": h,
        }
        for name, values in wanted.items():
            np.testing.assert_allclose(getattr(one, name)[:, t], values, atol=1e-12)


def test_traces_of_both_directions() -> None:
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")
    net = carousel.Network([both], input_size=2, dtype="float64")
    x = np.random.default_rng(1).normal(size=(2, 5, 2))
    y, trace = net(x), net.trace(x)
    np.testing.assert_array_equal(trace["both/forward"].hidden, y[..., :3])
    np.testing.assert_array_equal(trace["both/backward"].hidden, y[..., 3:])
    with pytest.raises(KeyError, match="both/forward"):
        trace["both"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"peepholes": True},
        {"coupled_gates": True},
        {"forget_gate": False, "peepholes": True},
        {"input_gate": False},
        {"output_gate": False},
        {"projection_size": 3},
    ],
    ids=str,
)
def test_the_block_is_consistent_and_drawn(options: Any, tmp_path: Path) -> None:
    """The numbers on its lines obey the equations that its nodes stand for, both ways."""
    _, trace, _ = traced(**options)
    for t in (0, 3, -1):
        block = block_values(trace, t, unit=2, batch=1)
        lines = block.lines
        i = lines["input"].forward if "input" in block else 1.0
        f = lines["forget"].forward if "forget" in block else 1.0
        o = lines["output"].forward if "output" in block else 1.0
        g, c, before = (lines[name].forward for name in ("cell", "state", "before"))
        assert c == pytest.approx(f * before + i * g)
        assert lines["hidden"].forward == pytest.approx(o * np.tanh(c))
        assert g == pytest.approx(np.tanh(lines["cell.net"].forward))
        delta = lines["state"].backward
        assert lines["cell"].backward == pytest.approx(delta * i)
        assert lines["cell.net"].backward == pytest.approx(delta * i * (1 - g**2))
        if "input.net" in lines and not block.coupled:
            assert i == pytest.approx(sigmoid(np.array(lines["input.net"].forward)))
            assert lines["input.net"].backward == pytest.approx(delta * g * i * (1 - i))
        if "output.net" in lines:
            slope = lines["output"].backward * o * (1 - o)
            assert lines["output.net"].backward == pytest.approx(slope)
    path = tmp_path / "block.svg"
    carousel.plot.block(trace, 3, unit=2).savefig(path)
    assert "<svg" in path.read_text()


def test_gates_and_flow_are_drawn(tmp_path: Path) -> None:
    net, rng = random_network(2)
    x = rng.normal(size=(2, 9, net.input_shape[-1])).astype(np.float32)
    trace = net.trace(x)
    figure = carousel.plot.gates(trace, labels=list("abcdefghi"))
    figure.savefig(tmp_path / "gates.png")
    flow = net.gradient_flow(x, np.zeros_like(net(x)))
    carousel.plot.gradient_flow(flow).savefig(tmp_path / "flow.pdf")
    carousel.plot.gradient_flow({"a": flow, "b": flow}).savefig(tmp_path / "flows.svg")
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_gradient_flow_is_the_norm_of_the_deltas() -> None:
    net, trace, x = traced(peepholes=True)
    rng = np.random.default_rng(5)
    y = rng.normal(size=(2, 6, 2))
    flow, trace = net.gradient_flow(x, y), net.trace(x, y)
    for values, deltas in (
        (flow["lstm"].hidden, trace["lstm"].delta_hidden),
        (flow["lstm"].cell, trace["lstm"].delta_cell),
    ):
        np.testing.assert_allclose(values, np.sqrt((deltas**2).sum(axis=(0, 2))), rtol=1e-12)


def test_a_history_draws_itself(tmp_path: Path) -> None:
    net = carousel.Network([layers.LSTM(3)], input_size=2)
    x, y = np.ones((8, 4, 2), np.float32), np.ones((8, 3), np.float32)
    history = net.fit(x, y, epochs=3, validation_split=0.25, progress=False)
    history.plot().savefig(tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 1000


def test_nothing_to_draw() -> None:
    net = carousel.Network([layers.GRU(3, name="gru")], input_size=2)
    trace = net.trace(np.zeros((1, 4, 2), np.float32))
    with pytest.raises(carousel.NotFoundError):
        carousel.plot.block(trace, 0)
    with pytest.raises(carousel.UnsupportedModelError, match="gru"):
        carousel.plot.block(trace, 0, layer="gru")
    _, trace, _ = traced()
    with pytest.raises(carousel.InvalidArgumentError, match="step"):
        carousel.plot.block(trace, 6)
