"""Networks: run them, look into them, differentiate them, train them, keep them in files."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterable, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Union,
)

import numpy as np

from . import _arrays as arrays
from . import _library as c
from ._values import integer
from .errors import InvalidArgumentError, NotFoundError, ShapeError
from .quantization import PRECISIONS, layer_quantization, measure, precision_code, read_parameter

if TYPE_CHECKING:
    from .layers import Layer
    from .quantization import LayerQuantization, OutputError
    from .stream import Stream
    from .tape import Gradients
    from .trace import GradientFlow, Trace
    from .training import History

__all__ = ["LayerInfo", "Network", "SignalInfo", "StateInfo"]

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
States = list[tuple[np.ndarray, ...]]
_PADDINGS = {None: 0, "hold": 1, "zero": 2}


class SignalInfo(NamedTuple):
    """An input or output. ``shape`` begins with the batch; None: any."""

    name: str
    shape: tuple[int | None, ...]
    is_ids: bool
    vocabulary: int

    @property
    def has_time(self) -> bool:
        return self.is_ids or len(self.shape) == 3

    @property
    def axes(self) -> str:
        """The shape in words: ``(batch, time, 4)``."""
        words = ["batch", "time", "features"] if self.has_time else ["batch", "features"]
        parts = [word if extent is None else str(extent) for word, extent in zip(words, self.shape)]
        return f"({', '.join(parts)})"


class LayerInfo(NamedTuple):
    """A layer of a network; ``kind`` is Keras's class name."""

    name: str
    kind: str
    trainable: bool
    output_shape: tuple[int | None, ...]
    parameter_count: int


class StateInfo(NamedTuple):
    """One state array, (batch, width); ``name`` is h or c, ``direction`` 0, or 1 for backward."""

    layer: str
    name: str
    direction: int
    width: int


class ParameterInfo(NamedTuple):
    """A parameter: where its values lie in the buffer of all, counted in numbers."""

    name: str
    shape: tuple[int, ...]
    offset: int
    trainable: bool

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _shape(info: Any) -> tuple[int | None, ...]:
    return tuple(None if extent < 0 else extent for extent in info.shape[: info.rank])


class Network:
    """A network of layers and its parameters.

    Args:
        layers: the layers, each fed by the one before it; or give ``inputs`` and ``outputs``.
        input_size: features of a step, if the first layer is neither an Input nor an Embedding.
        inputs, outputs: the ends of a graph drawn by calling layers.
        name: what the network is called.
        dtype: ``"float32"``, fast; or ``"float64"``, on the reference path.
        seed: of the initial parameters: Keras's defaults, the same for the same seed.

    Calls from several threads at once are fine while nobody changes the parameters.
    """

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        input_size: Any = None,
        *,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        dtype: Any = "float32",
        seed: int = 0,
    ) -> None:
        from . import _build

        code = arrays.dtype_code(dtype)
        if layers is not None:
            if inputs is not None or outputs is not None:
                raise InvalidArgumentError("give either a list of layers, or inputs and outputs")
            starts, ends = _build.chain(list(layers), input_size)
        elif inputs is None or outputs is None:
            raise InvalidArgumentError("a network needs layers, or inputs and outputs")
        else:
            starts, ends = _build.as_tensors(inputs), _build.as_tensors(outputs)
        self._adopt(_build.build(starts, ends, name, code, _seed(seed)))

    @classmethod
    def from_json(cls, text: str, dtype: Any = "float32", seed: int = 0) -> Network:
        """A network with fresh parameters from what ``to_json()``, or Keras's, gave."""
        lib = c.library()
        handle = c.make(
            lib.carousel_network_from_json,
            lib.carousel_network_free,
            c.encode(text, "JSON text"),
            arrays.dtype_code(dtype),
            _seed(seed),
        )
        return cls._of(handle)

    @classmethod
    def _of(cls, handle: c.Handle) -> Network:
        network = cls.__new__(cls)
        network._adopt(handle)
        return network

    def _adopt(self, handle: c.Handle) -> None:
        """Takes over a new handle and reads what never changes about it."""
        self._handle = handle
        self._lib = lib = c.library()
        info = c.NetworkInfo()
        lib.carousel_network_get_info(handle, ctypes.byref(info))
        #: The network's name.
        self.name = _text(info.name)
        #: The type that it computes in.
        self.dtype: np.dtype[Any] = arrays.NUMPY_DTYPES[info.dtype]
        #: What holds the weights: ``"float32"``, ``"float64"``, ``"bfloat16"`` or ``"int8"``.
        self.precision: str = PRECISIONS[info.precision - 1]
        #: Some layer continues its state from call to call, until ``reset_states``.
        self.stateful = bool(info.is_stateful)
        #: Number of weights, those of moving statistics included.
        self.parameter_count = int(info.weight_count)
        self.inputs = self._signals(lib.carousel_network_get_input, info.input_count)
        self.outputs = self._signals(lib.carousel_network_get_output, info.output_count)
        self.states = [self._state(index) for index in range(info.state_count)]
        self._parameters = [self._parameter(index) for index in range(info.parameter_count)]
        self._layer_count = int(info.layer_count)
        self._views: weakref.ref[Any] | None = None

    def _signals(self, function: Any, count: int) -> list[SignalInfo]:
        signals = []
        for index in range(count):
            info = c.SignalInfo()
            function(self._handle, index, ctypes.byref(info))
            signals.append(
                SignalInfo(_text(info.name), _shape(info), bool(info.is_ids), info.vocabulary)
            )
        return signals

    def _state(self, index: int) -> StateInfo:
        info = c.StateInfo()
        self._lib.carousel_network_get_state(self._handle, index, ctypes.byref(info))
        return StateInfo(_text(info.layer_name), _text(info.name), info.direction, info.width)

    def _parameter(self, index: int) -> ParameterInfo:
        info = c.ParameterInfo()
        self._lib.carousel_network_get_parameter(self._handle, index, ctypes.byref(info))
        shape = tuple(info.shape[: info.rank])
        return ParameterInfo(_text(info.name), shape, info.offset, bool(info.is_trainable))

    # --- describing ----------------------------------------------------------------------------

    @property
    def layers(self) -> list[LayerInfo]:
        """The layers in order, inputs included."""
        found = []
        for index in range(self._layer_count):
            info = c.LayerInfo()
            self._lib.carousel_network_get_layer(self._handle, index, ctypes.byref(info))
            found.append(
                LayerInfo(
                    _text(info.name),
                    _text(info.kind),
                    bool(info.is_trainable),
                    _shape(info),
                    info.weight_count,
                )
            )
        return found

    @property
    def state_widths(self) -> list[tuple[int, ...]]:
        """The widths of ``return_state=True``: one tuple for each recurrent layer."""
        return [tuple(one.width for one in group) for group in self._state_groups()]

    def _state_groups(self) -> list[list[StateInfo]]:
        groups: dict[str, list[StateInfo]] = {}
        for state in self.states:
            groups.setdefault(state.layer, []).append(state)
        return list(groups.values())

    @property
    def input_shape(self) -> Any:
        """Shape of the input, the batch first, None for any; a list if there are several."""
        shapes = [signal.shape for signal in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """Shape of the output, as ``input_shape``."""
        shapes = [signal.shape for signal in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def summary(self, print_fn: Any = print) -> None:
        """Prints a table of the layers, their output shapes and parameter counts."""
        print_fn(self.summary_text())

    def summary_text(self) -> str:
        """The table that ``summary`` prints."""
        return c.read_text(self._lib.carousel_network_summary, self._handle)

    def to_json(self) -> str:
        """The architecture in the form of Keras's ``model.to_json()``."""
        return c.read_text(self._lib.carousel_network_to_json, self._handle)

    def __repr__(self) -> str:
        ends = " -> ".join(
            ", ".join(signal.axes for signal in signals) for signals in (self.inputs, self.outputs)
        )
        return (
            f"<carousel.Network '{self.name}': {ends}, {self.parameter_count:,} parameters, "
            f"{self.dtype}>"
        )

    # --- running -------------------------------------------------------------------------------

    def __call__(
        self,
        x: Any,
        lengths: Any = None,
        initial_state: Any = None,
        return_state: bool = False,
        *,
        mask: Any = None,
        padding: str | None = None,
        training: bool = False,
        seed: int = 0,
        threads: int = 0,
    ) -> Any:
        """Runs whole sequences.

        Args:
            x: (batch, time, features), or (batch, time) of ids, or (batch, features); a list of
                such arrays for a network of several inputs.
            lengths: valid steps of each row. Past its end a row gives zeros, and its state is
                that of its own last step.
            initial_state: one tuple for each recurrent layer, as ``return_state`` gives them.
            return_state: also return the final states: ``(h,)``, ``(h, c)`` or, of both
                directions, ``(h_f, c_f, h_b, c_b)`` for each recurrent layer.
            mask: (batch, time), false where a step is to be ignored.
            padding: ``"hold"`` repeats the last output at masked steps (Keras), ``"zero"`` gives
                zeros (PyTorch).
            training: dropout and the like are active, their randomness from ``seed``.
            threads: the most to use; 0 for ``carousel.threads()``.

        Returns:
            The output, a list of them if there are several; with ``return_state`` a pair of that
            and the states.
        """
        call = _Call(self, x, lengths, initial_state, mask, padding, training, seed, threads)
        outputs = [self._output_like(index, call) for index in range(len(self.outputs))]
        finals = self._empty_states(call.batch) if return_state else []
        if finals:
            call.options.final_states = arrays.describe_all(finals)
            call.options.final_state_count = len(finals)
        self._lib.carousel_network_run(
            self._handle,
            call.inputs,
            len(call.held),
            arrays.describe_all(outputs),
            len(outputs),
            ctypes.byref(call.options),
        )
        result = outputs[0] if len(outputs) == 1 else outputs
        return (result, self._grouped(finals)) if return_state else result

    def predict(self, x: Any, batch_size: int = 32, **options: Any) -> Any:
        """``self(x)`` in batches of ``batch_size`` rows, for more data than fits in memory at once.

        ``lengths``, ``mask`` and ``initial_state`` are cut along with the rows.
        """
        from .training import predict

        return predict(self, x, batch_size, options)

    def reset_states(self) -> None:
        """Stateful layers begin their next call from zero."""
        self._lib.carousel_network_reset_states(self._handle)

    def stream(self, batch: int = 1, threads: int = 1) -> Stream:
        """A batch of sequences that advances step by step. It keeps the present parameters.

        ``threads`` (0: as many as ``carousel.threads()``) divide the units of large float32 LSTM
        layers, which pays from some 128 units on; a step then may wake a thread. The numbers are
        the same, bit for bit.
        """
        from .stream import Stream

        return Stream(self, batch, threads)

    def _output_like(self, index: int, call: _Call) -> np.ndarray:
        struct = c.Array()
        self._lib.carousel_network_get_output_shape(
            self._handle, index, call.batch, call.times, len(self.inputs), ctypes.byref(struct)
        )
        return arrays.empty_like_struct(struct)

    def _empty_states(self, batch: int) -> list[np.ndarray]:
        return [np.empty((batch, state.width), self.dtype) for state in self.states]

    def _grouped(self, flat: Iterable[Any]) -> States:
        """A flat list of states as one tuple for each recurrent layer."""
        items = iter(flat)
        return [tuple(next(items) for _ in group) for group in self._state_groups()]

    def _flat_states(self, states: Any, what: str, batch: int) -> list[np.ndarray]:
        """States in the structure of ``return_state`` as the flat list that the library takes."""
        groups = self._state_groups()
        if len(groups) == 1 and len(states) == len(groups[0]) and not isinstance(states[0], tuple):
            states = [states]  # (h, c) of the only recurrent layer
        if len(states) != len(groups):
            raise ShapeError(
                f"{what}: one entry for each recurrent layer: {len(groups)}, got {len(states)}"
            )
        flat = []
        for group, given in zip(groups, states):
            parts = given if isinstance(given, (tuple, list)) else (given,)
            if len(parts) != len(group):
                names = ", ".join(state.name for state in group)
                raise ShapeError(
                    f"{what} of layer '{group[0].layer}': {len(group)} arrays ({names}), "
                    f"got {len(parts)}"
                )
            for state, part in zip(group, parts):
                shape = (batch, state.width)
                name = f"{what} of layer '{state.layer}'"
                array = arrays.numbers(0.0 if part is None else part, name, self.dtype)
                if part is None or array.ndim < 2:
                    array = np.ascontiguousarray(np.broadcast_to(array, shape))
                if array.shape != shape:
                    raise ShapeError(f"{name}: {state.name} must be {shape}, got {array.shape}")
                flat.append(arrays.readable(array))
        return flat

    # --- parameters ----------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        """All parameters by key, as writable views: ``"lstm/kernel"`` and so on.

        Nothing is copied. What is written counts from the next call on; streams keep the weights
        they were made with until ``update_weights``. Only a network in reduced precision gives
        copies, read-only, of the (rounded) numbers that it computes with.
        """
        if self.precision not in ("float32", "float64"):
            return {
                one.name: read_parameter(self, index, one.shape)
                for index, one in enumerate(self._parameters)
            }
        buffer = self.parameter_buffer()
        return {one.name: self._part(buffer, one) for one in self._parameters}

    def parameter_buffer(self) -> np.ndarray:
        """The memory of all parameters as one flat, writable array, as ``Gradients.buffer``."""
        address, size = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.carousel_network_get_parameter_buffer(
            self._handle, ctypes.byref(address), ctypes.byref(size)
        )
        alive = self._views() if self._views is not None else None
        if alive is not None:
            return np.asarray(alive)
        if not size.value:
            return np.empty(0, self.dtype)
        view, memory = arrays.view(address.value or 0, size.value, self.dtype, self._handle)
        self._views = weakref.ref(memory)
        return view

    @staticmethod
    def _part(buffer: np.ndarray, one: ParameterInfo) -> np.ndarray:
        return buffer[one.offset : one.offset + one.size].reshape(one.shape)

    def _refresh(self) -> None:
        """While somebody holds a view of the parameters, they may have changed."""
        if self._views is not None:
            self._lib.carousel_network_parameters_changed(self._handle)
            if self._views() is None:
                self._views = None

    def initialize(self, seed: int = 0) -> None:
        """Sets all parameters to what a new network with this seed begins with."""
        self._lib.carousel_network_initialize(self._handle, _seed(seed))

    # --- reduced precision ---------------------------------------------------------------------

    def quantize(self, precision: str) -> Network:
        """A network of its own, for inference, with weights in ``"bfloat16"`` (half the memory) or
        ``"int8"`` (a quarter); ``"float32"`` gives back a network of the rounded weights.

        Rounded are the matrices of recurrent and Dense layers and the tables of embeddings. What
        is multiplied with them is rounded to 16 bits for ``"int8"``, and to bfloat16 for
        ``"bfloat16"`` where the processor multiplies pairs of it (``instruction_set()`` is
        ``"avx512_bf16"``).
        ``quantization`` and ``measure_error`` tell how far weights and outputs are from what they
        were. Such a network cannot be trained.
        """
        handle = c.make(
            self._lib.carousel_network_quantize,
            self._lib.carousel_network_free,
            self._handle,
            precision_code(precision),
        )
        return Network._of(handle)

    def quantization(self) -> list[LayerQuantization]:
        """For each layer that has weights: how it holds them, and what rounding did to them."""
        return [
            layer_quantization(self, index, layer.name)
            for index, layer in enumerate(self.layers)
            if layer.parameter_count
        ]

    def measure_error(
        self,
        reference: Network,
        x: Any,
        lengths: Any = None,
        initial_state: Any = None,
        *,
        mask: Any = None,
        padding: str | None = None,
        threads: int = 0,
    ) -> Any:
        """Runs this network and another of the same architecture and compares their outputs.

        Args:
            reference: usually the float32 network that this one was made from.
            x, lengths, initial_state, mask, padding, threads: as in a call.

        Returns:
            An ``OutputError``; a list of them if there are several outputs.
        """
        call = _Call(self, x, lengths, initial_state, mask, padding, False, 0, threads)
        reference._refresh()
        errors: list[OutputError] = measure(self, reference, call)
        return errors[0] if len(errors) == 1 else errors

    # --- files ---------------------------------------------------------------------------------

    def save(
        self,
        path: Path,
        format: str = "carousel",
        *,
        prefix: str | None = None,
        compression: int = 0,
    ) -> None:
        """Writes the network to a file; an older one of that name is replaced in one step.

        Args:
            path: where to.
            format: ``carousel``, ``keras-h5``, ``keras``, ``keras-weights``,
                ``keras-legacy-weights``, ``torch``, ``chainer``, ``onnx`` or ``tf1``. What a format
                cannot express is refused before anything is written.
            prefix: what names in a torch, chainer or tf1 file begin with; ``""``: no prefix.
            compression: gzip level, 1 to 9; 0 for none.
        """
        self._refresh()
        options = c.SaveOptions(
            format=c.encode(format, "format"),
            prefix=c.encode(prefix, "prefix"),
            compression=integer(compression, "compression"),
        )
        self._lib.carousel_network_save(self._handle, c.encode_path(path), ctypes.byref(options))

    def load_weights(
        self,
        path: Path,
        format: str | None = None,
        forget_bias: float | Sequence[float] | None = None,
        *,
        prefix: str | None = None,
        allow_non_finite: bool = False,
        untrusted: bool = False,
    ) -> None:
        """Fills all parameters from a file of any layout, bound by name.

        After an error the network is as it was.

        Args:
            path: the file.
            format: its layout, recognised by content unless given.
            forget_bias: of TF1 files, which do not store it: one value, or one for each layer.
            prefix: arrays are named with this in front (``"encoder."``).
            allow_non_finite: accept weights that are NaN or infinite.
            untrusted: as for :func:`carousel.load`.
        """
        options = c.WeightsOptions(
            format=c.encode(format, "format"),
            prefix=c.encode(prefix, "prefix"),
            allow_non_finite=bool(allow_non_finite),
            untrusted=bool(untrusted),
        )
        if forget_bias is not None:
            biases = np.atleast_1d(np.asarray(forget_bias, np.float64))
            options.forget_bias = (ctypes.c_double * len(biases))(*biases)
            options.forget_bias_count = len(biases)
        self._lib.carousel_network_load_weights(
            self._handle, c.encode_path(path), ctypes.byref(options)
        )

    def copy(self) -> Network:
        """A network of its own with the same architecture, parameters and states."""
        self._refresh()
        lib = self._lib
        return Network._of(
            c.make(lib.carousel_network_copy, lib.carousel_network_free, self._handle)
        )

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Network:
        return self.copy()

    def __reduce__(self) -> Any:
        """Networks travel to worker processes as architecture and parameters."""
        return _restore, (self.to_json(), self.dtype.name, self.parameter_buffer().tobytes())

    # --- training ------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        loss: Any = "mse",
        optimizer: Any = "adam",
        epochs: int = 1,
        batch_size: int = 32,
        *,
        validation_data: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        lengths: Any = None,
        mask: Any = None,
        sample_weight: Any = None,
        callbacks: Sequence[Any] = (),
        progress: bool = True,
        **options: Any,
    ) -> History:
        """Trains the network.

        Args:
            x: as in a call; row b of every array belongs to example b.
            y: targets, shaped as the output; or, for an output at every step, (batch, features),
                to be met at each row's last step; class numbers for sparse cross-entropy.
            loss: a name (``"mse"``) or an object of ``carousel.losses``.
            optimizer: a name or an object such as ``carousel.Adam(1e-3)``.
            epochs, batch_size, shuffle: how often, in what portions, in what order.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)``, or a dict with ``lengths``.
            validation_split: the share of the rows, the last ones, to validate with.
            lengths, mask: as in a call.
            sample_weight: factors of the loss, (batch,) or (batch, time).
            callbacks: functions of an ``Epoch``, ``EarlyStopping``, ``Checkpoint``, ``Callback``.
            progress: a bar, where there is somebody to look at it.
            **options: more of :class:`carousel.Trainer`: ``metrics``, ``schedule``, ``clip_norm``,
                ``clip_value``, ``l1``, ``l2``, ``class_weight``, ``freeze``, ``seed``, ``threads``,
                ``truncate_every``, ...

        Ctrl-C ends it after the present batch, with the weights as they are.

        Returns:
            The history: ``history["loss"]`` has one value for each epoch.
        """
        from .training import Trainer

        trainer = Trainer(self, loss, optimizer, **options)
        return trainer.fit(
            x,
            y,
            epochs,
            batch_size,
            validation_data=validation_data,
            validation_split=validation_split,
            shuffle=shuffle,
            lengths=lengths,
            mask=mask,
            sample_weight=sample_weight,
            callbacks=callbacks,
            progress=progress,
        )

    def evaluate(
        self,
        x: Any,
        y: Any,
        loss: Any = "mse",
        batch_size: int = 32,
        *,
        metrics: Sequence[str] = (),
        lengths: Any = None,
        mask: Any = None,
        sample_weight: Any = None,
        **options: Any,
    ) -> dict[str, float]:
        """Loss and metrics of a data set: ``{"loss": ..., "accuracy": ...}``."""
        from .training import Trainer

        trainer = Trainer(self, loss, metrics=metrics, **options)
        return trainer.evaluate(
            x, y, batch_size, lengths=lengths, mask=mask, sample_weight=sample_weight
        )

    # --- gradients and a look inside -----------------------------------------------------------

    def backpropagate(
        self,
        x: Any,
        output_gradient: Any = None,
        initial_state: Any = None,
        state_gradient: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        padding: str | None = None,
        training: bool = False,
        seed: int = 0,
        threads: int = 0,
    ) -> Gradients:
        """Back-propagation through time for any loss of your own.

        Args:
            x, initial_state, lengths, mask, padding, training, seed, threads: as in a call.
            output_gradient: dL/doutput, of the output's shape (a list for several outputs); or a
                function that is given the output and returns it; None for zero.
            state_gradient: dL/dfinal states, in the structure of ``return_state``; None for zero.

        Returns:
            output, states, and the derivatives with respect to parameters, input and initial
            states.
        """
        from .tape import backpropagate

        call = _Call(self, x, lengths, initial_state, mask, padding, training, seed, threads)
        return backpropagate(self, call, output_gradient, state_gradient)

    def trace(
        self,
        x: Any,
        y: Any = None,
        loss: Any = "mse",
        *,
        output_gradient: Any = None,
        state_gradient: Any = None,
        lengths: Any = None,
        initial_state: Any = None,
        mask: Any = None,
        padding: str | None = None,
        training: bool = False,
        seed: int = 0,
        threads: int = 0,
    ) -> Trace:
        """Every gate and state of every recurrent layer at every step.

        With targets ``y`` (and a ``loss``), or with an ``output_gradient``, the trace also holds
        the deltas of the backward pass.
        """
        from .tape import trace

        call = _Call(self, x, lengths, initial_state, mask, padding, training, seed, threads)
        return trace(self, call, y, loss, output_gradient, state_gradient)

    def gradient_flow(
        self,
        x: Any,
        y: Any = None,
        loss: Any = "mse",
        *,
        output_gradient: Any = None,
        state_gradient: Any = None,
        lengths: Any = None,
        initial_state: Any = None,
        mask: Any = None,
        padding: str | None = None,
        threads: int = 0,
    ) -> GradientFlow:
        """How much error reaches each step: the norms of dL/dc(t) and dL/dh(t) by step."""
        from .tape import gradient_flow

        call = _Call(self, x, lengths, initial_state, mask, padding, False, 0, threads)
        return gradient_flow(self, call, y, loss, output_gradient, state_gradient)

    def tape_size(self, batch: int, time: int) -> int:
        """Bytes that a gradient of sequences of this size needs, without taking them."""
        times = arrays.int64_array([time if one.has_time else 1 for one in self.inputs])
        size = ctypes.c_size_t()
        self._lib.carousel_network_get_tape_size(
            self._handle,
            integer(batch, "batch"),
            times,
            len(self.inputs),
            ctypes.byref(size),
        )
        return size.value


def _seed(seed: Any) -> int:
    return integer(seed, "seed") % 2**64


def _restore(text: str, dtype: str, values: bytes) -> Network:
    network = Network.from_json(text, dtype)
    network.parameter_buffer()[:] = np.frombuffer(values, dtype)
    return network


class _Call:
    """The arguments of one call, checked and as the library takes them; keeps the arrays alive."""

    def __init__(
        self,
        network: Network,
        x: Any,
        lengths: Any,
        initial_state: Any,
        mask: Any,
        padding: str | None,
        training: bool,
        seed: int,
        threads: int,
    ) -> None:
        self.network = network
        network._refresh()
        self.held = self._inputs(x)
        self.inputs = arrays.describe_all(self.held)
        self.batch = self.held[0].shape[0]
        self.times = arrays.int64_array(
            [
                array.shape[1] if signal.has_time else 1
                for array, signal in zip(self.held, network.inputs)
            ]
        )
        if padding not in _PADDINGS:
            raise InvalidArgumentError(f"padding must be 'hold' or 'zero', not {padding!r}")
        self.options = c.RunOptions(
            padding=_PADDINGS[padding],
            threads=integer(threads, "threads"),
            training=bool(training),
            seed=_seed(seed),
        )
        if lengths is not None:
            self._set_lengths(lengths)
        if mask is not None:
            self._set_mask(mask)
        if initial_state is not None:
            self._states = network._flat_states(initial_state, "initial_state", self.batch)
            self.options.initial_states = arrays.describe_all(self._states)
            self.options.initial_state_count = len(self._states)

    def _inputs(self, given: Any) -> list[np.ndarray]:
        signals = self.network.inputs
        if isinstance(given, dict):
            missing = [signal.name for signal in signals if signal.name not in given]
            if missing:
                raise NotFoundError(f"there is no input named '{missing[0]}' in the dict")
            given = [given[signal.name] for signal in signals]
        elif len(signals) == 1:
            given = [given]
        elif not isinstance(given, (list, tuple)) or len(given) != len(signals):
            count = len(given) if isinstance(given, (list, tuple)) else "one array"
            raise ShapeError(f"the network has {len(signals)} inputs: give a list, got {count}")
        return [self._input(signal, value) for signal, value in zip(signals, given)]

    def _input(self, signal: SignalInfo, value: Any) -> np.ndarray:
        name = f"input '{signal.name}'"
        array = arrays.numbers(value, name, self.network.dtype, integral=signal.is_ids)
        if array.ndim != len(signal.shape):
            raise ShapeError(f"{name} must be {signal.axes}, got an array of shape {array.shape}")
        return arrays.readable(array)

    def _set_lengths(self, given: Any) -> None:
        lengths = np.asarray(given)
        if lengths.shape != (self.batch,):
            raise ShapeError(
                f"lengths: one for each of the {self.batch} rows, got shape {lengths.shape}"
            )
        whole = lengths.astype(np.int64) if lengths.dtype.kind in "iuf" else lengths
        if lengths.dtype.kind not in "iuf" or not np.array_equal(whole, lengths):
            raise InvalidArgumentError("lengths must be whole numbers")
        self._lengths = np.ascontiguousarray(whole)
        self.options.lengths = self._lengths.ctypes.data

    def _set_mask(self, given: Any) -> None:
        mask = np.asarray(given)
        time = max(self.times)
        if mask.shape != (self.batch, time):
            raise ShapeError(f"mask must be (batch, time) = {(self.batch, time)}, got {mask.shape}")
        self._mask = np.ascontiguousarray(mask != 0).view(np.uint8)
        self.options.mask = self._mask.ctypes.data
