"""The numbers that every peer computes with, and the float64 answer that it is checked against."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
from workloads import GATES, Workload

# A step workload is checked after this many steps, so that a lost state shows.
CHECKED_STEPS = 3
# What a workload of each kind computes, in the order in which workers write it.
OUTPUTS = {"step": ["y"], "seq": ["y"], "train": ["dx", "dw_ih", "dw_hh", "db"]}


@dataclasses.dataclass
class Direction:
    """One direction of one layer, in PyTorch's layout: rows are the gates i, f, g, o."""

    input_kernel: np.ndarray  # (4 H, I)
    recurrent_kernel: np.ndarray  # (4 H, H)
    bias: np.ndarray  # (4 H)


@dataclasses.dataclass
class Data:
    layers: list[list[Direction]]
    x: np.ndarray  # (T, B, I)
    output_gradient: np.ndarray  # (T, B, D * H)

    def arrays(self) -> list[np.ndarray]:
        weights = [
            array
            for layer in self.layers
            for d in layer
            for array in (d.input_kernel, d.recurrent_kernel, d.bias)
        ]
        return [*weights, self.x, self.output_gradient]

    def write(self, path: pathlib.Path) -> None:
        """All arrays one after the other as float32, for workers in other languages."""
        with open(path, "wb") as file:
            for array in self.arrays():
                file.write(np.ascontiguousarray(array, "<f4").tobytes())


def make(workload: Workload, source=None) -> Data:
    """Weights U(-1/sqrt(H), 1/sqrt(H)) as PyTorch initialises them, inputs U(-1, 1); or, with
    `source`, what `Data.write` wrote there."""
    if source is None:
        random = np.random.default_rng(20260101)

        def take(shape, scale):
            return random.uniform(-scale, scale, shape).astype(np.float32)
    else:
        values, position = np.fromfile(source, "<f4"), 0

        def take(shape, scale):
            nonlocal position
            size = int(np.prod(shape))
            position += size
            return values[position - size : position].reshape(shape)

    hidden = workload.hidden_size
    scale = hidden**-0.5
    layers = [
        [
            Direction(
                take((GATES * hidden, size), scale),
                take((GATES * hidden, hidden), scale),
                take((GATES * hidden,), scale),
            )
            for _ in range(workload.directions)
        ]
        for size in workload.layer_input_sizes()
    ]
    steps, batch = workload.time_steps, workload.batch
    return Data(
        layers,
        take((steps, batch, workload.input_size), 1.0),
        take((steps, batch, workload.output_size), 1.0),
    )


def sigmoid(a):
    return 0.5 * (1.0 + np.tanh(0.5 * a))


@dataclasses.dataclass
class Tape:
    """What the backward pass of one direction needs of its forward pass."""

    x: np.ndarray
    h_before: np.ndarray
    c_before: np.ndarray
    c: np.ndarray
    gates: np.ndarray  # (T, B, 4, H), after their activations


def forward_direction(d: Direction, x: np.ndarray) -> tuple[np.ndarray, Tape]:
    steps, batch, _ = x.shape
    hidden = d.recurrent_kernel.shape[1]
    recurrent = d.recurrent_kernel.astype(np.float64).T
    fed = x @ d.input_kernel.astype(np.float64).T + d.bias
    tape = Tape(
        x,
        np.zeros((steps, batch, hidden)),
        np.zeros((steps, batch, hidden)),
        np.zeros((steps, batch, hidden)),
        np.zeros((steps, batch, GATES, hidden)),
    )
    h, c = np.zeros((batch, hidden)), np.zeros((batch, hidden))
    y = np.zeros((steps, batch, hidden))
    for t in range(steps):
        tape.h_before[t], tape.c_before[t] = h, c
        a = (fed[t] + h @ recurrent).reshape(batch, GATES, hidden)
        i, f, o = sigmoid(a[:, 0]), sigmoid(a[:, 1]), sigmoid(a[:, 3])
        g = np.tanh(a[:, 2])
        c = f * c + i * g
        h = o * np.tanh(c)
        tape.gates[t] = np.stack([i, f, g, o], axis=1)
        tape.c[t], y[t] = c, h
    return y, tape


def backward_direction(d: Direction, tape: Tape, dy: np.ndarray):
    steps, batch, hidden = dy.shape
    recurrent = d.recurrent_kernel.astype(np.float64)
    da = np.zeros((steps, batch, GATES, hidden))
    dh, dc = np.zeros((batch, hidden)), np.zeros((batch, hidden))
    for t in reversed(range(steps)):
        i, f, g, o = np.moveaxis(tape.gates[t], 1, 0)
        squashed = np.tanh(tape.c[t])
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - squashed**2)
        da[t, :, 0] = dc * g * i * (1 - i)
        da[t, :, 1] = dc * tape.c_before[t] * f * (1 - f)
        da[t, :, 2] = dc * i * (1 - g**2)
        da[t, :, 3] = dh * squashed * o * (1 - o)
        dc = dc * f
        dh = da[t].reshape(batch, -1) @ recurrent
    da = da.reshape(steps * batch, GATES * hidden)
    return (
        (da @ d.input_kernel.astype(np.float64)).reshape(tape.x.shape),
        da.T @ tape.x.reshape(steps * batch, -1),
        da.T @ tape.h_before.reshape(steps * batch, -1),
        da.sum(axis=0),
    )


def reference(workload: Workload, data: Data) -> dict[str, np.ndarray]:
    """y (T, B, D * H); of a step the output after CHECKED_STEPS; of training the gradients of
    sum(y * output_gradient) with respect to x and to the first layer's first direction."""
    x = data.x.astype(np.float64)
    if workload.kind == "step":
        x = np.repeat(x, CHECKED_STEPS, axis=0)
    tapes = []
    for layer in data.layers:
        outputs = []
        for number, direction in enumerate(layer):
            order = slice(None, None, -1 if number else 1)
            y, tape = forward_direction(direction, x[order])
            outputs.append(y[order])
            tapes.append(tape)
        x = np.concatenate(outputs, axis=2)
    if workload.kind != "train":
        return {"y": x[-1:] if workload.kind == "step" else x}

    dy, hidden = data.output_gradient.astype(np.float64), workload.hidden_size
    for layer in reversed(data.layers):
        dx = 0.0
        for number in reversed(range(len(layer))):
            order = slice(None, None, -1 if number else 1)
            part = dy[order, :, number * hidden : (number + 1) * hidden]
            dx_part, dw_ih, dw_hh, db = backward_direction(layer[number], tapes.pop(), part)
            dx = dx + dx_part[order]
        dy = dx
    return {"dx": dy, "dw_ih": dw_ih, "dw_hh": dw_hh, "db": db}


def error(workload: Workload, expected: dict[str, np.ndarray], path) -> float:
    """The largest error of a worker's outputs, relative to the largest value of its array."""
    values, position, worst = np.fromfile(path, "<f4").astype(np.float64), 0, 0.0
    for key in OUTPUTS[workload.kind]:
        array = expected[key].ravel()
        part = values[position : position + array.size]
        position += array.size
        if part.size != array.size or not np.isfinite(part).all():
            return np.inf
        worst = max(worst, float(np.abs(part - array).max() / np.abs(array).max()))
    return worst if position == values.size else np.inf
