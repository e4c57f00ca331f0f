"""The long-time-lag tasks of the LSTM papers, as generators of sequences.

Sources (task texts are recalled from the papers unless marked otherwise in docs/long-time-lags.md):

- HS97: Hochreiter & Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997.
- GSC00: Gers, Schmidhuber & Cummins, Learning to Forget, Neural Computation 12(10), 2000.
- GSS02: Gers, Schraudolph & Schmidhuber, Learning Precise Timing, JMLR 3, 2002.

A task makes one sequence at a time: `inputs` (time, features), `targets` (time, outputs) and
`weights` (time,), 1 where an output is asked for and 0 elsewhere. Sequences of symbols also tell
`symbols` (time,), of which `inputs` are the unit vectors. All randomness comes from the generator
that is handed in, so that a seed names a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

Array = np.ndarray
Rng = np.random.Generator


@dataclass(frozen=True)
class Sequence:
    """One training example: numbers (time, features), or symbols (time,) of `size` kinds."""

    values: Array | None
    targets: Array
    weights: Array
    symbols: Array | None = None
    size: int = 0

    @staticmethod
    def of_symbols(symbols: Array, size: int, targets: Array, weights: Array) -> Sequence:
        return Sequence(None, targets, weights, symbols, size)

    @property
    def inputs(self) -> Array:
        """(time, features)."""
        return self.values if self.symbols is None else one_hot(self.symbols, self.size)

    @property
    def length(self) -> int:
        return len(self.targets)


class Task(Protocol):
    """What every task has: its widths, its output activation, and a generator."""

    name: str
    input_size: int
    output_size: int
    output_activation: str

    def sample(self, rng: Rng) -> Sequence: ...

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        """The paper's own criterion for one sequence; `outputs` is (time, outputs), or (1, outputs)
        where only the last step is asked for."""
        ...


@lru_cache(maxsize=8)
def unit_vectors(size: int) -> Array:
    """(size, size), read only."""
    result = np.eye(size, dtype=np.float32)
    result.flags.writeable = False
    return result


def one_hot(symbols: Array, size: int) -> Array:
    """(n,) symbols to (n, size) unit vectors."""
    return unit_vectors(size)[symbols]


# --- Reber grammars ------------------------------------------------------------------------------

REBER_SYMBOLS = "BTPSXVE"
# state -> (symbol, next state) choices, each taken with probability 1/2 (HS97, figure 3)
REBER_GRAPH: dict[int, tuple[tuple[str, int], ...]] = {
    0: (("T", 1), ("P", 2)),
    1: (("S", 1), ("X", 3)),
    2: (("T", 2), ("V", 4)),
    3: (("X", 2), ("S", 5)),
    4: (("P", 3), ("V", 5)),
}
REBER_FINAL = 5


def reber_string(rng: Rng) -> str:
    """A string of the Reber grammar, `B` and `E` included."""
    symbols, state = ["B"], 0
    while state != REBER_FINAL:
        symbol, state = REBER_GRAPH[state][rng.integers(2)]
        symbols.append(symbol)
    return "".join(symbols) + "E"


def embedded_reber_string(rng: Rng) -> str:
    """A Reber string between two copies of T or P: the second must be remembered."""
    outer = "TP"[rng.integers(2)]
    return f"B{outer}{reber_string(rng)}{outer}E"


def reber_successors(string: str) -> list[set[str]]:
    """The symbols that the grammar allows after each prefix of a Reber string."""
    allowed = [{symbol for symbol, _ in REBER_GRAPH[0]}]
    state = 0
    for symbol in string[1:-1]:
        state = dict(REBER_GRAPH[state])[symbol]
        allowed.append({"E"} if state == REBER_FINAL else {s for s, _ in REBER_GRAPH[state]})
    return allowed


def embedded_successors(string: str) -> list[set[str]]:
    """The symbols allowed after each symbol of an embedded Reber string but its last."""
    inner = string[2:-2]
    return [{"T", "P"}, {"B"}, *reber_successors(inner), {string[1]}, {"E"}]


def _symbols(string: str) -> Array:
    return np.array([REBER_SYMBOLS.index(symbol) for symbol in string])


def _multi_hot(sets: list[set[str]]) -> Array:
    result = np.zeros((len(sets), len(REBER_SYMBOLS)), np.float32)
    for row, symbols in enumerate(sets):
        for symbol in symbols:
            result[row, REBER_SYMBOLS.index(symbol)] = 1
    return result


@lru_cache(maxsize=4096)
def _allowed(symbols: tuple[int, ...]) -> Array:
    """Short strings come again and again."""
    result = _multi_hot(embedded_successors("".join(REBER_SYMBOLS[s] for s in symbols)))
    result.flags.writeable = False
    return result


@dataclass(frozen=True)
class EmbeddedReber:
    """HS97 experiment 1: predict the next symbol; correct if the allowed ones rank highest."""

    name: str = "embedded_reber"
    input_size: int = 7
    output_size: int = 7
    output_activation: str = "sigmoid"

    def sample(self, rng: Rng) -> Sequence:
        string = embedded_reber_string(rng)
        symbols = _symbols(string)
        count = len(string) - 1
        targets = one_hot(symbols[1:], 7)
        return Sequence.of_symbols(symbols[:-1], 7, targets, np.ones(count, np.float32))

    def allowed(self, sequence: Sequence) -> Array:
        """(time, 7): 1 for the symbols that the grammar allows next."""
        last = int(sequence.targets[-1].argmax())
        return _allowed((*sequence.inputs.argmax(1).tolist(), last))

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        allowed = self.allowed(sequence) > 0
        lowest_allowed = np.where(allowed, outputs, np.inf).min(1)
        highest_forbidden = np.where(allowed, -np.inf, outputs).max(1)
        return bool((lowest_allowed > highest_forbidden).all())


class ReberStream:
    """GSC00: an endless stream of embedded Reber strings, without markers between them.

    What is taken are inputs, targets and allowed successors, each (time, 7).
    """

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._symbols: Array = np.zeros(0, np.int64)
        self._allowed: Array = np.zeros((0, 7), np.float32)

    def take(self, length: int) -> tuple[Array, Array, Array]:
        """The next symbols."""
        while len(self._symbols) <= length:
            self._grow()
        symbols, allowed = self._symbols[: length + 1], self._allowed[:length]
        self._symbols, self._allowed = self._symbols[length:], self._allowed[length:]
        return one_hot(symbols[:-1], 7), one_hot(symbols[1:], 7), allowed

    def take_strings(self, count: int) -> tuple[Array, Array, Array]:
        """The next `count` whole strings, from where the last call ended."""
        while True:
            # The inner string's E is followed by the outer symbol, the last E by the next B.
            ends = np.flatnonzero((self._symbols == 6) & (self._allowed[:, 0] == 1))
            if len(ends) >= count:
                return self.take(int(ends[count - 1]) + 1)
            self._grow()

    def _grow(self) -> None:
        string = embedded_reber_string(self._rng)
        successors = _multi_hot([*embedded_successors(string), {"B"}])
        self._symbols = np.concatenate([self._symbols, _symbols(string)])
        self._allowed = np.concatenate([self._allowed, successors])


# --- Long lags with symbols ----------------------------------------------------------------------


@dataclass(frozen=True)
class NoiseFree:
    """HS97 experiment 2a and 2b: (y, a_1 … a_{p-1}, y) or (x, a_1 … a_{p-1}, x), p + 1 symbols.

    2a asks for every symbol. 2b (`shuffled`) draws the middle symbols at random: only the last one
    can be predicted, and only it is asked for (why: docs/long-time-lags.md). Correct: every output
    within 0.25, at every step (2a) or at the last (2b).
    """

    p: int = 100
    shuffled: bool = False
    output_activation: str = "sigmoid"

    @property
    def name(self) -> str:
        return "noise_free_2b" if self.shuffled else "noise_free_2a"

    @property
    def input_size(self) -> int:
        return self.p + 1

    @property
    def output_size(self) -> int:
        return self.p + 1

    def sample(self, rng: Rng) -> Sequence:
        ends = self.p - 1 + rng.integers(2)  # symbols p-1 and p are x and y
        middle = (
            rng.integers(self.p - 1, size=self.p - 1) if self.shuffled else np.arange(self.p - 1)
        )
        symbols = np.concatenate([[ends], middle, [ends]])
        targets, weights = one_hot(symbols[1:], self.p + 1), np.ones(self.p, np.float32)
        if self.shuffled:
            weights[:-1] = 0
        return Sequence.of_symbols(symbols[:-1], self.p + 1, targets, weights)

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        judged = slice(-1, None) if self.shuffled else slice(None)
        return bool(np.abs(outputs - sequence.targets)[judged].max() < 0.25)


@dataclass(frozen=True)
class VeryLongLags:
    """HS97 experiment 2c: b, x or y, at least q distractors of p kinds, e, then x or y again.

    After q distractors `e` ends them with probability 1/10 at each step, so that the lag is at
    least q + 1 and its length is noisy. Symbols: 0 … p-1 distractors, then x, y, b, e. Two outputs,
    for x and y: the published numbers of weights leave room for no more.
    """

    q: int = 1000
    p: int = 1000
    tolerance: float = 0.2
    output_activation: str = "sigmoid"
    output_size: int = 2

    @property
    def name(self) -> str:
        return f"very_long_lags_q{self.q}_p{self.p}"

    @property
    def input_size(self) -> int:
        return self.p + 4

    def sample(self, rng: Rng) -> Sequence:
        length = self.q + rng.geometric(0.1) - 1
        key = int(rng.integers(2))
        middle = rng.integers(self.p, size=length)
        symbols = np.concatenate([[self.p + 2, self.p + key], middle, [self.p + 3]])
        targets, weights = _only_at_the_end(len(symbols), unit_vectors(2)[key])
        return Sequence.of_symbols(symbols, self.p + 4, targets, weights)

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(np.abs(outputs[-1] - sequence.targets[-1]).max() < self.tolerance)


# --- Long lags with numbers ----------------------------------------------------------------------


@dataclass(frozen=True)
class TwoSequence:
    """HS97 experiment 3a: the first n values are the class (±1), the rest Gaussian noise.

    Length between T and T + T/10; the target at the end is 1 for +1 and 0 for -1.
    Correct: the error is below 0.2.
    """

    T: int = 100
    n: int = 3
    noise: float = 0.2
    output_activation: str = "sigmoid"
    input_size: int = 1
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"two_sequence_3a_T{self.T}_n{self.n}"

    def sample(self, rng: Rng) -> Sequence:
        length = int(rng.integers(self.T, self.T + self.T // 10 + 1))
        positive = bool(rng.integers(2))
        inputs = rng.normal(0, self.noise**0.5, (length, 1)).astype(np.float32)
        inputs[: self.n] = 1 if positive else -1
        return _at_the_end(inputs, [float(positive)])

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(abs(outputs[-1, 0] - sequence.targets[-1, 0]) < 0.2)


def _at_the_end(inputs: Array, target: Array | list[float]) -> Sequence:
    return Sequence(inputs, *_only_at_the_end(len(inputs), target))


def _only_at_the_end(length: int, target: Array | list[float]) -> tuple[Array, Array]:
    """Targets and weights of which only the last step's counts."""
    targets = np.zeros((length, len(target)), np.float32)
    targets[-1] = target
    weights = np.zeros(length, np.float32)
    weights[-1] = 1
    return targets, weights


def marked_pairs(T: int, low: float, first_value: float, rng: Rng) -> tuple[Array, float, float]:
    """Pairs (value, marker) for the adding and multiplication tasks, and the two marked values.

    Length T … T + T/10; one of the first ten pairs is marked, then one of the first T/2 - 1 still
    unmarked ones; markers are 1, 0, and -1 at both ends. If the first pair is a marked one its
    value becomes `first_value` (HS97, 5.4 and 5.5).
    """
    length = int(rng.integers(T, T + T // 10 + 1))
    pairs = np.zeros((length, 2), np.float32)
    pairs[:, 0] = rng.uniform(low, 1, length)
    first = int(rng.integers(10))
    second = int(rng.integers(T // 2 - 1))
    while second == first:
        second = int(rng.integers(T // 2 - 1))
    pairs[[0, -1], 1] = -1
    values = []
    for position in (first, second):
        pairs[position, 1] = 1
        if position == 0:
            pairs[position, 0] = first_value
        values.append(float(pairs[position, 0]))
    return pairs, values[0], values[1]


@dataclass(frozen=True)
class Adding:
    """HS97 experiment 4: the target is 0.5 + (X1 + X2) / 4; correct if |error| < 0.04."""

    T: int = 100
    output_activation: str = "sigmoid"
    input_size: int = 2
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"adding_T{self.T}"

    def sample(self, rng: Rng) -> Sequence:
        pairs, x1, x2 = marked_pairs(self.T, -1, 0, rng)
        return _at_the_end(pairs, [0.5 + (x1 + x2) / 4])

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(abs(outputs[-1, 0] - sequence.targets[-1, 0]) < 0.04)


@dataclass(frozen=True)
class Multiplication:
    """HS97 experiment 5: values in [0, 1], target X1 X2; correct if |error| < 0.04."""

    T: int = 100
    output_activation: str = "sigmoid"
    input_size: int = 2
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"multiplication_T{self.T}"

    def sample(self, rng: Rng) -> Sequence:
        pairs, x1, x2 = marked_pairs(self.T, 0, 1, rng)
        return _at_the_end(pairs, [x1 * x2])

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(abs(outputs[-1, 0] - sequence.targets[-1, 0]) < 0.04)


@dataclass(frozen=True)
class TemporalOrder:
    """HS97 experiment 6: classify the order of two (6a) or three (6b) X/Y symbols in distractors.

    Symbols: E, B, X, Y and the distractors a, b, c, d. Length 100 … 110. Correct: every error
    below 0.3.
    """

    markers: int = 2
    tolerance: float = 0.3
    output_activation: str = "sigmoid"
    input_size: int = 8

    @property
    def name(self) -> str:
        return "temporal_order_6a" if self.markers == 2 else "temporal_order_6b"

    @property
    def output_size(self) -> int:
        return 2**self.markers

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """Inclusive ranges of the positions of X or Y."""
        return ((10, 20), (50, 60)) if self.markers == 2 else ((10, 20), (33, 43), (66, 76))

    def sample(self, rng: Rng) -> Sequence:
        length = int(rng.integers(100, 111))
        symbols = rng.integers(4, 8, length)
        symbols[0], symbols[-1] = 0, 1
        label = 0
        for low, high in self.windows:
            bit = int(rng.integers(2))
            symbols[rng.integers(low, high + 1)] = 2 + bit
            label = 2 * label + bit
        targets, weights = _only_at_the_end(length, unit_vectors(self.output_size)[label])
        return Sequence.of_symbols(symbols, 8, targets, weights)

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(np.abs(outputs[-1] - sequence.targets[-1]).max() < self.tolerance)


# --- Timing (GSS02) ------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeasureSpikeDelays:
    """MSD: tell from the time between two spikes whether it is F or F + I steps (I = `interval`).

    The stream is `spikes` intervals long, each of F or F + interval steps with equal probability;
    the answer is asked for at each spike but the first. Correct: on the right side of 1/2.
    """

    F: int = 10
    interval: int = 1
    spikes: int = 10
    output_activation: str = "sigmoid"
    input_size: int = 1
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"measure_spike_delays_F{self.F}"

    def sample(self, rng: Rng) -> Sequence:
        long = rng.integers(2, size=self.spikes)
        times = np.concatenate([[0], np.cumsum(self.F + self.interval * long)])
        inputs = np.zeros((times[-1] + 1, 1), np.float32)
        inputs[times] = 1
        targets = np.zeros_like(inputs)
        weights = np.zeros(len(inputs), np.float32)
        targets[times[1:], 0] = long
        weights[times[1:]] = 1
        return Sequence(inputs, targets, weights)

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        asked = sequence.weights > 0
        return bool(((outputs > 0.5) == (sequence.targets > 0.5))[asked].all())


@dataclass(frozen=True)
class GenerateTimedSpikes:
    """GTS: emit a spike every F steps, for ever, from no input but the first step's.

    Correct: above 1/2 at the spikes and below it elsewhere.
    """

    F: int = 10
    spikes: int = 10
    output_activation: str = "sigmoid"
    input_size: int = 1
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"generate_timed_spikes_F{self.F}"

    def sample(self, rng: Rng) -> Sequence:
        del rng  # there is but one sequence
        length = self.F * self.spikes
        targets = np.zeros((length, 1), np.float32)
        targets[self.F - 1 :: self.F] = 1
        inputs = np.zeros((length, 1), np.float32)
        inputs[0] = 1
        return Sequence(inputs, targets, np.ones(length, np.float32))

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(((outputs > 0.5) == (sequence.targets > 0.5)).all())


WAVEFORMS: dict[str, Callable[[Array], Array]] = {
    "cosine": lambda phase: 0.5 * (1 - np.cos(2 * np.pi * phase)),
    "triangle": lambda phase: 1 - np.abs(2 * (phase % 1) - 1),
    "rectangle": lambda phase: (phase % 1 >= 0.5).astype(float),
}


@dataclass(frozen=True)
class PeriodicFunction:
    """PFG: generate a periodic waveform in [0, 1] of period F from the first step's impulse on.

    Correct: a root mean square error below 0.05 over the sequence.
    """

    waveform: str = "cosine"
    F: int = 10
    periods: int = 10
    output_activation: str = "sigmoid"
    input_size: int = 1
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"periodic_function_{self.waveform}_F{self.F}"

    def sample(self, rng: Rng) -> Sequence:
        del rng  # there is but one sequence
        steps = np.arange(self.F * self.periods)
        targets = WAVEFORMS[self.waveform](steps / self.F).astype(np.float32)[:, None]
        inputs = np.zeros_like(targets)
        inputs[0] = 1
        return Sequence(inputs, targets, np.ones(len(steps), np.float32))

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(np.sqrt(np.mean((outputs - sequence.targets) ** 2)) < 0.05)


# --- One weight, two duties ----------------------------------------------------------------------


@dataclass(frozen=True)
class Conflict:
    """Our own, after HS97 section 3: input weight conflict and output weight conflict in one task.

    Inputs: a value ±1, and the marks "store" and "recall". The output shall be the present value (1
    for +1, 0 for -1) at every step, but at the last step, marked "recall", the value that came with
    "store". The same weight from the value must now write and now leave the memory alone; the same
    weight to the output must now read the memory and now keep it out. Correct: on the right side of
    1/2 throughout. In learning, the recall weighs as much as all other steps together.
    """

    lag: int = 10
    output_activation: str = "sigmoid"
    input_size: int = 3
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"conflict_{self.lag}"

    def sample(self, rng: Rng) -> Sequence:
        start = int(rng.integers(1, 6))
        length = start + self.lag + 1
        inputs = np.zeros((length, 3), np.float32)
        inputs[:, 0] = 2 * rng.integers(2, size=length) - 1
        inputs[start, 1] = 1
        inputs[-1, 2] = 1
        targets = (inputs[:, :1] + 1) / 2
        targets[-1] = (inputs[start, 0] + 1) / 2
        weights = np.ones(length, np.float32)
        weights[-1] = length
        return Sequence(inputs, targets, weights)

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool(((outputs > 0.5) == (sequence.targets > 0.5)).all())


# --- A lag of any length -------------------------------------------------------------------------


@dataclass(frozen=True)
class Lag:
    """The smallest long-lag task: say at the end which of two symbols came first.

    `lag` steps of noise (variance `noise`, as in 3a) lie between; used for the memory span picture.
    """

    lag: int = 10
    noise: float = 0.2
    output_activation: str = "sigmoid"
    input_size: int = 2
    output_size: int = 1

    @property
    def name(self) -> str:
        return f"lag_{self.lag}"

    def sample(self, rng: Rng) -> Sequence:
        bit = bool(rng.integers(2))
        inputs = np.zeros((self.lag + 1, 2), np.float32)
        inputs[1:, 1] = rng.normal(0, self.noise**0.5, self.lag)
        inputs[0, 0] = 1 if bit else -1
        return _at_the_end(inputs, [float(bit)])

    def correct(self, outputs: Array, sequence: Sequence) -> bool:
        return bool((outputs[-1, 0] > 0.5) == (sequence.targets[-1, 0] > 0.5))
