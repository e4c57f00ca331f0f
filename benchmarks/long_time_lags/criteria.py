"""When a run has succeeded: the papers' stop criteria.

A criterion hears of every training sequence, as it was answered before the network learned from it,
and says when it is met. `sequences` is then the number of presentations that the papers count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Callable, Protocol

import numpy as np

from .tasks import Rng, Sequence, Task


@dataclass(frozen=True)
class Answer:
    """How a sequence was answered: right by the task's rule, and the mean absolute error of the
    outputs that were asked for."""

    correct: bool
    error: float


#: Answers sequences without learning from them.
Evaluate = Callable[[Several[Sequence]], "list[Answer]"]


class Criterion(Protocol):
    sequences: int

    def observe(self, answers: Several[Answer], evaluate: Evaluate) -> bool:
        """Whether the criterion is met after these training sequences."""
        ...


class Consecutive:
    """HS97, experiment 2: `count` training sequences in a row are answered correctly. Learning goes
    on meanwhile; `sequences` counts those before the row began."""

    def __init__(self, count: int) -> None:
        self.count, self.seen, self.row = count, 0, 0

    @property
    def sequences(self) -> int:
        return self.seen - self.row

    def observe(self, answers: Several[Answer], evaluate: Evaluate) -> bool:
        for answer in answers:
            if self.row >= self.count:
                break
            self.seen += 1
            self.row = self.row + 1 if answer.correct else 0
        return self.row >= self.count


class Recent:
    """HS97, experiments 4 to 6: of the last `window` training sequences fewer than `wrong` were
    answered wrongly, and their mean error is below `error`."""

    def __init__(self, window: int, wrong: int = 1, error: float = float("inf")) -> None:
        self.window, self.wrong, self.error = window, wrong, error
        self.sequences = 0
        self._answers: deque[Answer] = deque()
        self._wrong_now, self._error_now = 0, 0.0

    def observe(self, answers: Several[Answer], evaluate: Evaluate) -> bool:
        for answer in answers:
            self.sequences += 1
            self._count(answer, 1)
            if len(self._answers) > self.window:
                self._count(self._answers.popleft(), -1)
            if self._is_met():
                return True
        return False

    def _count(self, answer: Answer, sign: int) -> None:
        if sign > 0:
            self._answers.append(answer)
        self._wrong_now += sign * (not answer.correct)
        self._error_now += sign * answer.error

    def _is_met(self) -> bool:
        return (
            len(self._answers) == self.window
            and self._wrong_now < self.wrong
            and self._error_now / self.window < self.error
        )


class TestSet:
    """HS97, experiments 1 and 3: every sequence of a fixed test set is answered correctly, with a
    mean error below `error`. Looked at after every `interval` training sequences.

    `first_correct` is the number of presentations after which all were correct for the first time,
    whatever the error: ST1 of experiment 3.
    """

    __test__ = False  # no test of pytest's

    def __init__(
        self, sequences: Several[Sequence], interval: int, error: float = float("inf")
    ) -> None:
        self.tests, self.interval, self.error = list(sequences), interval, error
        self.sequences = 0
        self.first_correct: int | None = None
        self._next = interval

    def observe(self, answers: Several[Answer], evaluate: Evaluate) -> bool:
        self.sequences += len(answers)
        if self.sequences < self._next:
            return False
        self._next += self.interval
        found = evaluate(self.tests)
        if not all(answer.correct for answer in found):
            return False
        if self.first_correct is None:
            self.first_correct = self.sequences
        return bool(np.mean([answer.error for answer in found]) < self.error)


def draw(task: Task, count: int, rng: Rng) -> list[Sequence]:
    return [task.sample(rng) for _ in range(count)]
