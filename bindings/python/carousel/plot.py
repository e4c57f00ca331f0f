"""Pictures of what a network does. Needs matplotlib, which is imported on first use.

Every function returns the matplotlib figure; ``figure.savefig("x.svg")`` keeps it as a vector
drawing. ``ax`` draws into axes of your own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .block import Block, Line, block_values
from .errors import InvalidArgumentError, LibraryError, NotFoundError
from .trace import GradientFlow, LayerTrace, Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["block", "gates", "gradient_flow", "history"]

FORWARD = "black"
BACKWARD = "#c1121f"
SOFT = "#5c6670"


def _figure(width: float, height: float, rows: int = 1) -> tuple[Figure, Any]:
    """A figure that belongs to no window and no global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LibraryError(
            f"carousel.plot needs matplotlib (pip install matplotlib): {error}"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, squeeze=False)[:, 0]


def _canvas(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """The given axes and their figure, or new ones."""
    if ax is None:
        figure, (ax,) = _figure(width, height)
        return figure, ax
    own: Any = ax.figure
    return own, ax


# --- gates over time ---------------------------------------------------------------------------


def gates(
    trace: Trace,
    layer: str | None = None,
    batch: int = 0,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Heat maps of a layer's gates and states: time from left to right, one line per unit.

    Args:
        trace: from ``Network.trace``.
        layer: which layer; the first by default.
        batch: which row of the batch.
        labels: what the steps are called (the characters of a text, say).
    """
    name = layer if layer is not None else next(iter(trace), None)
    if name is None:
        raise NotFoundError("the trace has no recurrent layer")
    one = trace[name]
    maps = _maps(one)
    steps, units = one.require("hidden").shape[1:]
    if labels is not None and len(labels) != steps:
        raise InvalidArgumentError(f"{len(labels)} labels for {steps} steps")
    width = min(16.0, 5.0 + 0.12 * steps)
    figure, axes = _figure(width, len(maps) * min(2.6, 0.9 + 0.05 * units), len(maps))
    for ax, (title, values, is_gate) in zip(axes, maps):
        values = values[batch].T
        bound = 1.0 if is_gate else float(np.abs(values).max(initial=1e-9))
        image = ax.imshow(
            values,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis" if is_gate else "RdBu_r",
            vmin=0.0 if is_gate else -bound,
            vmax=bound,
        )
        figure.colorbar(image, ax=ax, pad=0.01, aspect=12)
        ax.set_ylabel("unit")
        ax.set_title(title, loc="left", fontsize=10)
        ax.set_xticks([]) if ax is not axes[-1] else _time_axis(ax, steps, labels)
    figure.suptitle(f"{one.name}", fontsize=12)
    return figure


def _time_axis(ax: Axes, steps: int, labels: Sequence[str] | None) -> None:
    ax.set_xlabel("step")
    if labels is not None:
        ax.set_xticks(range(steps), [str(label) for label in labels], fontsize=8)


def _maps(one: LayerTrace) -> list[tuple[str, np.ndarray, bool]]:
    """Title, values and whether they lie between 0 and 1, of everything that a layer shows."""
    shown = []
    for name, values in one.gates.items():
        is_gate = name.endswith("gate") and bool(((values >= 0) & (values <= 1)).all())
        shown.append((name.replace("_", " "), values, is_gate))
    if one.cell is not None:
        shown.append(("cell state c(t)", one.cell, False))
    shown.append(("output h(t)", one.require("hidden"), False))
    return shown


# --- gradient flow -----------------------------------------------------------------------------


def gradient_flow(
    flow: GradientFlow | Mapping[str, GradientFlow], ax: Axes | None = None
) -> Figure:
    """The norms of dL/dh(t) and dL/dc(t) by step, on a logarithmic scale.

    ``flow`` may also be several flows by name: ``{"simple RNN": flow1, "LSTM": flow2}``.
    """
    flows: dict[str, GradientFlow]
    flows = {"": flow} if isinstance(flow, GradientFlow) else dict(flow)
    figure, ax = _canvas(ax, 8.0, 4.5)
    steps = 0
    for number, (title, one) in enumerate(
        (f"{name} {layer}".strip(), flow[layer]) for name, flow in flows.items() for layer in flow
    ):
        color = f"C{number % 10}"
        for values, what, style in ((one.hidden, "h", "-"), (one.cell, "c", "--")):
            if values is None:
                continue
            steps = max(steps, len(values))
            norms = np.where(np.asarray(values) > 0, values, np.nan)
            label = rf"{title}: $\|\partial L/\partial {what}(t)\|$"
            ax.plot(np.arange(1, len(norms) + 1), norms, style, color=color, label=label)
    ax.set_yscale("log")
    ax.set_xlim(1, max(steps, 2))
    ax.set_xlabel("step t")
    ax.set_ylabel("norm of the error that reaches the step")
    ax.grid(True, which="major", alpha=0.25)
    ax.legend(frameon=False, fontsize=9)
    return figure


# --- training history --------------------------------------------------------------------------


def history(history: Mapping[str, Sequence[float]], ax: Axes | None = None) -> Figure:
    """The values of a training run by epoch; those of ``val_`` dashed in the same colour."""
    figure, ax = _canvas(ax, 7.0, 4.0)
    names = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    for number, name in enumerate(names):
        for key, style in ((name, "-"), (f"val_{name}", "--")):
            if key in history:
                values = history[key]
                epochs = np.arange(1, len(values) + 1)
                ax.plot(epochs, values, style, color=f"C{number % 10}", label=key)
    ax.set_xlabel("epoch")
    if all(min(history[name], default=1) > 0 for name in names):
        ax.set_yscale("log")
    ax.grid(True, which="major", alpha=0.25)
    ax.legend(frameon=False)
    return figure


# --- the LSTM block ----------------------------------------------------------------------------


def block(
    trace: Trace,
    t: int,
    layer: str | None = None,
    unit: int = 0,
    batch: int = 0,
    ax: Axes | None = None,
) -> Figure:
    """The map of an LSTM block, filled with one unit's numbers at step ``t``.

    Data runs from left to right. On every line the forward value stands in black above it and, if
    the trace has deltas (``net.trace(x, y)``), the derivative of the loss in red below it. Peephole
    connections are dashed. Parts that the cell lacks are missing.

    Args:
        trace: from ``Network.trace``.
        t: the step, from 0; negative numbers count from the end.
        layer: name of an LSTM layer (``"bi/forward"`` for one half of a Bidirectional).
        unit, batch: whose numbers.
        ax: where to draw; a new figure otherwise.
    """
    values = block_values(trace, t, layer, unit, batch)
    figure, ax = _canvas(ax, 15.0, 9.6)
    _BlockDrawing(ax, values).draw()
    return figure


class _BlockDrawing:
    """Draws a block. Coordinates: main line at y = 6; see the constants for the columns."""

    BUS_X, BUS_H = 0.6, 1.2
    NET, SQUASH, WRITE, SUM, CELL, OUT, READ, END = 5.4, 7.5, 9.7, 12.1, 15.1, 17.3, 19.6, 22.2
    FORGET_NET, FORGET_SQUASH = 7.6, 9.7
    OUTPUT_NET, OUTPUT_SQUASH = 15.1, 17.2
    MAIN, INPUT, OUTPUT, LOOP, FORGET = 6.0, 8.6, 11.6, 3.5, 0.9
    RADIUS, SMALL = 0.42, 0.29

    def __init__(self, ax: Axes, block: Block) -> None:
        self.ax, self.block = ax, block

    # Pieces.

    def line(self, *points: tuple[float, float], dashed: bool = False, arrow: bool = True) -> None:
        """A polygonal line, with an arrow at its end; it passes over what it crosses."""
        xs, ys = zip(*points)
        style: Any = (0, (4, 2.5)) if dashed else "solid"
        self.ax.plot(xs, ys, color="white", linewidth=5, zorder=1.5, solid_capstyle="butt")
        self.ax.plot(xs, ys, color=FORWARD, linewidth=1.2, zorder=2, linestyle=style)
        if arrow:
            (x0, y0), (x1, y1) = points[-2:]
            length = float(np.hypot(x1 - x0, y1 - y0)) or 1.0
            back = 0.15 / length
            self.ax.annotate(
                "",
                xy=(x1, y1),
                xytext=(x1 - (x1 - x0) * back, y1 - (y1 - y0) * back),
                arrowprops={"arrowstyle": "-|>", "color": FORWARD, "shrinkA": 0, "shrinkB": 0},
                zorder=3,
            )

    def node(self, x: float, y: float, text: str, small: bool = False) -> None:
        """A circle with what it does."""
        from matplotlib.patches import Circle

        radius = self.SMALL if small else self.RADIUS
        self.ax.add_patch(
            Circle((x, y), radius, facecolor="white", edgecolor=FORWARD, linewidth=1.3, zorder=4)
        )
        size = 10 if "mathrm" in text else 13 if small else 15
        self.ax.text(x, y, text, ha="center", va="center_baseline", fontsize=size, zorder=5)

    def box(self, x: float, y: float, text: str) -> None:
        from matplotlib.patches import FancyBboxPatch

        self.ax.add_patch(
            FancyBboxPatch(
                (x - 0.4, y - 0.28),
                0.8,
                0.56,
                boxstyle="round,pad=0.02,rounding_size=0.12",
                facecolor="white",
                edgecolor=FORWARD,
                linewidth=1.3,
                zorder=4,
            )
        )
        self.ax.text(x, y, text, ha="center", va="center", fontsize=11, zorder=5)

    def dot(self, x: float, y: float) -> None:
        self.ax.plot([x], [y], "o", color=FORWARD, markersize=4, zorder=3)

    def label(
        self, x: float, y: float, name: str, line: Line | None, upright: bool = False
    ) -> None:
        """Name and forward value above a line, derivative below (left and right of a vertical)."""
        if line is None:
            return
        gap = 0.09
        turned = {"rotation": 90.0, "rotation_mode": "anchor"} if upright else {}
        above = (x - gap, y) if upright else (x, y + gap)
        below = (x + gap, y) if upright else (x, y - gap)
        text = f"{name} = {_number(line.forward)}" if name else _number(line.forward)
        common: dict[str, Any] = {"ha": "center", "fontsize": 9, "zorder": 6, **turned}
        self.ax.text(*above, text, va="bottom", color=FORWARD, **common)
        if line.backward is not None:
            text = _number(line.backward)
            self.ax.text(*below, text, va="top", color=BACKWARD, **common)

    # The drawing.

    def draw(self) -> None:
        block, ax = self.block, self.ax
        ax.set_xlim(-0.6, 22.6)
        ax.set_ylim(-1.5, 13.6)
        ax.set_aspect("equal")
        ax.axis("off")
        self._buses()
        self._main_line()
        self._cell_loop()
        self._input_gate()
        self._forget_gate()
        self._output_gate()
        self._legend()
        ax.set_title(block.title, fontsize=13, pad=6)

    def _rows(self) -> list[float]:
        rows = [self.MAIN]
        for gate, y in (("input", self.INPUT), ("forget", self.FORGET), ("output", self.OUTPUT)):
            if f"{gate}.net" in self.block:
                rows.append(y)
        return rows

    def _buses(self) -> None:
        """x(t) and h(t-1), which every summing point reads."""
        rows = self._rows()
        for x, offset, name, side in (
            (self.BUS_X, 0.45, r"$x(t)$", "right"),
            (self.BUS_H, -0.45, r"$h(t{-}1)$", "left"),
        ):
            top, bottom = max(rows) + offset, min(rows) + offset
            if top > bottom:
                self.line((x, bottom), (x, top), arrow=False)
            y = min(rows) - 1.1
            self.line((x, y), (x, max(bottom, y)), arrow=False)
            shift = 0.12 if side == "right" else -0.12
            self.ax.text(x + shift, y - 0.1, name, ha=side, va="top", fontsize=13)

    def _net(self, gate: str, x: float, y: float) -> None:
        """The summing point of a gate, and the lines that run into it."""
        radius = self.SMALL
        for bus, offset, part in ((self.BUS_X, 0.45, "x"), (self.BUS_H, -0.45, "h")):
            level = y + offset
            self.line((bus, level), (x - 0.55, level), (x - 0.8 * radius, y + offset * 0.38))
            self.dot(bus, level)
            weight = {"x": r"$w\,x$", "h": r"$r\,h$"}[part]
            self.label(self.BUS_H + 1.55, level, weight, self.block.lines.get(f"{gate}.{part}"))
        bias = self.block.lines.get(f"{gate}.b")
        if bias is not None:
            self.line((x - 0.9, y), (x - radius, y))
            self.ax.text(
                x - 1.0, y, rf"$b$ = {_number(bias.forward)}", ha="right", va="center", fontsize=9
            )
        self.node(x, y, r"$\Sigma$", small=True)

    def _gate(self, gate: str, net: float, squash: float, y: float, end: float, name: str) -> None:
        """A summing point, the gate's function, and the line to the column ``end``."""
        self._net(gate, net, y)
        self.line((net + self.SMALL, y), (squash - self.RADIUS, y))
        middle = (net + self.SMALL + squash - self.RADIUS) / 2
        self.label(middle, y, "", self.block.lines.get(f"{gate}.net"))
        self.node(squash, y, _symbol(self.block.recurrent_activation, r"\sigma"))
        self.label((squash + self.RADIUS + end) / 2, y, name, self.block.lines.get(gate))

    def _main_line(self) -> None:
        block, y = self.block, self.MAIN
        self._net("cell", self.NET, y)
        self.line((self.NET + self.SMALL, y), (self.SQUASH - self.RADIUS, y))
        middle = (self.NET + self.SMALL + self.SQUASH - self.RADIUS) / 2
        self.label(middle, y, "", block.lines.get("cell.net"))
        self.node(self.SQUASH, y, _symbol(block.activation, r"\varphi"))
        self.label((self.SQUASH + self.WRITE + 0.1) / 2, y, "$g$", block["cell"])
        start = self.SQUASH + self.RADIUS
        if "input" in block:
            self.line((start, y), (self.WRITE - self.SMALL, y))
            self.node(self.WRITE, y, r"$\times$", small=True)
            start = self.WRITE + self.SMALL
        self.line((start, y), (self.SUM - self.SMALL, y))
        self.label((self.WRITE + self.SUM) / 2, y, r"$i\,g$", block["write"])
        self.node(self.SUM, y, "$+$", small=True)
        self.line((self.SUM + self.SMALL, y), (self.CELL - self.RADIUS, y))
        self.node(self.CELL, y, "$c$")
        self.label(self.SUM + 1.1, y, r"$c(t)$", block["state"])
        self.line((self.CELL + self.RADIUS, y), (self.OUT - self.RADIUS, y))
        self.node(self.OUT, y, _symbol(block.output_activation, r"\psi"))
        self.label((self.OUT + self.READ) / 2 + 0.03, y, r"$\psi$", block["squashed"])
        start = self.OUT + self.RADIUS
        if "output" in block:
            self.line((start, y), (self.READ - self.SMALL, y))
            self.node(self.READ, y, r"$\times$", small=True)
            start = self.READ + self.SMALL
        self.line((start, y), (self.END, y))
        self.label((self.READ + self.END) / 2, y, r"$h(t)$", block["hidden"])

    def _cell_loop(self) -> None:
        """The constant error carousel: c(t-1), through the forget gate, back into the sum."""
        block, y = self.block, self.LOOP
        self.line((self.CELL, self.MAIN - self.RADIUS), (self.CELL, y + 0.3))
        self.box(self.CELL, y, r"$t{-}1$")
        gated = "forget" in block
        self.label(self.SUM + 1.1, y, r"$c(t{-}1)$", block["before"])
        if gated:
            self.line((self.CELL - 0.42, y), (self.SUM + self.SMALL, y))
            self.line((self.SUM, y + self.SMALL), (self.SUM, self.MAIN - self.SMALL))
            self.node(self.SUM, y, r"$\times$", small=True)
        else:
            self.line((self.CELL - 0.42, y), (self.SUM, y), (self.SUM, self.MAIN - self.SMALL))
        name = r"$f\,c(t{-}1)$" if gated else ""
        self.label(self.SUM, (y + self.MAIN) / 2, name, block["keep"], upright=True)

    def _input_gate(self) -> None:
        block, y = self.block, self.INPUT
        if "input" not in block:
            return
        self.line((self.SQUASH, y), (self.WRITE, y), (self.WRITE, self.MAIN + self.SMALL))
        self._gate("input", self.NET, self.SQUASH, y, self.WRITE, "$i$")
        if block.coupled:
            x = (self.WRITE + self.SUM) / 2
            self.dot(self.WRITE, y)
            self.line((self.WRITE, y), (x, y), (x, self.LOOP), (self.SUM - self.SMALL, self.LOOP))
            self.node(x, self.LOOP + 0.9, "$1{-}$", small=True)
            self.label(x + 0.42, self.LOOP - 0.02, "$f$", block["forget"])
        peephole = block.lines.get("input.p")
        if peephole is not None:
            top, x = y + 1.35, self.SUM + 2.05
            self.line(
                (x, self.LOOP), (x, top), (self.NET, top), (self.NET, y + self.SMALL), dashed=True
            )
            self.dot(x, self.LOOP)
            self.label((self.NET + x) / 2 - 1.0, top, r"$p_i\,c(t{-}1)$", peephole)

    def _forget_gate(self) -> None:
        block, y = self.block, self.FORGET
        if "forget.net" not in block:
            return
        self.line((self.FORGET_SQUASH, y), (self.SUM, y), (self.SUM, self.LOOP - self.SMALL))
        self._gate("forget", self.FORGET_NET, self.FORGET_SQUASH, y, self.SUM, "$f$")
        peephole = block.lines.get("forget.p")
        if peephole is not None:
            bottom, x = y - 1.35, self.SUM + 2.05
            net = self.FORGET_NET
            self.line(
                (x, self.LOOP), (x, bottom), (net, bottom), (net, y - self.SMALL), dashed=True
            )
            self.dot(x, self.LOOP)
            self.label((net + x) / 2, bottom, r"$p_f\,c(t{-}1)$", peephole)

    def _output_gate(self) -> None:
        block, y = self.block, self.OUTPUT
        if "output" not in block:
            return
        self.line((self.OUTPUT_SQUASH, y), (self.READ, y), (self.READ, self.MAIN + self.SMALL))
        self._gate("output", self.OUTPUT_NET, self.OUTPUT_SQUASH, y, self.READ, "$o$")
        peephole = block.lines.get("output.p")
        if peephole is not None:
            x = self.CELL
            self.line((x, self.MAIN + self.RADIUS), (x, y - self.SMALL), dashed=True)
            self.label(x, (self.MAIN + y) / 2, r"$p_o\,c(t)$", peephole, upright=True)

    def _legend(self) -> None:
        x, y = self.OUT - 0.3, -1.25
        for offset, color, text in (
            (0.9, FORWARD, "above the line: forward values"),
            (0.45, BACKWARD, r"below the line: backward values, $\partial L/\partial\cdot$"),
            (0.0, SOFT, "dashed: peephole connections"),
        ):
            self.ax.text(x, y + offset, text, color=color, fontsize=9, va="bottom")


def _number(value: float) -> str:
    """Three figures, short enough for a line."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3f}".replace("-", "\u2212")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")


def _symbol(activation: str, letter: str) -> str:
    """How an activation is written into its circle."""
    known = {"tanh": "tanh", "sigmoid": r"$\sigma$", "linear": "id", "relu": "relu"}
    text = known.get(activation, f"${letter}$")
    return rf"$\mathrm{{{text}}}$" if text in ("tanh", "id", "relu") else text
