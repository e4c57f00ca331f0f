"""Streams: sequences that advance step by step, in real time."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays as arrays
from . import _library as c
from ._values import integer
from .errors import ShapeError

if TYPE_CHECKING:
    from .network import Network, SignalInfo

__all__ = ["Stream"]


class Stream:
    """The state of a batch of sequences that advance together; made by ``Network.stream``.

    Step by step gives the same numbers as whole sequences, bit for bit. A stream is for one
    thread at a time, and keeps the weights that the network had when it was made.
    """

    def __init__(self, network: Network, batch: int = 1, threads: int = 1) -> None:
        lib = c.library()
        network._refresh()
        self._open(
            network,
            c.make(
                lib.carousel_stream_create,
                lib.carousel_stream_free,
                network._handle,
                integer(batch, "batch"),
            ),
        )
        lib.carousel_stream_set_threads(self._handle, integer(threads, "threads"))

    def _open(self, network: Network, handle: c.Handle) -> None:
        lib = c.library()
        self._handle, self._lib, self.network = handle, lib, network
        info = c.StreamInfo()
        lib.carousel_stream_get_info(handle, ctypes.byref(info))
        #: Rows.
        self.batch = int(info.batch)
        self._state_size = int(info.state_size)
        self._inputs = network.inputs
        outputs = network.outputs
        self._output_shapes = [(self.batch, one.shape[-1] or 0) for one in outputs]
        # The way of most networks: one float32 input and output, passed as plain pointers.
        self._is_plain = (
            len(self._inputs) == len(outputs) == 1
            and network.dtype == np.float32
            and not self._inputs[0].is_ids
        )
        self._input_shape = (self.batch, self._inputs[0].shape[-1])
        self._step = lib.carousel_stream_step

    def step(self, x: Any) -> Any:
        """One step: x is (batch, features), or (features,) for a batch of one; ids are (batch,) or
        a number. Gives (batch, features) of the output, or (features,) for the short form."""
        if (
            self._is_plain
            and type(x) is np.ndarray
            and x.dtype == np.float32
            and x.shape == self._input_shape
            and x.flags.c_contiguous
        ):
            y = np.empty(self._output_shapes[0], np.float32)
            self._step(
                self._handle,
                x.__array_interface__["data"][0],
                y.__array_interface__["data"][0],
            )
            return y
        return self._step_any(x)

    __call__ = step

    def _step_any(self, x: Any) -> Any:
        given = x if len(self._inputs) > 1 else [x]
        if len(self._inputs) > 1 and (
            not isinstance(x, (list, tuple)) or len(x) != len(self._inputs)
        ):
            raise ShapeError(f"the network has {len(self._inputs)} inputs: give a list of arrays")
        is_short = False
        held: list[np.ndarray] = []
        for signal, value in zip(self._inputs, given):
            array, was_short = self._input(signal, value)
            held.append(arrays.readable(array))
            is_short = is_short or was_short
        outputs = [np.empty(shape, self.network.dtype) for shape in self._output_shapes]
        self._lib.carousel_stream_step_arrays(
            self._handle,
            arrays.describe_all(held),
            len(held),
            arrays.describe_all(outputs),
            len(outputs),
        )
        if is_short:
            outputs = [output[0] for output in outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    def _input(self, signal: SignalInfo, value: Any) -> Any:
        """The array of a step, and whether it lacks the batch."""
        name = f"input '{signal.name}'"
        array = arrays.numbers(value, name, self.network.dtype, integral=signal.is_ids)
        full = 1 if signal.is_ids else 2
        is_short = self.batch == 1 and array.ndim == full - 1
        if is_short:
            array = array[np.newaxis]
        elif array.ndim == full + 1 and signal.has_time and array.shape[1] == 1:
            array = array[:, 0]
        features = () if signal.is_ids else (signal.shape[-1],)
        wanted = (self.batch, *features)
        if array.shape != wanted:
            raise ShapeError(f"{name} of a step must be {wanted}, got shape {np.shape(value)}")
        return array, is_short

    def steps(self, x: Any) -> Any:
        """Several steps at once: x is (batch, steps, features) or ids (batch, steps); gives
        (batch, steps, features)."""
        signal = self._inputs[0]
        if len(self._inputs) > 1 or len(self._output_shapes) > 1:
            raise ShapeError("steps() is for networks of one input and one output")
        array = arrays.numbers(x, f"input '{signal.name}'", self.network.dtype, signal.is_ids)
        rank = 2 if signal.is_ids else 3
        if array.ndim != rank or array.shape[0] != self.batch:
            axes = "(batch, steps)" if signal.is_ids else "(batch, steps, features)"
            raise ShapeError(
                f"steps of a batch of {self.batch}: {axes} is wanted, got {array.shape}"
            )
        shape = (self.batch, array.shape[1], self._output_shapes[0][1])
        outputs = np.empty(shape, self.network.dtype)
        if self._is_plain and array.shape[2] == self._input_shape[1]:
            array = np.ascontiguousarray(array, np.float32)
            self._lib.carousel_stream_steps(
                self._handle, array.ctypes.data, array.shape[1], outputs.ctypes.data
            )
        else:
            for t in range(array.shape[1]):
                outputs[:, t] = self.step(array[:, t])
        return outputs

    def reset(self) -> None:
        """All states to what they were when the stream was made."""
        self._lib.carousel_stream_reset(self._handle)

    def snapshot(self) -> bytes:
        """The whole state, to be kept and restored as often as you like."""
        state = ctypes.create_string_buffer(max(self._state_size, 1))
        self._lib.carousel_stream_snapshot(self._handle, state, self._state_size)
        return state.raw[: self._state_size]

    def restore(self, state: bytes) -> None:
        """Goes back to a snapshot, also one of another stream of the same network and batch."""
        state = bytes(state)
        self._lib.carousel_stream_restore(self._handle, state, len(state))

    def save(self, path: Any, format: str = "carousel") -> None:
        """Writes network and state to one file, where every reader of networks finds the network.
        ``format`` is ``carousel`` or ``keras-h5``."""
        options = c.SaveOptions(format=c.encode(format, "format"))
        self._lib.carousel_stream_save(self._handle, c.encode_path(path), ctypes.byref(options))

    def load(self, path: Any) -> None:
        """Takes over a state that ``save`` wrote, of the same network and batch: the stream goes on
        bit for bit, in whatever process."""
        self._lib.carousel_stream_load(self._handle, c.encode_path(path))

    def update_weights(self) -> None:
        """Takes over the network's present parameters; the state stays."""
        self.network._refresh()
        self._lib.carousel_stream_update_weights(self._handle)

    def copy(self) -> Stream:
        """A second stream in the same state."""
        lib = self._lib
        handle = c.make(lib.carousel_stream_copy, lib.carousel_stream_free, self._handle)
        stream = Stream.__new__(Stream)
        stream._open(self.network, handle)
        return stream

    def __repr__(self) -> str:
        return f"<carousel.Stream of '{self.network.name}', batch {self.batch}>"
