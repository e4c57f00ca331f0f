"""The numbers in an LSTM block at one step, for one unit: what :func:`carousel.plot.block` draws.

Every line of the drawing carries a forward value and the loss's derivative with respect to it.
Both follow from what a trace holds (gates, states and their deltas) by the equations of the cell;
nothing is run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import InvalidArgumentError, NotFoundError, UnsupportedModelError
from .trace import LayerTrace, Trace

GATES = ("input", "forget", "cell", "output")


@dataclass
class Line:
    """One line: the value that flows forward and the derivative that flows back."""

    forward: float
    backward: float | None = None


@dataclass
class Block:
    """All lines of one unit's block at one step, by name; those that the cell lacks are missing."""

    title: str
    activation: str
    output_activation: str
    recurrent_activation: str
    coupled: bool
    lines: dict[str, Line] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Line:
        return self.lines[name]

    def __contains__(self, name: str) -> bool:
        return name in self.lines


def pick_layer(trace: Trace, layer: str | None) -> LayerTrace:
    """The named layer, or the first LSTM."""
    if layer is not None:
        if layer not in trace:
            raise NotFoundError(f"the trace has no layer '{layer}': it has {', '.join(trace)}")
        picked = trace[layer]
        if picked.kind != "lstm":
            raise UnsupportedModelError(f"layer '{layer}' is a {picked.kind}: only LSTMs are drawn")
        return picked
    for picked in trace.values():
        if picked.kind == "lstm":
            return picked
    raise NotFoundError("the trace has no LSTM layer")


def block_values(
    trace: Trace, t: int, layer: str | None = None, unit: int = 0, batch: int = 0
) -> Block:
    """The block of one unit at step ``t`` (of the input, from 0; negative: from the end)."""
    one = pick_layer(trace, layer)
    cells = one.require("cell")
    rows, steps, units = cells.shape
    index = t + steps if t < 0 else t
    for what, value, limit in (("step", index, steps), ("unit", unit, units), ("row", batch, rows)):
        if not 0 <= value < limit:
            raise InvalidArgumentError(
                f"there is no {what} {value}: layer '{one.name}' has {limit}"
            )
    return _Reader(one, index, unit, batch).read()


class _Reader:
    """Reads one unit's numbers at one step out of a layer's trace."""

    def __init__(self, one: LayerTrace, t: int, unit: int, batch: int) -> None:
        self.one, self.t, self.unit, self.batch = one, t, unit, batch
        #: The step that the layer did before this one.
        self.before = t + 1 if one.walks_back else t - 1

    def at(self, name: str) -> float | None:
        array = getattr(self.one, name)
        return None if array is None else float(array[self.batch, self.t, self.unit])

    def state_before(self, name: str) -> np.ndarray:
        """h or c as the layer found it when it came to this step."""
        sequence = self.one.require(name)
        if 0 <= self.before < sequence.shape[1]:
            state: np.ndarray = sequence[self.batch, self.before]
        else:
            state = self.one.require(f"initial_{name}")[self.batch]
        return state

    def read(self) -> Block:
        one = self.one
        options: dict[str, Any] = one.options
        block = Block(
            title=(
                f"{one.name}: unit {self.unit}, step {self.t + 1} of {one.require('cell').shape[1]}"
            ),
            activation=options["activation"],
            output_activation=options["output_activation"],
            recurrent_activation=options["recurrent_activation"],
            coupled=options["coupled_gates"],
        )
        lines = block.lines
        c_before = float(self.state_before("cell")[self.unit])
        cell = self.at("cell")
        assert cell is not None
        gates = self._gates(lines, c_before, cell)
        self._carousel(lines, gates, c_before, cell)
        return block

    def _gates(self, lines: dict[str, Line], c_before: float, cell: float) -> dict[str, float]:
        """The nets of the four summing points; returns the gates' outputs."""
        one, unit = self.one, self.unit
        x = one.require("input")[self.batch, self.t]
        h_before = self.state_before("hidden")
        outputs: dict[str, float] = {}
        for gate in GATES:
            name = "cell_input" if gate == "cell" else f"{gate}_gate"
            value = self.at(name)
            column = one.columns(gate)
            if value is None or column is None:
                continue
            outputs[gate] = value
            delta = self.at(f"delta_{name}")
            parts = {
                "x": float(x @ one.weights["kernel"][:, column][:, unit]),
                "h": float(h_before @ one.weights["recurrent_kernel"][:, column][:, unit]),
            }
            if "bias" in one.weights:
                parts["b"] = float(one.weights["bias"][column][unit])
            peephole = one.weights.get(f"peephole_{gate}")
            if peephole is not None and peephole.ndim == 1:
                seen = cell if gate == "output" else c_before
                parts["p"] = float(peephole[unit]) * seen
            for part, forward in parts.items():
                lines[f"{gate}.{part}"] = Line(forward, delta)
            lines[f"{gate}.net"] = Line(sum(parts.values()), delta)
            lines[gate] = Line(value)
        return outputs

    def _carousel(
        self, lines: dict[str, Line], gates: dict[str, float], c_before: float, cell: float
    ) -> None:
        """Everything between the gates: c(t) = f c(t-1) + i g, m(t) = o psi(c(t))."""
        i, g, o = gates.get("input", 1.0), gates["cell"], gates.get("output", 1.0)
        f = 1.0 - i if self.one.options["coupled_gates"] else gates.get("forget", 1.0)
        squashed = float(self.one.squash(np.float64(cell)))
        dc, dm = self.at("delta_cell"), self._delta_output()

        def back(*factors: float | None) -> float | None:
            product = 1.0
            for factor in factors:
                if factor is None:
                    return None
                product *= factor
            return product

        lines["cell"].backward = back(dc, i)
        if "input" in gates:
            lines["input"].backward = back(dc, g)
        lines["write"] = Line(i * g, dc)
        lines["keep"] = Line(f * c_before, dc)
        lines["before"] = Line(c_before, back(dc, f))
        lines["forget"] = Line(f, back(dc, c_before))
        if "forget" not in gates and not self.one.options["coupled_gates"]:
            del lines["forget"]
        if self.one.options["coupled_gates"]:
            lines["input"].backward = back(dc, g - c_before)
        lines["state"] = Line(cell, dc)
        lines["squashed"] = Line(squashed, back(dm, o))
        if "output" in gates:
            lines["output"].backward = back(dm, squashed)
        lines["hidden"] = Line(o * squashed, dm)

    def _delta_output(self) -> float | None:
        """dL/dm(t) of this unit: dL/dh(t), through the projection if there is one."""
        deltas = self.one.delta_hidden
        if deltas is None:
            return None
        delta = deltas[self.batch, self.t]
        projection = self.one.weights.get("projection")
        if projection is not None:
            return float(projection[self.unit] @ delta)
        return float(delta[self.unit])
