"""Random networks for tests of properties."""

from __future__ import annotations

import carousel
import numpy as np
from carousel import layers


def random_cell(rng: np.random.Generator, return_sequences: bool) -> layers.Layer:
    """A recurrent layer with random switches, of a size that no vector width divides."""
    units = int(rng.integers(1, 40))
    options = {"return_sequences": return_sequences}
    kind = rng.integers(0, 6)
    if kind == 0:
        return layers.GRU(units, reset_after=bool(rng.integers(2)), **options)
    if kind == 1:
        return layers.SimpleRNN(units, **options)
    gates = [{}, {}, {"forget_gate": False}, {"coupled_gates": True}][rng.integers(4)]
    return layers.LSTM(
        units,
        activation=str(rng.choice(["tanh", "tanh", "relu", "softsign"])),
        recurrent_activation=str(rng.choice(["sigmoid", "sigmoid", "hard_sigmoid"])),
        peepholes=bool(rng.integers(2)),
        **gates,
        layer_norm=not rng.integers(5),
        projection_size=None if rng.integers(3) else int(rng.integers(1, 20)),
        cell_clip=None if rng.integers(4) else 0.7,
        use_bias=bool(rng.integers(4)),
        **options,
    )


def random_network(
    seed: int, streams: bool = False, dtype: str = "float32"
) -> tuple[carousel.Network, np.random.Generator]:
    """One to three recurrent layers and a Dense; ``streams``: nothing that needs the future."""
    rng = np.random.default_rng(seed)
    stack: list[layers.Layer] = []
    count = int(rng.integers(1, 4))
    for index in range(count):
        sequences = streams or index + 1 < count or bool(rng.integers(2))
        cell = random_cell(rng, sequences)
        if not streams and not rng.integers(3):
            mode = str(rng.choice(["concat", "sum", "mul", "ave"]))
            cell = layers.Bidirectional(cell, merge_mode=mode)
        stack.append(cell)
    stack.append(layers.Dense(int(rng.integers(1, 9)), activation="tanh"))
    features = int(rng.integers(1, 30))
    net = carousel.Network(stack, input_size=features, seed=seed, dtype=dtype)
    for values in net.parameters().values():  # also biases, peepholes, ...
        values += rng.normal(scale=0.1, size=values.shape)
    return net, rng


def inputs_for(
    net: carousel.Network, rng: np.random.Generator, batch: int, time: int
) -> np.ndarray:
    return rng.normal(size=(batch, time, net.input_shape[-1])).astype(net.dtype)
