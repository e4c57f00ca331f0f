"""Draws the pictures of docs/how-the-lstm-came-to-be.md into docs/images: the flow of gradients
before training, the gates of a trained network at work, the numbers in its block at one step.

Trains one small network for it (2c with q = 100), which takes a minute or two; all is seeded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import carousel
import numpy as np
from contenders import OUTPUT_GATE
from criteria import draw
from networks import Shape
from students import Modern, ModernStudent
from tasks import Array, VeryLongLags

IMAGES = Path(__file__).parents[2] / "docs" / "images"
BLUE, RED, GREY = "#1d4e89", "#c1121f", "#5c6670"


def axes(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """A figure of its own and its axes, (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for ax in grid.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, grid


# --- Gradient flow before training ---------------------------------------------------------------

STEPS, UNITS, ROWS = 100, 8, 16


def flow(layer: carousel.Layer, scale: float = 1.0) -> Array:
    """The norm of the error that reaches each step's state, relative to the last step's: of a fresh
    network, for an error at the end. `scale` multiplies the recurrent weights."""
    network = carousel.Network([layer, carousel.Dense(1)], input_size=2, seed=1)
    network.parameters()[f"{layer.name}/recurrent_kernel"][:] *= scale
    x = np.random.default_rng(0).normal(size=(ROWS, STEPS, 2)).astype(np.float32)
    found = network.gradient_flow(x, output_gradient=np.ones((ROWS, 1), np.float32))[layer.name]
    norms = found.hidden if found.cell is None else found.cell
    return np.asarray(norms / norms[-1])


def draw_gradient_flow(path: Path) -> None:
    none = {"input_gate": False, "forget_gate": False, "output_gate": False}
    lines = [
        ("simple RNN", RED, "-", flow(carousel.SimpleRNN(UNITS, name="cell"), 0.9)),
        (
            "simple RNN, large weights, linear",
            "#e07a5f",
            "-",
            flow(carousel.SimpleRNN(UNITS, activation="linear", name="cell"), 1.15),
        ),
        (
            "CEC, and the 1997 cell: exactly 1",
            BLUE,
            "-",
            flow(carousel.LSTM(UNITS, **none, truncate_gates=True, name="cell")),
        ),
        (
            "forget gate, bias 1",
            "#2a9d8f",
            "-",
            flow(carousel.LSTM(UNITS, name="cell")),
        ),
        ("forget gate, bias 5", "#2a9d8f", "--", _with_forget_bias(5.0)),
    ]
    figure, ((ax,),) = axes(8, 4.2)
    for label, color, style, norms in lines:
        shown = np.where(norms > 0, norms, np.nan)
        ax.plot(np.arange(STEPS) - STEPS + 1, shown, style, color=color, lw=2)
        level = min(max(float(shown[0]), 3e-9), 3e5) if np.isfinite(shown[0]) else 3e-9
        ax.annotate(
            label,
            (-STEPS + 1, level),
            (4, 5),
            textcoords="offset points",
            color=color,
            fontsize=9,
        )
    ax.set_yscale("log")
    ax.set_ylim(1e-9, 1e7)
    ax.set_xlim(-STEPS + 1, 0)
    ax.set_xlabel("steps before the error")
    ax.set_ylabel("error that arrives, relative")
    ax.set_title("How much error reaches an earlier state, before training", fontsize=11)
    figure.savefig(path)


def _with_forget_bias(bias: float) -> Array:
    layer = carousel.LSTM(UNITS, name="cell")
    network = carousel.Network([layer, carousel.Dense(1)], input_size=2, seed=1)
    network.parameters()["cell/bias"][UNITS : 2 * UNITS] = bias
    x = np.random.default_rng(0).normal(size=(ROWS, STEPS, 2)).astype(np.float32)
    norms = network.gradient_flow(x, output_gradient=np.ones((ROWS, 1), np.float32))["cell"].cell
    return np.asarray(norms / norms[-1])


# --- A trained network at work -------------------------------------------------------------------

LAG, DISTRACTORS = 100, 20


def trained(updates: int) -> tuple[carousel.Network, VeryLongLags]:
    """The 1997 cell, trained on task 2c until it makes no error for a while."""
    task = VeryLongLags(LAG, DISTRACTORS)
    student = ModernStudent(task, OUTPUT_GATE, Shape(2), Modern(rate=0.01), 0)
    rng = np.random.default_rng([0, 1])
    for _ in range(updates):
        student.present(draw(task, student.batch, rng))
    tests = student.evaluate(draw(task, 256, np.random.default_rng(2)))
    print(f"2c, q = {LAG}: {np.mean([one.correct for one in tests]):.1%} of 256 right")
    return student.network, task


def twins(task: VeryLongLags) -> Array:
    """(2, time, symbols): the same sequence with x and with y."""
    sequence = task.sample(np.random.default_rng(5))
    inputs = np.stack([sequence.inputs] * 2)
    inputs[:, 1] = 0
    inputs[0, 1, task.p] = inputs[1, 1, task.p + 1] = 1
    return inputs


def draw_gates(network: carousel.Network, task: VeryLongLags, path: Path) -> tuple[Any, int]:
    """What the unit that tells x from y does; returns the trace and the unit."""
    x = twins(task)
    target = np.eye(2, dtype=np.float32)
    trace = network.trace(x, target, loss="binary_crossentropy")
    cell = trace["cell"]
    unit = int(np.abs(cell.cell[0, -1] - cell.cell[1, -1]).argmax())
    steps = np.arange(1, x.shape[1] + 1)
    figure, grid = axes(8, 6, 4, sharex=True)
    panels = (
        ("input gate i(t)", cell.input_gate, "opens for x and y, once"),
        ("cell state c(t)", cell.cell, "holds: the constant error carousel"),
        ("output gate o(t)", cell.output_gate, "releases when e comes"),
        ("output h(t)", cell.hidden, ""),
    )
    for ax, (name, values, note) in zip(grid[:, 0], panels):
        for row, (label, color) in enumerate((("x came", BLUE), ("y came", RED))):
            ax.plot(steps, values[row, :, unit], color=color, lw=1.4, label=label)
        ax.set_title(f"{name}   {note}", loc="left", fontsize=10)
        for step in (2, len(steps)):
            ax.axvline(step, color=GREY, lw=0.6, ls=":")
        if "gate" in name:
            ax.set_ylim(-0.03, 1.03)
    grid[0, 0].legend(frameon=False, loc="center right", fontsize=9)
    grid[-1, 0].set_xlabel("step: b, then x or y, then distractors, then e")
    grid[-1, 0].set_xlim(0, len(steps) + 1)
    figure.savefig(path)
    return trace, unit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--updates", type=int, default=1500, help="of 16 sequences, to train 2c")
    arguments = parser.parse_args()
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "carousel"
    carousel.set_threads(1)
    arguments.images.mkdir(parents=True, exist_ok=True)
    draw_gradient_flow(arguments.images / "gradient-flow.svg")
    network, task = trained(arguments.updates)
    trace, unit = draw_gates(network, task, arguments.images / "gates-2c.svg")
    figure = carousel.plot.block(trace, t=1, layer="cell", unit=unit)
    figure.savefig(arguments.images / "block-2c.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
