"""A new network's parameters have Keras's distributions."""

from __future__ import annotations

import carousel
import numpy as np
import pytest

LAYERS = {
    "LSTM": (carousel.LSTM, 4),
    "GRU": (carousel.GRU, 3),
    "SimpleRNN": (carousel.SimpleRNN, 1),
}


@pytest.mark.parametrize("units", [1, 2, 7, 8, 33])
@pytest.mark.parametrize("kind", LAYERS)
def test_recurrent_kernels_are_orthonormal(kind: str, units: int) -> None:
    make, _ = LAYERS[kind]
    net = carousel.Network([make(units, name="cell")], input_size=3, dtype="float64", seed=5)
    kernel = net.parameters()["cell/recurrent_kernel"]
    assert np.abs(kernel @ kernel.T - np.eye(units)).max() < 1e-13
    other = carousel.Network([make(units, name="cell")], input_size=3, dtype="float64", seed=6)
    assert units == 1 or np.abs(other.parameters()["cell/recurrent_kernel"] - kernel).max() > 0.01


@pytest.mark.parametrize("kind", LAYERS)
def test_kernels_and_biases(kind: str) -> None:
    make, gates = LAYERS[kind]
    net = carousel.Network([make(60, name="cell")], input_size=50, seed=1)
    kernel = net.parameters()["cell/kernel"]
    limit = np.sqrt(6 / (50 + 60 * gates))
    assert np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.05 * limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
    bias = net.parameters()["cell/bias"].reshape(-1)
    expected = np.zeros_like(bias)
    if kind == "LSTM":
        expected[60:120] = 1  # the forget gate's
    assert np.array_equal(bias, expected)
