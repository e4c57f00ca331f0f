"""Long runs and odd numbers: single precision stays beside double, NaN stays in its row."""

from __future__ import annotations

from typing import Any

import carousel
import numpy as np
import pytest
from carousel import layers
from instruction_sets import INSTRUCTION_SETS, instruction_set

STEPS = 100_000

CELLS: dict[str, Any] = {
    "LSTM": lambda: layers.LSTM(16, return_sequences=True),
    "peepholes": lambda: layers.LSTM(16, peepholes=True, return_sequences=True),
    "layer norm": lambda: layers.LSTM(12, layer_norm=True, return_sequences=True),
    "projection": lambda: layers.LSTM(16, projection_size=6, return_sequences=True),
    "coupled": lambda: layers.LSTM(16, coupled_gates=True, return_sequences=True),
    "GRU": lambda: layers.GRU(16, return_sequences=True),
    "SimpleRNN": lambda: layers.SimpleRNN(16, return_sequences=True),
}


def both(cell: Any) -> tuple[carousel.Network, carousel.Network]:
    """A network and the same in double precision."""
    exact = carousel.Network([cell], input_size=3, seed=5, dtype="float64")
    net = carousel.Network([cell], input_size=3, seed=5)
    rng = np.random.default_rng(6)
    for name, values in net.parameters().items():
        values += rng.normal(scale=0.1, size=values.shape)  # peepholes begin as zeros
        exact.parameters()[name][...] = values
    return net, exact


@pytest.mark.parametrize("name", CELLS)
def test_a_hundred_thousand_steps_do_not_drift(name: str) -> None:
    """The error of single precision is no larger in the last tenth than in the first."""
    net, exact = both(CELLS[name]())
    x = np.random.default_rng(1).normal(size=(1, STEPS, 3)).astype(np.float32)
    error = np.abs(net(x) - exact(x.astype(np.float64)))[0].max(axis=1)
    first, last = error[: STEPS // 10], error[-STEPS // 10 :]
    print(
        f"{name}: largest {error.max():.3g}, medians {np.median(first):.3g} {np.median(last):.3g}"
    )
    assert np.median(last) < 2 * np.median(first)
    assert np.median(last) < 1e-5
    # Layer normalisation divides by a deviation that can be small: there two runs that differ in
    # one bit part for some steps, and meet again.
    assert error.max() < 2e-6 or name == "layer norm"


def test_a_million_steps_in_pieces_are_one_call() -> None:
    net = carousel.Network([layers.LSTM(8, return_sequences=True)], input_size=2, seed=1)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1, 1_000_000, 2)).astype(np.float32)
    whole = net(x)
    stream = net.stream(batch=1)
    at = 0
    while at < x.shape[1]:
        count = int(rng.choice([1, 2, 3, 17, 1000, 65536]))
        got = stream.steps(x[:, at : at + count])
        assert got.tobytes() == whole[:, at : at + count].tobytes(), at
        at += count


ODD = {"NaN": np.nan, "infinity": np.inf, "-infinity": -np.inf, "1e38": 1e38, "denormal": 1e-45}


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", CELLS)
def test_odd_inputs_stay_in_their_row(name: str, value: str) -> None:
    net, exact = both(CELLS[name]())
    x = np.random.default_rng(3).normal(size=(5, 12, 3)).astype(np.float32)
    usual = net(x)
    # Squares of more overflow in the variances of layer normalisation.
    x[2, 4, 1] = 1e15 if (name, value) == ("layer norm", "1e38") else ODD[value]
    got, reference = net(x), exact(x.astype(np.float64))
    others = [0, 1, 3, 4]
    assert got[others].tobytes() == usual[others].tobytes()
    assert got[2, :4].tobytes() == usual[2, :4].tobytes()
    if value == "NaN":
        assert np.isnan(got[2, 4:]).any(axis=1).all()
    # Saturated gates and NaN are where double precision has them.
    assert (np.isnan(got) == np.isnan(reference)).all()
    good = ~np.isnan(got)
    np.testing.assert_allclose(got[good], reference[good], rtol=1e-4, atol=1e-5)


def test_silence_dies_away_into_zeros() -> None:
    """States that decay pass through the denormal numbers as in double precision."""
    net, exact = both(layers.LSTM(8, use_bias=False, return_sequences=True))
    x = np.zeros((1, 3000, 3), np.float32)
    x[0, 0] = 1
    got, reference = net(x), exact(x.astype(np.float64))
    np.testing.assert_allclose(got, reference, rtol=0, atol=1e-6)
    assert np.abs(got[0, -1]).max() < 1e-30


# At minus infinity and infinity; for the functions with parameters, theirs by default.
LIMITS: dict[str, tuple[float, float]] = {
    "linear": (-np.inf, np.inf),
    "tanh": (-1, 1),
    "sigmoid": (0, 1),
    "hard_sigmoid": (0, 1),
    "hard_sigmoid_keras2": (0, 1),
    "relu": (0, np.inf),
    "elu": (-1, np.inf),
    "selu": (-1.0507009873554805 * 1.6732632423543772, np.inf),
    "gelu": (0, np.inf),
    "gelu_tanh": (0, np.inf),
    "silu": (0, np.inf),
    "softplus": (0, np.inf),
    "softsign": (-1, 1),
    "exponential": (0, np.inf),
}
# f(x) = f(0) + f'(0) x near 0; the slopes on the left and on the right.
AT_ZERO = {
    "sigmoid": 0.5,
    "hard_sigmoid": 0.5,
    "hard_sigmoid_keras2": 0.5,
    "exponential": 1,
    "softplus": np.log(2),
}
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
SLOPES = {
    "sigmoid": (0.25, 0.25),
    "hard_sigmoid": (1 / 6, 1 / 6),
    "hard_sigmoid_keras2": (0.2, 0.2),
    "relu": (0, 1),
    "selu": (SELU_SCALE * SELU_ALPHA, SELU_SCALE),
    "gelu": (0.5, 0.5),
    "gelu_tanh": (0.5, 0.5),
    "silu": (0.5, 0.5),
    "softplus": (0.5, 0.5),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_and_denormal_numbers(name: str, instructions: str, dtype: Any) -> None:
    with instruction_set(instructions, skips=True):
        info = np.finfo(dtype)
        tiny = np.array([-info.tiny / 2, -info.smallest_subnormal, -0.0, 0.0], dtype)
        x = np.concatenate([tiny, -tiny[::-1], [-np.inf, -info.max, np.nan, info.max, np.inf]])
        x = x.astype(dtype)
        net = carousel.Network([layers.Activation(name)], input_size=len(x), dtype=dtype)
        y = net(x[None, None])[0, 0]
        slopes = net.backpropagate(x[None, None], np.ones((1, 1, len(x)), dtype)).input[0, 0]
    below, above = (np.array(limit, dtype) for limit in LIMITS[name])
    np.testing.assert_allclose(y[8], below, rtol=4 * info.eps)
    np.testing.assert_allclose(y[12], above, rtol=4 * info.eps)
    np.testing.assert_allclose(y[9], info.min if below == -np.inf else below, rtol=4 * info.eps)
    assert (np.isnan(slopes) <= np.isnan(x)).all()
    assert np.isnan(y[10]) and np.isfinite(y[9]) and not np.isnan(y[11])
    slope, right = SLOPES.get(name, (1, 1))
    expected = AT_ZERO.get(name, 0) + x[:8] * np.where(x[:8] < 0, slope, right).astype(dtype)
    np.testing.assert_allclose(y[:8], expected, rtol=4 * info.eps, atol=info.smallest_subnormal)
