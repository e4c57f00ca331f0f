"""Draws the pictures of docs/how-the-lstm-came-to-be.md into docs/images: the flow of gradients
before training, the gates of a trained network at work, the numbers in its block at one step.

Trains two small networks for it by the algorithm of 1997, which takes some ten seconds; all is
seeded.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import carousel
import numpy as np

from .contenders import CEC, INPUT_GATE, OUTPUT_GATE
from .criteria import draw
from .networks import Shape
from .rows import ROWS
from .students import Faithful, FaithfulStudent
from .tasks import Array, Conflict, Task, VeryLongLags

IMAGES = Path(__file__).parents[2] / "docs" / "images"
BLUE, RED, GREEN, GREY = "#1d4e89", "#c1121f", "#2a9d8f", "#5c6670"


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

STEPS, UNITS, BATCH = 100, 8, 16


def flow(layer: carousel.Layer, scale: float = 1.0) -> Array:
    """The norm of the error that reaches each step's state, relative to the last step's: of a fresh
    network, for an error at the end. `scale` multiplies the recurrent weights."""
    network = carousel.Network([layer, carousel.Dense(1)], input_size=2, seed=1)
    network.parameters()[f"{layer.name}/recurrent_kernel"][:] *= scale
    x = np.random.default_rng(0).normal(size=(BATCH, STEPS, 2)).astype(np.float32)
    found = network.gradient_flow(x, output_gradient=np.ones((BATCH, 1), np.float32))[layer.name]
    norms = found.hidden if found.cell is None else found.cell
    return np.asarray(norms / norms[-1])


def draw_gradient_flow(path: Path) -> None:
    figure, ((ax,),) = axes(8, 4.4)

    def line(norms: Array, color: str, style: str, label: str, step: int, factor: float) -> None:
        """With its label at a step, so many times above the line."""
        shown = np.where(norms > 0, norms, np.nan)
        ax.plot(np.arange(STEPS) - STEPS + 1, shown, style, color=color, lw=2)
        ax.text(step, shown[step - 1] * factor, label, color=color, fontsize=9)

    simple = flow(carousel.SimpleRNN(UNITS, name="cell"), 0.9)
    line(simple, RED, "-", "simple RNN: vanishes", -36, 0.004)
    linear = flow(carousel.SimpleRNN(UNITS, activation="linear", name="cell"), 1.15)
    line(linear, RED, "--", "simple RNN, linear, larger weights: explodes", -80, 30)
    for contender in (CEC, INPUT_GATE, OUTPUT_GATE):
        cell = carousel.LSTM(UNITS, **contender.switches, truncate_gates=True, name="cell")
        constant = flow(cell)
        assert np.abs(constant - 1).max() < 1e-5, contender.label
    label = "CEC; + input gate; + output gate (1997, truncated): constant"
    line(constant, BLUE, "-", label, -68, 3)
    forget = flow(carousel.LSTM(UNITS, name="cell"))
    line(forget, GREEN, "-", "+ forget gate, bias 1", -97, 60)
    seeing = flow(carousel.LSTM(UNITS, peepholes=True, name="cell"))
    line(seeing, GREY, ":", "+ peepholes, bias 1", -60, 0.01)
    line(_with_forget_bias(5.0), GREEN, "--", "+ forget gate, bias 5", -97, 4)
    ax.set_yscale("log")
    ax.set_ylim(1e-10, 1e8)
    ax.set_xlim(-STEPS + 1, 0)
    ax.set_xlabel("steps before the error")
    ax.set_ylabel("error that arrives, relative")
    ax.set_title("How much error reaches an earlier state, before training", fontsize=11)
    figure.savefig(path)


def _with_forget_bias(bias: float) -> Array:
    layer = carousel.LSTM(UNITS, name="cell")
    network = carousel.Network([layer, carousel.Dense(1)], input_size=2, seed=1)
    network.parameters()["cell/bias"][UNITS : 2 * UNITS] = bias
    x = np.random.default_rng(0).normal(size=(BATCH, STEPS, 2)).astype(np.float32)
    norms = network.gradient_flow(x, output_gradient=np.ones((BATCH, 1), np.float32))["cell"].cell
    return np.asarray(norms / norms[-1])


# --- Trained networks at work --------------------------------------------------------------------


def trained(
    task: Task, shape: Shape, recipe: Faithful, sequences: int, seed: int = 0
) -> carousel.Network:
    """The cell and the algorithm of 1997."""
    student = FaithfulStudent(task, OUTPUT_GATE, shape, recipe, seed)
    rng = np.random.default_rng([seed, 1])
    for _ in range(sequences):
        student.present(draw(task, 1, rng))
    tests = student.evaluate(draw(task, 256, np.random.default_rng(2)))
    print(f"{task.name}: {np.mean([one.correct for one in tests]):.1%} of 256 new sequences right")
    return student.network


def telling_unit(cell: carousel.LayerTrace) -> int:
    """The unit whose content differs most between the two sequences at the end."""
    return int(np.abs(cell.cell[0, -1] - cell.cell[1, -1]).argmax())


def draw_gates(
    trace: carousel.Trace,
    labels: tuple[str, str],
    marks: dict[int, str],
    notes: tuple[str, str, str],
    path: Path,
) -> None:
    """What the telling unit does in two sequences that differ in what is to be remembered."""
    cell = trace["cell"]
    unit = telling_unit(cell)
    steps = np.arange(1, cell.hidden.shape[1] + 1)
    figure, grid = axes(8, 4.6, 3, sharex=True)
    panels = (
        ("input gate i(t)", cell.input_gate),
        ("cell state c(t)", cell.cell),
        ("output gate o(t)", cell.output_gate),
    )
    for ax, (name, values), note in zip(grid[:, 0], panels, notes):
        for row, (label, color) in enumerate(zip(labels, (BLUE, RED))):
            line = {"marker": "o", "ms": 3} if len(steps) < 40 else {}
            ax.plot(steps, values[row, :, unit], color=color, lw=1.4, label=label, **line)
        ax.set_title(f"{name}: {note}", loc="left", fontsize=10)
        for step in marks:
            ax.axvline(step, color=GREY, lw=0.7, ls=":")
        if "gate" in name:
            ax.set_ylim(-0.05, 1.05)
    grid[1, 0].legend(frameon=False, loc="center right", fontsize=9)
    last = grid[-1, 0]
    last.set_xlim(0.5, len(steps) + 0.5)
    last.set_xticks(list(marks), [f"{name}\nstep {step}" for step, name in marks.items()])
    figure.savefig(path)


def draw_conflict(gates: Path, block: Path) -> None:
    task = Conflict(10)
    row = ROWS["conflict"]
    network = trained(task, row.shape, row.faithful, 3000, seed=1)
    sequence = task.sample(np.random.default_rng(5))
    x = np.stack([sequence.inputs] * 2)
    start = int(sequence.inputs[:, 1].argmax())
    x[:, start, 0] = 1, -1
    targets = (x[:, :, :1] + 1) / 2
    targets[:, -1, 0] = 1, 0
    trace = network.trace(x, targets, loss="binary_crossentropy")
    draw_gates(
        trace,
        ("+1 was stored", "-1 was stored"),
        {start + 1: "store", x.shape[1]: "recall"},
        (
            "opens at the mark, and keeps all other values out",
            "holds",
            "releases when asked, and stays out of the way till then",
        ),
        gates,
    )
    unit = telling_unit(trace["cell"])
    carousel.plot.block(trace, t=start, layer="cell", unit=unit).savefig(block)


def draw_2c(path: Path) -> None:
    task = VeryLongLags(50, 50)
    network = trained(task, Shape(2), Faithful(0.01, 0.2, biased=()), 30_000)
    symbols = np.stack([task.sample(np.random.default_rng(5)).symbols] * 2).astype(np.int32)
    symbols[:, 1] = task.p, task.p + 1
    draw_gates(
        network.trace(symbols),
        ("x came", "y came"),
        {2: "x or y", symbols.shape[1]: "e"},
        (
            "half open throughout; distractors have learned to bring nothing",
            "holds, and by feedback widens the difference",
            "opens further for e",
        ),
        path,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--format", default="svg", help="svg, or png to look at")
    arguments = parser.parse_args()
    import matplotlib

    # The same picture is to be the same file.
    matplotlib.rcParams["svg.hashsalt"] = "carousel"
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    carousel.set_threads(1)
    arguments.images.mkdir(parents=True, exist_ok=True)

    def path(name: str) -> Path:
        return arguments.images / f"{name}.{arguments.format}"

    draw_gradient_flow(path("gradient-flow"))
    draw_conflict(path("gates-conflict"), path("block-conflict"))
    draw_2c(path("gates-2c"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
