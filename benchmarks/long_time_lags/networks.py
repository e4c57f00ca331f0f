"""A network for a task and a contender: inputs, one layer of cells, logistic outputs."""

from __future__ import annotations

from dataclasses import dataclass

import carousel
import numpy as np

from .contenders import Contender
from .tasks import Array, Rng, Task

#: From this width on one-hot inputs come as ids.
WIDE = 32


@dataclass(frozen=True)
class Shape:
    """How many memory blocks, and cells in each, which share their block's gates."""

    blocks: int
    cells: int = 1
    #: Every input also feeds the outputs directly (HS97, experiments 2a and 2b; GSC00).
    shortcuts: bool = False
    #: h(t) = c(t) instead of tanh(c(t)).
    linear_output: bool = False
    #: g.
    activation: str = "tanh"

    @property
    def units(self) -> int:
        return self.blocks * self.cells


def answers_only_at_the_end(task: Task) -> bool:
    return not task.sample(np.random.default_rng(0)).weights[:-1].any()


def takes_ids(network: carousel.Network) -> bool:
    """Whether the inputs are symbols of so many kinds that products with unit vectors would cost
    more than all the rest."""
    return len(network.inputs[0].shape) == 2


def answers_once(network: carousel.Network) -> bool:
    """Whether there is one output for the whole sequence."""
    return len(network.outputs[0].shape) == 2


def build(
    task: Task,
    contender: Contender,
    shape: Shape,
    *,
    truncate_gates: bool = False,
    stateful: bool = False,
    batch: int | None = None,
    unit_vectors: bool = False,
    seed: int = 0,
) -> carousel.Network:
    """The layers are `cell` and `output`, and for wide symbols `input` before the cell.

    W x for a unit vector x is a row of W. Wide symbols therefore come as ids of an Embedding whose
    rows are those of W, and the cell's own kernel is the identity, never trained: the same
    function, the same gradients, without a thousand multiplications by zero. `unit_vectors`: they
    come as unit vectors all the same.
    """
    every_step = stateful or shape.shortcuts or not answers_only_at_the_end(task)
    takes_ids = task.input_size >= WIDE and not unit_vectors
    units, blocks = cell_width(contender, shape), block_count(contender)
    common = {"return_sequences": every_step, "stateful": stateful, "name": "cell"}
    if contender.is_lstm:
        cell = carousel.LSTM(
            units,
            activation=shape.activation,
            output_activation="linear" if shape.linear_output else "tanh",
            truncate_gates=truncate_gates,
            **contender.switches,
            **common,
        )
    else:
        cell = carousel.SimpleRNN(units, **common)
    if takes_ids:
        start = carousel.Input((None,), dtype="int32", batch_size=batch)
        signal = carousel.Embedding(task.input_size, units * blocks, name="input")(start)
    else:
        start = carousel.Input((None, task.input_size), batch_size=batch)
        signal = start
    signal = cell(signal)
    if shape.shortcuts:
        if takes_ids:
            direct = carousel.Embedding(task.input_size, task.output_size, name="shortcut")(start)
        else:
            direct = carousel.Dense(task.output_size, use_bias=False, name="shortcut")(start)
        read = carousel.Dense(task.output_size, name="output")(signal)
        end = carousel.Activation(task.output_activation)(carousel.Add()([read, direct]))
    else:
        end = carousel.Dense(task.output_size, task.output_activation, name="output")(signal)
    network = carousel.Network(inputs=start, outputs=end, seed=seed)
    if takes_ids:
        network.parameters()["cell/kernel"][:] = np.eye(units * blocks)
    return network


def frozen(network: carousel.Network) -> tuple[str, ...]:
    """Parameters that are not trained."""
    return ("cell/kernel",) if takes_ids(network) else ()


def cell_width(contender: Contender, shape: Shape) -> int:
    """A simple RNN has a plain unit for each cell, input gate and output gate of the 1997 LSTM."""
    return shape.units if contender.is_lstm else shape.units + 2 * shape.blocks


def block_count(contender: Contender) -> int:
    """Groups of columns in the kernel: the gates that the cell has, and the cell input."""
    if not contender.is_lstm:
        return 1
    return 1 + sum(contender.has(f"{gate}_gate") for gate in ("input", "forget", "output"))


def columns(contender: Contender, shape: Shape, part: str) -> slice | None:
    """The columns of `input`, `forget`, `cell` or `output` in the cell's kernels and bias."""
    order = [
        name
        for name in ("input", "forget", "cell", "output")
        if name == "cell" or contender.has(f"{name}_gate")
    ]
    if not contender.is_lstm or part not in order:
        return None
    start = order.index(part) * shape.units
    return slice(start, start + shape.units)


def places(network: carousel.Network) -> dict[str, tuple[slice, tuple[int, ...]]]:
    """Where each parameter lies in the flat buffers of parameters and gradients, and its shape."""
    buffer = network.parameter_buffer()
    base = buffer.__array_interface__["data"][0]
    found = {}
    for name, values in network.parameters().items():
        start = (values.__array_interface__["data"][0] - base) // buffer.itemsize
        found[name] = (slice(start, start + values.size), values.shape)
    return found


def input_weights(network: carousel.Network) -> str:
    """The name of the parameter that holds W."""
    return "input/embeddings" if takes_ids(network) else "cell/kernel"


def draw_uniform(network: carousel.Network, limit: float, rng: Rng) -> None:
    """All weights and biases uniform in ±limit."""
    for name, values in network.parameters().items():
        if name not in frozen(network):
            values[:] = rng.uniform(-limit, limit, values.shape)


def trainable_count(network: carousel.Network) -> int:
    """Weights that are trained; gates shared by the cells of a block are counted for each cell."""
    return sum(
        values.size for name, values in network.parameters().items() if name not in frozen(network)
    )


def flat_where(network: carousel.Network, choose: dict[str, Array]) -> Array:
    """Flat positions in the buffers; `choose` has indices into each named parameter."""
    spots = places(network)
    return np.concatenate([spots[name][0].start + index for name, index in choose.items()])
