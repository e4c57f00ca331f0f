"""The two modes of learning, never mixed: as in the papers, and as today.

A student presents training sequences to its network, learns from them, and tells how each was
answered before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Several
from dataclasses import dataclass

import carousel
import numpy as np

from .contenders import Contender
from .criteria import Answer, draw
from .learner import Learner
from .networks import (
    Shape,
    answers_only_at_the_end,
    build,
    columns,
    draw_uniform,
    flat_where,
    input_weights,
    places,
)
from .tasks import Array, Rng, Sequence, Task


def answer(task: Task, outputs: Array, sequence: Sequence) -> Answer:
    """`outputs` are (time, outputs), or (1, outputs) where only the last step is asked for."""
    if len(outputs) == 1:
        return Answer(
            task.correct(outputs, sequence), float(np.abs(outputs[0] - sequence.targets[-1]).mean())
        )
    rows = slice(-len(outputs), None)
    error = np.abs(outputs - sequence.targets[rows])[sequence.weights[rows] > 0]
    return Answer(task.correct(outputs, sequence), float(error.mean()))


def evaluate(
    network: carousel.Network, task: Task, sequences: Several[Sequence], rows: int = 64
) -> list[Answer]:
    """How a network answers, without learning."""
    found: list[Answer] = []
    for start in range(0, len(sequences), rows):
        part = sequences[start : start + rows]
        longest = max(one.length for one in part)
        wide = len(network.inputs[0].shape) == 2
        x = np.zeros((len(part), longest, *(() if wide else (task.input_size,))), np.float32)
        if wide:
            x = x.astype(np.int32)
        for row, one in enumerate(part):
            x[row, : one.length] = one.symbols if wide else one.inputs
        outputs = network(x, lengths=[one.length for one in part], threads=1)
        if outputs.ndim == 2:
            outputs = outputs[:, None]
        found += [answer(task, output[: one.length], one) for output, one in zip(outputs, part)]
    return found


def tolerance(task: Task) -> float | None:
    """What each error of the last step has to be below for a sequence to be right, if that is the
    task's rule: the loss then often tells as much, and the outputs need not be computed again."""
    return getattr(task, "tolerance", None) if answers_only_at_the_end(task) else None


SHORTCUTS = ("shortcut/embeddings", "shortcut/kernel")

# --- As in the papers ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Faithful:
    """The papers' settings: learning rate, initial weights uniform in ±init, initial gate biases of
    the blocks in order (none: as the weights), and which units have biases at all."""

    rate: float
    init: float
    input_bias: tuple[float, ...] = ()
    forget_bias: tuple[float, ...] = ()
    output_bias: tuple[float, ...] = ()
    #: Any of "gates", "cells" and "outputs".
    biased: tuple[str, ...] = ("gates", "cells", "outputs")
    #: Whether the cells come into a network without any, when its error has stopped decreasing.
    grown: bool = False


class FaithfulStudent:
    """Plain gradient descent, one sequence at a time, on E = ½ Σ (target - output)².

    LSTM: the truncated gradient of 1997, with a change of the weights at every step that is asked
    for an answer, by derivatives of the cells that are carried forwards. (If only the last step is,
    this is the truncated gradient of the whole sequence.) The simple RNN: whole back-propagation
    through time, with a change after each sequence.

    The cell input of 1997 is g = 4 logistic(u) - 2 = 2 tanh(u/2), and the cell's output h =
    2 logistic(s) - 1 = tanh(s/2). With c = s/2 and half of g's weights this is the cell of this
    library, c += i tanh(u') and h = tanh(c), exactly; a step of rate r for the weights of u is one
    of rate r/4 for those of u'.

    Cells of a block share their gates: the gates' weights begin equal and get the sum of the cells'
    gradients.
    """

    batch = 1

    def __init__(
        self,
        task: Task,
        contender: Contender,
        shape: Shape,
        recipe: Faithful,
        seed: int,
        stateful: bool = False,
    ) -> None:
        self.task, self.contender, self.shape = task, contender, shape
        self.learns_at_every_step = contender.is_lstm and not answers_only_at_the_end(task)
        self.network = build(
            task,
            contender,
            shape,
            truncate_gates=contender.is_lstm,
            unit_vectors=self.learns_at_every_step,
            stateful=stateful,
            batch=1 if stateful else None,
        )
        self.learner = Learner(
            self.network,
            task,
            1,
            "mse",
            carousel.SGD(1.0),
            on_gradients=self._turn_one_step if self.learns_at_every_step else None,
        )
        draw_uniform(self.network, recipe.init, np.random.default_rng([seed, 0]))
        self.rates = np.full(len(self.network.parameter_buffer()), recipe.rate, np.float32)
        self.groups: list[Array] = []
        self._hold(recipe)
        if contender.is_lstm:
            self._set_biases(recipe)
            if shape.activation == "tanh":
                self._scale_cell_input()
            self._tie_gates()
        self.growth = Growth(self) if recipe.grown and contender.is_lstm else None
        self.learner.parameters_changed()
        self.gradients = self.learner.trainer.gradients
        self.tolerance = tolerance(task)

    def _set_biases(self, recipe: Faithful) -> None:
        bias = self.network.parameters()["cell/bias"]
        for part in ("input", "forget", "output"):
            values = getattr(recipe, f"{part}_bias")
            where = columns(self.contender, self.shape, part)
            if values and where is not None:
                bias[where] = np.repeat(values, self.shape.cells)

    def _hold(self, recipe: Faithful) -> None:
        """Biases and connections that the paper's network does not have: zero, and not trained."""
        held = (
            {} if "outputs" in recipe.biased else {"output/bias": np.arange(self.task.output_size)}
        )
        bias = np.arange(places(self.network)["cell/bias"][1][0])
        cell = columns(self.contender, self.shape, "cell") or slice(None)
        gates = np.ones(len(bias), bool)
        gates[cell] = False
        chosen = np.zeros(len(bias), bool)
        if "gates" not in recipe.biased:
            chosen |= gates
        if "cells" not in recipe.biased:
            chosen |= ~gates
        held["cell/bias"] = bias[chosen]
        where = flat_where(self.network, held)
        self.rates[where] = 0
        self.network.parameter_buffer()[where] = 0

    def _kernels(self) -> tuple[str, ...]:
        return (input_weights(self.network), "cell/recurrent_kernel", "cell/bias")

    def _columns_of(self, part: str) -> dict[str, Array]:
        """Flat indices of the columns of a part in each of the cell's parameters, (rows, units)."""
        where = columns(self.contender, self.shape, part)
        assert where is not None
        found = {}
        for name in self._kernels():
            spot, shape = places(self.network)[name]
            found[name] = np.arange(spot.stop - spot.start).reshape(-1, shape[-1])[:, where]
        return found

    def _scale_cell_input(self) -> None:
        flat = flat_where(self.network, {n: i.ravel() for n, i in self._columns_of("cell").items()})
        self.network.parameter_buffer()[flat] /= 2
        self.rates[flat] /= 4

    def _tie_gates(self) -> None:
        """`groups` gets for each cell of a block the positions of its gates' weights."""
        if self.shape.cells == 1:
            return
        parts = [g for g in ("input", "forget", "output") if self.contender.has(f"{g}_gate")]
        if not parts:
            return
        per_cell: list[list[Array]] = [[] for _ in range(self.shape.cells)]
        for part in parts:
            for name, index in self._columns_of(part).items():
                start = places(self.network)[name][0].start
                for cell in range(self.shape.cells):
                    per_cell[cell].append(start + index[:, cell :: self.shape.cells].ravel())
            # Peepholes are each cell's own, summed into the block's gate: with tied gates that
            # would be another cell, so blocks of several cells are for cells without peepholes.
        self.groups = [np.concatenate(one) for one in per_cell]
        buffer = self.network.parameter_buffer()
        for group in self.groups[1:]:
            buffer[group] = buffer[self.groups[0]]

    def present(self, sequences: Several[Sequence]) -> list[Answer]:
        (sequence,) = sequences
        self.learner.load(sequences)
        if self.learns_at_every_step:
            result = answer(self.task, self.learner.outputs()[0], sequence)
            loss = self.learner.step()
        else:
            loss = self.learner.compute_gradients()
            result = self._answer(sequence, loss)
            # The loss is a mean over outputs and steps; E is half of the sum.
            steps = 1 if self.learner.only_last else sequence.length
            self.turn_into_step(self.gradients, self.task.output_size * steps / 2)
            self.learner.apply_gradients()
        if self.growth is not None and self.growth.is_due(loss):
            self.growth.grow()
            self.growth = None
        return [result]

    def _turn_one_step(self, gradients: Array) -> None:
        """Of one step the loss is a mean over outputs."""
        self.turn_into_step(gradients, self.task.output_size / 2)

    def turn_into_step(self, gradients: Array, factor: float) -> None:
        """In place: dE/dw to what is to be subtracted from w."""
        gradients *= self.rates
        gradients *= np.float32(factor)
        if self.groups:
            total = gradients[self.groups[0]]
            for group in self.groups[1:]:
                total = total + gradients[group]
            for group in self.groups:
                gradients[group] = total

    def _answer(self, sequence: Sequence, loss: float) -> Answer:
        """Runs the network for its outputs, unless the loss tells them already."""
        if self.learner.only_last and self.task.output_size == 1:
            # All but the sign, which is known for targets 0 and 1, and not asked for otherwise.
            error = loss**0.5
            target = sequence.targets[-1:]
            return Answer(
                self.task.correct(target + (error if target < 0.5 else -error), sequence), error
            )
        if self.tolerance is not None:
            # The largest error is between these two, and the mean one not above the first.
            error, root_of_sum = loss**0.5, (loss * self.task.output_size) ** 0.5
            if error >= self.tolerance or root_of_sum < self.tolerance:
                return Answer(error < self.tolerance, error)
        return answer(self.task, self.learner.outputs()[0], sequence)

    def evaluate(self, sequences: Several[Sequence]) -> list[Answer]:
        return evaluate(self.network, self.task, sequences)


class Growth:
    """The cells of a network that at first has none (HS97, section 4, first remedy against the
    abuse of cells). "When the error has stopped decreasing" is here: over 100 sequences it was less
    than `LEAST` lower than over the 100 before."""

    SEQUENCES, LEAST = 100, 0.05

    def __init__(self, student: FaithfulStudent) -> None:
        self.student, self.rates = student, student.rates
        kernel = student.network.parameters()["output/kernel"]
        self.kernel = kernel.copy()
        kernel[:] = 0
        kept = [name for name in places(student.network) if name in ("output/bias", *SHORTCUTS)]
        student.rates = np.zeros_like(self.rates)
        for name in kept:
            spot = places(student.network)[name][0]
            student.rates[spot] = self.rates[spot]
        self.errors: list[float] = []
        self.before = math.inf

    def is_due(self, error: float) -> bool:
        self.errors.append(error)
        if len(self.errors) < self.SEQUENCES:
            return False
        mean = sum(self.errors) / len(self.errors)
        due = mean > (1 - self.LEAST) * self.before
        self.before, self.errors = mean, []
        return due

    def grow(self) -> None:
        self.student.network.parameters()["output/kernel"][:] = self.kernel
        self.student.rates = self.rates
        self.student.learner.parameters_changed()


# --- As today ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Modern:
    """Settings of Adam; the loss is cross-entropy, or "mse" for real targets. `base_rates`: the
    outputs' biases begin where each output is right as often as it is 1 (Lin et al. 2017, for many
    outputs that nearly always are 0)."""

    rate: float = 0.005
    batch: int = 4
    loss: str = "binary_crossentropy"
    clip_norm: float = 1.0
    base_rates: bool = False


def log_odds(task: Task, rng: Rng) -> Array:
    """Of each output being 1 where it is asked for, told from 256 sequences; none below 1 in
    1,000."""
    asked = [one.targets[one.weights > 0] for one in draw(task, 256, rng)]
    rate = np.concatenate(asked).mean(axis=0).clip(1e-3, 1 - 1e-3)
    return np.log(rate / (1 - rate))


class ModernStudent:
    """Adam on whole gradients (no truncation), clipped by their norm, in batches.

    Initial weights are Keras's; forget gates begin with biases log u, u uniform in (1, length of
    the task), and the input gates beside them with the negative of theirs (Tallec and Ollivier
    2018), so that cells begin with memories of all lengths up to the task's.
    """

    def __init__(
        self,
        task: Task,
        contender: Contender,
        shape: Shape,
        recipe: Modern,
        seed: int,
    ) -> None:
        self.task, self.batch = task, recipe.batch
        self.network = build(task, contender, shape, seed=seed)
        rng = np.random.default_rng([seed, 0])
        parameters = self.network.parameters()
        if "input/embeddings" in parameters:  # the limits of a kernel of that shape
            table = parameters["input/embeddings"]
            limit = (6 / sum(table.shape)) ** 0.5
            table[:] = rng.uniform(-limit, limit, table.shape)
        where = columns(contender, shape, "forget")
        if where is not None:
            length = task.sample(np.random.default_rng(0)).length
            memories = np.log(rng.uniform(1, max(length, 2), shape.units))
            parameters["cell/bias"][where] = memories
            parameters["cell/bias"][columns(contender, shape, "input")] = -memories
        if recipe.base_rates:
            parameters["output/bias"][:] = log_odds(task, np.random.default_rng([seed, 6]))
        self.learner = Learner(
            self.network,
            task,
            recipe.batch,
            recipe.loss,
            carousel.Adam(recipe.rate),
            recipe.clip_norm,
        )
        self.learner.parameters_changed()
        self.tolerance = tolerance(task)
        assert self.tolerance is None or recipe.loss == "binary_crossentropy"

    def present(self, sequences: Several[Sequence]) -> list[Answer]:
        self.learner.load(sequences)
        loss = self.learner.compute_gradients()
        answers = self._answers(sequences, loss)
        self.learner.apply_gradients()
        return answers

    def _answers(self, sequences: Several[Sequence], loss: float) -> list[Answer]:
        """Runs the network for its outputs, unless the loss, a mean of -log(1 - error), tells that
        all errors are small; their mean is then told no smaller than it is."""
        if self.tolerance is not None:
            largest = -math.expm1(-loss * self.batch * self.task.output_size)
            if largest < self.tolerance:
                return [Answer(True, -math.expm1(-loss))] * len(sequences)
        return [
            answer(self.task, output, one) for output, one in zip(self.learner.outputs(), sequences)
        ]

    def evaluate(self, sequences: Several[Sequence]) -> list[Answer]:
        return evaluate(self.network, self.task, sequences)
