"""What a network did, step by step: the result of ``Network.trace``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

from .errors import NotFoundError

__all__ = ["GradientFlow", "LayerFlow", "LayerTrace", "Trace"]

Array = np.ndarray
_GATES = (
    *("input_gate", "forget_gate", "cell_input", "output_gate"),
    *("update_gate", "reset_gate", "candidate"),
)


@dataclass
class LayerTrace:
    """One direction of a recurrent layer: arrays (batch, time, units), in the input's time order.

    A gate that the cell lacks is None. The deltas are derivatives of the loss; they are there if
    the trace was asked for them. Those of gates are with respect to the gate's pre-activation.
    """

    name: str
    #: ``"lstm"``, ``"gru"`` or ``"simple_rnn"``.
    kind: str
    input: Array | None = None
    hidden: Array | None = None
    initial_hidden: Array | None = None

    # LSTM
    input_gate: Array | None = None
    forget_gate: Array | None = None
    cell_input: Array | None = None
    output_gate: Array | None = None
    cell: Array | None = None
    initial_cell: Array | None = None
    # GRU
    update_gate: Array | None = None
    reset_gate: Array | None = None
    candidate: Array | None = None

    delta_input_gate: Array | None = None
    delta_forget_gate: Array | None = None
    delta_cell_input: Array | None = None
    delta_output_gate: Array | None = None
    delta_cell: Array | None = None
    delta_hidden: Array | None = None
    delta_update_gate: Array | None = None
    delta_reset_gate: Array | None = None
    delta_candidate: Array | None = None

    #: The layer's parameters as they were, under the last part of their keys.
    weights: dict[str, Array] = field(default_factory=dict)
    #: The layer's arguments.
    options: dict[str, Any] = field(default_factory=dict)
    #: The layer walked from the last step to the first (``go_backwards``, or the backward
    #: half of a Bidirectional).
    walks_back: bool = False

    @property
    def gates(self) -> dict[str, Array]:
        """The gates (and cell input or candidate) that the cell has, by name."""
        found = {name: getattr(self, name) for name in _GATES}
        return {name: array for name, array in found.items() if array is not None}

    def require(self, name: str) -> Array:
        """An array that must be there."""
        array: Array | None = getattr(self, name)
        if array is None:
            raise NotFoundError(f"the trace of layer '{self.name}' has no {name}")
        return array

    def columns(self, gate: str) -> slice | None:
        """The columns of an LSTM gate in kernel, recurrent kernel and bias."""
        has = {
            "input": self.options["input_gate"],
            "forget": self.options["forget_gate"] and not self.options["coupled_gates"],
            "cell": True,
            "output": self.options["output_gate"],
        }
        if not has[gate]:
            return None
        blocks = [name for name, present in has.items() if present]
        units = self.options["units"]
        start = blocks.index(gate) * units
        return slice(start, start + units)

    @property
    def squash(self) -> Callable[[Any], Any]:
        """The output activation as a NumPy function."""
        return activation_function(self.options["output_activation"])


def activation_function(name: str) -> Callable[[Any], Any]:
    """The activations that cell states pass through, for drawings."""
    functions: dict[str, Callable[[Any], Any]] = {
        "linear": lambda x: x,
        "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "relu": lambda x: np.maximum(x, 0),
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "softplus": lambda x: np.logaddexp(x, 0),
        "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    }
    if name not in functions:
        raise NotFoundError(f"no drawing knows the activation '{name}'")
    return functions[name]


def _missing(name: Any, layers: dict[str, Any]) -> KeyError:
    return KeyError(f"no recurrent layer {name!r}; there are: {', '.join(layers) or 'none'}")


class Trace(Mapping[str, LayerTrace]):
    """Recurrent layers by name; the directions of a Bidirectional are ``name/forward`` and
    ``name/backward``."""

    def __init__(self, layers: dict[str, LayerTrace], output: Any = None) -> None:
        self._layers = layers
        #: What the network gave.
        self.output = output

    def __getitem__(self, name: str) -> LayerTrace:
        try:
            return self._layers[name]
        except KeyError:
            raise _missing(name, self._layers) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"<Trace of {', '.join(self._layers)}>"


@dataclass
class LayerFlow:
    """How much error reached each step: norms over batch and units, one value per step."""

    name: str
    #: ||dL/dh(t)||, (time,).
    hidden: Array
    #: ||dL/dc(t)||, (time,); None for cells without a cell state.
    cell: Array | None = None


class GradientFlow(Mapping[str, LayerFlow]):
    """The norms of the error by step, for every recurrent layer; result of ``gradient_flow``."""

    def __init__(self, layers: dict[str, LayerFlow], loss: float | None = None) -> None:
        self._layers = layers
        #: The loss whose error it is.
        self.loss = loss

    def __getitem__(self, name: str) -> LayerFlow:
        try:
            return self._layers[name]
        except KeyError:
            raise _missing(name, self._layers) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"<GradientFlow of {', '.join(self._layers)}>"
