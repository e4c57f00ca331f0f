"""Recorded passes: gradients, traces and gradient flow. ``Network`` offers what is here."""

from __future__ import annotations

import ctypes
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays as arrays
from . import _library as c
from .errors import InvalidArgumentError, NotFoundError, ShapeError
from .trace import GradientFlow, LayerFlow, LayerTrace, Trace

if TYPE_CHECKING:
    from .network import Network, States, _Call

__all__ = ["Gradients"]

#: The values of carousel_trace_field, under the names of LayerTrace.
_FIELDS = {
    "input_gate": 0,
    "forget_gate": 1,
    "cell_input": 2,
    "output_gate": 3,
    "cell": 4,
    "hidden": 5,
    "update_gate": 6,
    "reset_gate": 7,
    "candidate": 8,
    "delta_input_gate": 9,
    "delta_forget_gate": 10,
    "delta_cell_input": 11,
    "delta_output_gate": 12,
    "delta_cell": 13,
    "delta_hidden": 14,
    "input": 17,
}
_CELL_NORM, _HIDDEN_NORM = 15, 16


@dataclass
class Gradients:
    """The result of ``Network.backpropagate``."""

    #: What the network gave, and its final states.
    output: Any
    states: States
    #: dL/dparameters, under the keys of ``Network.parameters()``.
    parameters: dict[str, np.ndarray]
    #: dL/dinput; zero for ids. A list for several inputs.
    input: Any
    #: dL/dinitial states, in the structure of ``states``.
    initial_state: States
    #: The memory of ``parameters`` as one flat array, laid out as ``parameter_buffer()``: what an
    #: MPI_Allreduce adds up.
    buffer: np.ndarray


class _Tape:
    """A forward pass that was recorded."""

    def __init__(self, network: Network, call: _Call, gradient_flow: bool = False) -> None:
        lib = c.library()
        options = c.RecordOptions(
            run=ctypes.pointer(call.options), gradient_flow=bool(gradient_flow)
        )
        self.network, self.call, self.lib = network, call, lib
        self.handle = c.make(
            lib.carousel_network_record,
            lib.carousel_tape_free,
            network._handle,
            call.inputs,
            len(call.held),
            ctypes.byref(options),
        )
        self.outputs = [self._output(index) for index in range(len(network.outputs))]

    def _output(self, index: int) -> np.ndarray:
        array = self.network._output_like(index, self.call)
        self.lib.carousel_tape_get_output(self.handle, index, arrays.describe_all([array]))
        return array

    @property
    def output(self) -> Any:
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs

    def states(self, function: Any) -> States:
        """Final states, or the derivatives with respect to initial ones."""
        flat = self.network._empty_states(self.call.batch)
        for index, array in enumerate(flat):
            function(self.handle, index, arrays.describe_all([array]))
        return self.network._grouped(flat)

    def backward(self, output_gradient: Any, state_gradient: Any) -> None:
        gradients = self._output_gradients(output_gradient)
        states: list[np.ndarray] = []
        if state_gradient is not None:
            states = self.network._flat_states(state_gradient, "state_gradient", self.call.batch)
        self.lib.carousel_tape_backward(
            self.handle,
            arrays.describe_all(gradients),
            len(gradients),
            arrays.describe_all(states) if states else None,
            len(states),
        )

    def _output_gradients(self, given: Any) -> list[np.ndarray]:
        if callable(given):
            given = given(self.output)
        several = given if isinstance(given, (list, tuple)) else [given]
        if given is None:
            several = [None] * len(self.outputs)
        if len(several) != len(self.outputs):
            raise ShapeError(
                f"output_gradient: one for each of the {len(self.outputs)} outputs, "
                f"got {len(several)}"
            )
        gradients = []
        for output, value in zip(self.outputs, several):
            if value is None:
                value = np.zeros_like(output)
            array = arrays.numbers(value, "output_gradient", self.network.dtype)
            if array.shape != output.shape:
                raise ShapeError(
                    f"output_gradient must have the output's shape {output.shape}, "
                    f"got {array.shape}"
                )
            gradients.append(arrays.readable(array))
        return gradients

    def parameter_gradients(self) -> np.ndarray:
        address, size = ctypes.c_void_p(), ctypes.c_size_t()
        self.lib.carousel_tape_get_parameter_gradients(
            self.handle, ctypes.byref(address), ctypes.byref(size)
        )
        if not size.value:
            return np.empty(0, self.network.dtype)
        return arrays.view(address.value or 0, size.value, self.network.dtype, self.handle)[0]

    def input_gradients(self) -> list[np.ndarray]:
        gradients = []
        for index, held in enumerate(self.call.held):
            gradient = np.empty(held.shape, self.network.dtype)
            self.lib.carousel_tape_get_input_gradient(
                self.handle, index, arrays.describe_all([gradient])
            )
            gradients.append(gradient)
        return gradients

    def field(self, layer: str, field: int, direction: int) -> np.ndarray | None:
        """One array of a layer's trace; None if the layer has no such thing."""
        struct = c.Array()
        name = c.encode(layer, "layer name")
        try:
            self.lib.carousel_tape_get_trace_shape(
                self.handle, name, field, direction, ctypes.byref(struct)
            )
        except (NotFoundError, InvalidArgumentError):
            return None
        array = arrays.empty_like_struct(struct)
        self.lib.carousel_tape_get_trace(
            self.handle, name, field, direction, arrays.describe_all([array])
        )
        return array


def backpropagate(
    network: Network, call: _Call, output_gradient: Any, state_gradient: Any
) -> Gradients:
    tape = _Tape(network, call)
    tape.backward(output_gradient, state_gradient)
    buffer = tape.parameter_gradients()
    inputs = tape.input_gradients()
    return Gradients(
        output=tape.output,
        states=tape.states(tape.lib.carousel_tape_get_final_state),
        parameters={one.name: network._part(buffer, one) for one in network._parameters},
        input=inputs[0] if len(inputs) == 1 else inputs,
        initial_state=tape.states(tape.lib.carousel_tape_get_initial_state_gradient),
        buffer=buffer,
    )


def _loss_gradient(tape: _Tape, y: Any, loss: Any, output_gradient: Any) -> tuple[Any, Any]:
    """The loss (None if only its gradient is given) and dL/doutput."""
    if y is None:
        return None, output_gradient
    if output_gradient is not None:
        raise InvalidArgumentError("give either targets y, or an output_gradient")
    from .losses import gradient

    return gradient(loss, tape.output, y)


# --- traces ------------------------------------------------------------------------------------


def _directions(network: Network) -> list[tuple[str, str, int]]:
    """Key in the trace, layer and direction of every walk over the sequence, in order."""
    walks = dict.fromkeys((one.layer, one.direction) for one in network.states)
    both = {layer for layer, direction in walks if direction == 1}
    names = ("forward", "backward")
    return [
        (f"{layer}/{names[direction]}" if layer in both else layer, layer, direction)
        for layer, direction in walks
    ]


def trace(
    network: Network,
    call: _Call,
    y: Any,
    loss: Any,
    output_gradient: Any,
    state_gradient: Any,
) -> Trace:
    has_deltas = not (y is None and output_gradient is None and state_gradient is None)
    # Only a pass that records the flow of gradients keeps the deltas of all steps.
    tape = _Tape(network, call, gradient_flow=has_deltas)
    if has_deltas:
        _, gradient = _loss_gradient(tape, y, loss, output_gradient)
        tape.backward(gradient, state_gradient)
    settings = _settings(network)
    parameters = {name: values.copy() for name, values in network.parameters().items()}
    layers = {}
    for key, layer, direction in _directions(network):
        options = settings.get((layer, direction), {})
        walks_back = direction == 1 or bool(options.get("go_backwards"))
        one = LayerTrace(key, "simple_rnn", options=options, walks_back=walks_back)
        for name, field in _FIELDS.items():
            if name.startswith("delta_") and not has_deltas:
                continue
            setattr(one, name, tape.field(layer, field, direction))
        one.kind = (
            "lstm" if one.cell is not None else "gru" if one.candidate is not None else one.kind
        )
        prefix = f"{key}/"
        one.weights = {
            name[len(prefix) :]: values
            for name, values in parameters.items()
            if name.startswith(prefix)
        }
        layers[key] = one
    _set_initial_states(tape, layers)
    return Trace(layers, tape.output)


def _set_initial_states(tape: _Tape, layers: dict[str, LayerTrace]) -> None:
    flat = tape.states(tape.lib.carousel_tape_get_initial_state)
    walks = _directions(tape.network)
    arrays_of = iter([array for group in flat for array in group])
    for key, _, _ in walks:
        one = layers[key]
        one.initial_hidden = next(arrays_of)
        if one.kind == "lstm":
            one.initial_cell = next(arrays_of)


_LSTM_DEFAULTS = {
    "input_gate": True,
    "forget_gate": True,
    "output_gate": True,
    "coupled_gates": False,
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "go_backwards": False,
}


def _settings(network: Network) -> dict[tuple[str, int], dict[str, Any]]:
    """The arguments of every recurrent layer by name and direction, from the architecture's JSON:
    Keras's, or Carousel's own where Keras lacks the words."""
    found: dict[tuple[str, int], dict[str, Any]] = {}

    def keep(name: str, direction: int, options: dict[str, Any]) -> None:
        options = {**_LSTM_DEFAULTS, **options}
        for part in ("activation", "recurrent_activation", "output_activation"):
            if isinstance(options.get(part), dict):  # one with constants of its own
                options[part] = next((v for v in options[part].values() if isinstance(v, str)), "")
        options.setdefault("output_activation", options["activation"])  # one and the same in Keras
        found[name, direction] = options

    def visit(node: Any) -> None:
        if isinstance(node, list):
            for value in node:
                visit(value)
        if not isinstance(node, dict):
            return
        if "class" in node:
            for direction, part in ((0, "recurrent"), (0, "forward"), (1, "backward")):
                if isinstance(node.get(part), dict):
                    walk = node[part]
                    keep(node["name"], direction, {**walk, **walk["cell"]})
        config = node.get("config")
        if "class_name" in node and isinstance(config, dict) and "name" in config:
            inner = config.get("layer", {}).get("config", config)
            for direction in (0, 1):
                keep(config["name"], direction, inner)
        for value in node.values():
            visit(value)

    visit(json.loads(network.to_json()))
    return found


def gradient_flow(
    network: Network,
    call: _Call,
    y: Any,
    loss: Any,
    output_gradient: Any,
    state_gradient: Any,
) -> GradientFlow:
    tape = _Tape(network, call, gradient_flow=True)
    value, gradient = _loss_gradient(tape, y, loss, output_gradient)
    if gradient is None and state_gradient is None:
        raise InvalidArgumentError("gradient_flow needs targets y, or an output_gradient")
    tape.backward(gradient, state_gradient)
    layers = {}
    for key, layer, direction in _directions(network):
        hidden = tape.field(layer, _HIDDEN_NORM, direction)
        cell = tape.field(layer, _CELL_NORM, direction)
        if hidden is None:
            continue
        layers[key] = LayerFlow(key, hidden, cell)
    return GradientFlow(layers, value)
