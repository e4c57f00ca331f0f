"""The contenders: the LSTM put together part by part, each a switch of one cell.

Every row adds the part that the row before fails without; the first has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contender:
    """A row of the tables: `switches` are arguments of `carousel.LSTM`; None: a simple RNN."""

    key: str
    label: str
    year: int
    switches: dict[str, Any] | None = field(default_factory=dict)

    @property
    def is_lstm(self) -> bool:
        return self.switches is not None

    def has(self, part: str) -> bool:
        """Whether the cell has `input_gate`, `forget_gate`, `output_gate` or `peepholes`."""
        return self.switches is not None and bool(self.switches.get(part, part != "peepholes"))


def _gates(*names: str) -> dict[str, Any]:
    return {f"{gate}_gate": gate in names for gate in ("input", "forget", "output")}


RNN = Contender("rnn", "simple RNN", 1990, None)
CEC = Contender("cec", "CEC only", 1997, _gates())
INPUT_GATE = Contender("input_gate", "+ input gate", 1997, _gates("input"))
OUTPUT_GATE = Contender("output_gate", "+ output gate", 1997, _gates("input", "output"))
FORGET_GATE = Contender("forget_gate", "+ forget gate", 2000, _gates("input", "forget", "output"))
PEEPHOLES = Contender(
    "peepholes",
    "+ peepholes",
    2002,
    {**_gates("input", "forget", "output"), "peepholes": True},
)

CONTENDERS = {one.key: one for one in (RNN, CEC, INPUT_GATE, OUTPUT_GATE, FORGET_GATE, PEEPHOLES)}
