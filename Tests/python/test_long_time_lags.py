"""The long-time-lag generators against the definitions of the papers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from long_time_lags import tasks

TASKS = [
    tasks.EmbeddedReber(),
    tasks.NoiseFree(p=12),
    tasks.NoiseFree(p=12, shuffled=True),
    tasks.VeryLongLags(q=20, p=10),
    tasks.TwoSequence(),
    tasks.Adding(),
    tasks.Multiplication(),
    tasks.TemporalOrder(2),
    tasks.TemporalOrder(3),
    tasks.MeasureSpikeDelays(),
    tasks.GenerateTimedSpikes(),
    tasks.PeriodicFunction("cosine"),
    tasks.PeriodicFunction("triangle"),
    tasks.PeriodicFunction("rectangle"),
    tasks.Conflict(8),
    tasks.Lag(7),
]


def draw(task: tasks.Task, count: int = 200, seed: int = 0) -> list[tasks.Sequence]:
    rng = np.random.default_rng(seed)
    return [task.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_sequences_have_their_shapes_and_a_seed_names_them(task: tasks.Task) -> None:
    for first, second in zip(draw(task, 5), draw(task, 5)):
        assert first.inputs.shape == (first.length, task.input_size)
        assert first.targets.shape == (first.length, task.output_size)
        assert first.weights.shape == (first.length,)
        assert first.weights.any()
        np.testing.assert_array_equal(first.inputs, second.inputs)
        np.testing.assert_array_equal(first.targets, second.targets)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_targets_are_correct_and_far_ones_are_not(task: tasks.Task) -> None:
    for sequence in draw(task, 20):
        ideal = task.allowed(sequence) if hasattr(task, "allowed") else sequence.targets
        assert task.correct(ideal, sequence)
        wrong = np.where(ideal > 0.5, ideal - 0.6, ideal + 0.6)
        assert not task.correct(wrong, sequence)


def parse(string: str) -> bool:
    """Whether a string belongs to the Reber grammar (HS97, figure 3), independent of the tables."""
    import re

    # state 2 and 3 loop over each other through V P and X; written out as a regular expression
    loop = r"T*V(?:PXT*V)*"
    tail = rf"(?:S|X{loop}(?:V|PS))"
    return re.fullmatch(rf"B(?:TS*X{tail}|P{loop}(?:V|PS))E", string) is not None


def test_reber_strings_belong_to_the_grammar() -> None:
    rng = np.random.default_rng(1)
    strings = [tasks.reber_string(rng) for _ in range(2000)]
    assert all(parse(string) for string in strings)
    assert not parse("BTXXE") and not parse("BPSE")
    # Shortest strings: B T X S E and B P V V E, each with probability 1/8.
    share = np.mean([string in ("BTXSE", "BPVVE") for string in strings])
    assert abs(share - 1 / 4) < 0.04
    assert min(map(len, strings)) == 5


def test_successors_hold_the_next_symbol() -> None:
    rng = np.random.default_rng(2)
    for _ in range(500):
        string = tasks.embedded_reber_string(rng)
        assert string[1] == string[-2] and parse(string[2:-2])
        allowed = tasks.embedded_successors(string)
        assert len(allowed) == len(string) - 1
        assert all(symbol in choice for symbol, choice in zip(string[1:], allowed))
        assert allowed[-2] == {string[1]}


def test_the_stream_is_made_of_whole_strings() -> None:
    stream = tasks.ReberStream(np.random.default_rng(3))
    text = ""
    for _ in range(50):
        inputs, targets, allowed = stream.take_strings(4)
        assert (allowed[targets > 0] == 1).all()
        text += "".join(tasks.REBER_SYMBOLS[symbol] for symbol in inputs.argmax(1))
    expected = np.random.default_rng(3)
    assert text == "".join(tasks.embedded_reber_string(expected) for _ in range(200))
    whole = tasks.ReberStream(np.random.default_rng(3)).take(len(text))
    assert "".join(tasks.REBER_SYMBOLS[symbol] for symbol in whole[0].argmax(1)) == text


def test_very_long_lags_last_at_least_q_and_end_with_probability_a_tenth() -> None:
    task = tasks.VeryLongLags(q=50, p=20)
    sequences = draw(task, 3000)
    distractors = np.array([sequence.length - 3 for sequence in sequences])
    assert distractors.min() == 50
    assert abs((distractors - 50).mean() - 9) < 1  # geometric: mean 1/0.1 - 1
    for sequence in sequences[:100]:
        symbols = sequence.inputs.argmax(1)
        assert symbols[0] == 22 and symbols[1] in (20, 21) and symbols[-1] == 23
        assert (symbols[2:-1] < 20).all()
        assert sequence.targets[-1].argmax() == symbols[1] - 20


def test_two_sequence_classes_are_told_by_the_first_elements() -> None:
    task = tasks.TwoSequence(T=100, n=3)
    sequences = draw(task, 1000)
    labels = np.array([sequence.targets[-1, 0] for sequence in sequences])
    assert abs(labels.mean() - 0.5) < 0.06
    noise = np.concatenate([sequence.inputs[3:, 0] for sequence in sequences])
    assert abs(noise.mean()) < 0.01 and abs(noise.var() - 0.2) < 0.005
    for sequence, label in zip(sequences, labels):
        assert 100 <= sequence.length <= 110
        assert (sequence.inputs[:3] == 2 * label - 1).all()


@pytest.mark.parametrize("task", [tasks.Adding(100), tasks.Multiplication(100)])
def test_marked_values_make_the_target(task: tasks.Task) -> None:
    for sequence in draw(task, 1000):
        values, markers = sequence.inputs.T
        assert 100 <= sequence.length <= 110
        assert markers[-1] == -1 and markers[0] in (-1, 1)
        first, second = np.flatnonzero(markers == 1)
        assert first < 10 and second < 49  # the second lag is at least T/2
        x1, x2 = float(values[first]), float(values[second])
        target = 0.5 + (x1 + x2) / 4 if isinstance(task, tasks.Adding) else x1 * x2
        assert abs(target - sequence.targets[-1, 0]) < 1e-6


@pytest.mark.parametrize("task, value", [(tasks.Adding(40), 0), (tasks.Multiplication(40), 1)])
def test_a_marked_first_pair_changes_nothing(task: tasks.Task, value: float) -> None:
    """HS97: X1 becomes 0 in the sum, and 1 in the product."""
    firsts = [one for one in draw(task, 400) if one.inputs[0, 1] == 1]
    assert len(firsts) > 20
    assert all(one.inputs[0, 0] == value for one in firsts)


@pytest.mark.parametrize("shuffled", [False, True])
def test_2b_asks_for_its_last_step_only(shuffled: bool) -> None:
    task = tasks.NoiseFree(p=12, shuffled=shuffled)
    (sequence,) = draw(task, 1)
    assert sequence.weights[-1] == 1
    assert (sequence.weights[:-1] == (0 if shuffled else 1)).all()
    outputs = sequence.targets.copy()
    outputs[4] = 1 - outputs[4]
    assert task.correct(outputs, sequence) is shuffled
    outputs = sequence.targets.copy()
    outputs[-1, 0] = 0.3
    assert not task.correct(outputs, sequence)


def test_two_sequences_have_to_be_answered_within_a_fifth() -> None:
    task = tasks.TwoSequence(T=20, n=3)
    (sequence,) = draw(task, 1)
    for error, right in ((0.19, True), (0.21, False)):
        output = np.array([[abs(sequence.targets[-1, 0] - error)]])
        assert task.correct(output, sequence) is right


@pytest.mark.parametrize("markers", [2, 3])
def test_temporal_order_is_the_class(markers: int) -> None:
    task = tasks.TemporalOrder(markers)
    seen = set()
    for sequence in draw(task, 500):
        symbols = sequence.inputs.argmax(1)
        assert 100 <= sequence.length <= 110
        positions = np.flatnonzero((symbols == 2) | (symbols == 3))
        assert len(positions) == markers
        for position, (low, high) in zip(positions, task.windows):
            assert low <= position <= high
        label = int("".join(str(symbols[p] - 2) for p in positions), 2)
        assert sequence.targets[-1].argmax() == label
        seen.add(label)
    assert len(seen) == 2**markers


def test_spike_delays_are_the_answer() -> None:
    task = tasks.MeasureSpikeDelays(F=10, interval=1, spikes=10)
    for sequence in draw(task, 50):
        times = np.flatnonzero(sequence.inputs[:, 0])
        np.testing.assert_array_equal(np.diff(times) - 10, sequence.targets[times[1:], 0])
        assert set(np.flatnonzero(sequence.weights)) == set(times[1:])
