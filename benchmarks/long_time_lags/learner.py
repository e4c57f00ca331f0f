"""One network at its trainer: batches in, outputs and gradients back.

Talks to the C interface through the package's own declarations, with arrays that are filled in
place: the sequences are short and the cells tiny, so that the checks and copies of the Python
interface would take longer than the learning.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Callable

import carousel
import numpy as np
from carousel import _arrays as arrays
from carousel import _library as c

from .networks import answers_once, frozen, takes_ids
from .tasks import Array, Sequence, Task


@dataclass
class _Buffers:
    """The arrays of all batches of one padded length, and the structs that tell of them."""

    inputs: Array
    targets: Array
    weights: Array
    lengths: Array
    outputs: Array

    def __post_init__(self) -> None:
        self.input_struct = arrays.describe_all([self.inputs])
        self.output_struct = arrays.describe_all([self.outputs])
        self.target_struct = arrays.describe_all([self.targets])
        self.weight_struct = arrays.describe_all([self.weights])
        self.run_options = c.RunOptions(lengths=self.lengths.ctypes.data, threads=1)
        self.data = c.TrainingData(
            inputs=self.input_struct,
            input_count=1,
            targets=self.target_struct,
            target_count=1,
            lengths=self.lengths.ctypes.data,
        )
        if self.weights.ndim == 2:
            self.data.sample_weights = self.weight_struct


class Learner:
    """Runs and trains a network on batches of sequences."""

    def __init__(
        self,
        network: carousel.Network,
        task: Task,
        batch: int,
        loss: str,
        optimizer: object,
        clip_norm: float | None = None,
        on_gradients: Callable[[Array], None] | None = None,
    ) -> None:
        """`on_gradients`: the network learns at every step, from gradients that this function has
        changed."""
        self.network, self.task, self.batch = network, task, batch
        self.every_step = on_gradients is not None
        self.trainer = carousel.Trainer(
            network,
            loss,
            optimizer,
            clip_norm=clip_norm,
            freeze=frozen(network),
            threads=1,
            truncate_every=int(self.every_step),
            eligibility_traces=self.every_step,
            on_gradients=on_gradients,
        )
        self.only_last = answers_once(network)
        self.takes_ids = takes_ids(network)
        self._lib = c.library()
        self._buffers: dict[int, _Buffers] = {}
        self._result, self._norm = c.StepResult(), ctypes.c_double()
        self.sequences: Several[Sequence] = ()

    def parameters_changed(self) -> None:
        """After writing into the network's parameters."""
        self._lib.carousel_network_parameters_changed(self.network._handle)

    def load(self, sequences: Several[Sequence]) -> None:
        """Takes the next batch, padded at the end."""
        self.sequences = sequences
        self.now = now = self._for_length(max(one.length for one in sequences))
        for row, one in enumerate(sequences):
            now.lengths[row] = one.length
            now.inputs[row, : one.length] = one.symbols if self.takes_ids else one.inputs
            if self.only_last:
                now.targets[row] = one.targets[-1]
            else:
                now.targets[row, : one.length] = one.targets
                now.weights[row, : one.length] = one.weights

    def _for_length(self, length: int) -> _Buffers:
        """Buffers that are long enough, and not much too long: few shapes, as the library makes
        its own memory anew for each (but for steps that it takes one by one)."""
        for time, buffers in self._buffers.items():
            if time == length or (not self.every_step and length <= time <= 1.25 * length + 8):
                return buffers
        time = length if self.every_step else -(-int(1.1 * length + 1) // 8) * 8
        outputs, shape = self.task.output_size, (self.batch, time)
        self._buffers[time] = buffers = _Buffers(
            np.zeros(shape, np.int32)
            if self.takes_ids
            else np.zeros((*shape, self.task.input_size), np.float32),
            np.zeros((self.batch, outputs) if self.only_last else (*shape, outputs), np.float32),
            np.zeros(self.batch if self.only_last else shape, np.float32),
            np.ones(self.batch, np.int64),
            np.zeros((self.batch, outputs) if self.only_last else (*shape, outputs), np.float32),
        )
        return buffers

    def outputs(self) -> list[Array]:
        """What the network says to each sequence: (time, outputs), or (1, outputs) where only the
        last step is asked for. Views that the next call overwrites."""
        now = self.now
        self._lib.carousel_network_run(
            self.network._handle,
            now.input_struct,
            1,
            now.output_struct,
            1,
            ctypes.byref(now.run_options),
        )
        if self.only_last:
            return [now.outputs[row : row + 1] for row in range(len(self.sequences))]
        return [now.outputs[row, : one.length] for row, one in enumerate(self.sequences)]

    def compute_gradients(self) -> float:
        """Fills the trainer's gradients; returns the loss."""
        self._lib.carousel_trainer_compute_gradients(
            self.trainer._handle, ctypes.byref(self.now.data), 0, ctypes.byref(self._result)
        )
        return float(self._result.loss)

    def apply_gradients(self) -> None:
        self._lib.carousel_trainer_apply_gradients(self.trainer._handle, ctypes.byref(self._norm))

    def step(self) -> float:
        """Both halves at once; returns the loss before it."""
        self._lib.carousel_trainer_step(
            self.trainer._handle, ctypes.byref(self.now.data), ctypes.byref(self._result)
        )
        return float(self._result.loss)
