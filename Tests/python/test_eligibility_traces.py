"""Learning at every step: eligibility traces against back-propagation through whole sequences, and
the function that hears the gradients."""

from __future__ import annotations

from typing import Any

import carousel
import numpy as np
import pytest
from carousel import InvalidArgumentError, StoppedError, UnsupportedModelError

BATCH, TIME, INPUTS, UNITS, OUTPUTS = 3, 23, 4, 5, 2

CELLS: dict[str, dict[str, Any]] = {
    "all gates": {},
    "peepholes": {"peepholes": True},
    "coupled": {"coupled_gates": True},
    "coupled, peepholes": {"coupled_gates": True, "peepholes": ("input", "output")},
    "1997": {"forget_gate": False},
    "input gate": {"forget_gate": False, "output_gate": False},
    "carousel": {"input_gate": False, "forget_gate": False, "output_gate": False},
    "no output gate, peepholes": {"output_gate": False, "peepholes": ("input", "forget")},
    "linear": {"activation": "linear", "output_activation": "linear", "forget_gate": False},
    "no bias, logistic": {"use_bias": False, "activation": "sigmoid"},
    "projection": {"projection_size": 3},
}


def make(
    dtype: str = "float64", stateful: bool = False, batch: int | None = None, **switches: Any
) -> carousel.Network:
    """A shortcut, an LSTM, and an output at every step; all parameters random."""
    start = carousel.Input((None, INPUTS), batch_size=batch)
    cell = carousel.LSTM(
        UNITS,
        return_sequences=True,
        truncate_gates=True,
        stateful=stateful,
        name="cell",
        **switches,
    )(start)
    read = carousel.Dense(OUTPUTS, name="read")(cell)
    direct = carousel.Dense(OUTPUTS, name="direct")(start)
    end = carousel.Activation("sigmoid")(carousel.Add()([read, direct]))
    network = carousel.Network(inputs=start, outputs=end, dtype=dtype)
    rng = np.random.default_rng(1)
    for values in network.parameters().values():
        values[:] = rng.normal(0, 0.5, values.shape)
    return network


def examples(seed: int = 0, time: int = TIME) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(BATCH, time, INPUTS)), rng.uniform(size=(BATCH, time, OUTPUTS))


class Parts:
    """The gradients of every update of a trainer that changes nothing."""

    def __init__(self, network: carousel.Network, every: int, **options: Any) -> None:
        self.seen: list[np.ndarray] = []
        self.trainer = carousel.Trainer(
            network,
            "mse",
            carousel.SGD(0.0),
            truncate_every=every,
            on_gradients=lambda gradients: self.seen.append(gradients.copy()),
            **options,
        )

    def total(self, positions: list[int]) -> np.ndarray:
        """Of the mean over all positions; each update is of the mean over its own."""
        assert len(self.seen) == len(positions)
        weighted = [one * count for one, count in zip(self.seen, positions)]
        return np.sum(weighted, axis=0) / sum(positions)


def whole(network: carousel.Network, x: np.ndarray, y: np.ndarray, **data: Any) -> np.ndarray:
    trainer = carousel.Trainer(network, "mse", carousel.SGD(0.0))
    trainer.compute_gradients(x, y, **data)
    return trainer.gradients.copy()


def steps(every: int, time: int = TIME) -> list[int]:
    return [min(every, time - first) for first in range(0, time, every)]


@pytest.mark.parametrize("every", [1, 4, 16, TIME])
@pytest.mark.parametrize("name", CELLS)
def test_all_updates_together_are_the_gradient_of_the_whole_sequence(name: str, every: int) -> None:
    network = make(**CELLS[name])
    x, y = examples()
    parts = Parts(network, every, eligibility_traces=True)
    parts.trainer.step(x, y)
    expected = whole(network, x, y)
    found = parts.total([BATCH * count for count in steps(every)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_without_traces_the_past_is_lost() -> None:
    network, (x, y) = make(), examples()
    parts = Parts(network, 4)
    parts.trainer.step(x, y)
    expected = whole(network, x, y)
    found = parts.total([BATCH * count for count in steps(4)])
    assert np.abs(found - expected).max() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("name", CELLS)
def test_in_single_precision(name: str) -> None:
    network, (x, y) = make("float32", **CELLS[name]), examples()
    parts = Parts(network, 3, eligibility_traces=True)
    parts.trainer.step(x, y)
    expected = whole(make("float64", **CELLS[name]), x, y)
    found = parts.total([BATCH * count for count in steps(3)])
    exact = places(make("float64", **CELLS[name]))
    for key, spot in places(network).items():
        of_exact = exact[key]
        np.testing.assert_allclose(
            found[spot], expected[of_exact], rtol=0, atol=2e-5 * np.abs(expected).max()
        )


def places(network: carousel.Network) -> dict[str, slice]:
    """Where each parameter is in the flat buffers."""
    base = network.parameter_buffer().__array_interface__["data"][0]
    found = {}
    for name, values in network.parameters().items():
        first = (values.__array_interface__["data"][0] - base) // values.itemsize
        found[name] = slice(first, first + values.size)
    return found


@pytest.mark.parametrize("every", [1, 5])
def test_rows_of_different_lengths(every: int) -> None:
    network, (x, y) = make(peepholes=True), examples()
    lengths = [TIME, 7, 15]
    parts = Parts(network, every, eligibility_traces=True)
    parts.trainer.step(x, y, lengths=lengths)
    expected = whole(network, x, y, lengths=lengths)
    counts = [
        sum(min(max(length - first, 0), every) for length in lengths)
        for first in range(0, TIME, every)
    ]
    found = parts.total([count for count in counts if count])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_masked_steps_leave_the_traces_as_they_are() -> None:
    network, (x, y) = make(), examples()
    mask = np.random.default_rng(5).random((BATCH, TIME)) < 0.7
    mask[:, 9] = False  # no update at all
    parts = Parts(network, 1, eligibility_traces=True)
    parts.trainer.step(x, y, mask=mask)
    counts = [int(count) for count in mask.sum(0) if count]
    expected = whole(network, x, y, mask=mask)
    found = parts.total(counts)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_stateful_networks_go_on_from_call_to_call_until_they_are_reset() -> None:
    x, y = examples(time=20)
    once = Parts(make(stateful=True, batch=BATCH), 1, eligibility_traces=True)
    once.trainer.step(x, y)
    network = make(stateful=True, batch=BATCH)
    twice = Parts(network, 1, eligibility_traces=True)
    twice.trainer.step(x[:, :8], y[:, :8])
    twice.trainer.step(x[:, 8:], y[:, 8:])
    np.testing.assert_array_equal(np.stack(twice.seen), np.stack(once.seen))
    network.reset_states()
    del twice.seen[:]
    twice.trainer.step(x, y)
    np.testing.assert_array_equal(np.stack(twice.seen), np.stack(once.seen))


def test_a_call_that_failed_leaves_no_traces() -> None:
    """The states are those from before it; the traces would be those of its last step."""
    x, y = examples(time=8)
    network = make(stateful=True, batch=BATCH)
    stops, seen = [False], []

    def listen(gradients: np.ndarray) -> bool:
        seen.append(gradients.copy())
        return not (stops[0] and len(seen) == 3)

    trainer = carousel.Trainer(
        network,
        "mse",
        carousel.SGD(0.0),
        truncate_every=1,
        eligibility_traces=True,
        on_gradients=listen,
    )
    trainer.step(x, y)
    seen.clear()
    stops[0] = True
    with pytest.raises(StoppedError):
        trainer.step(x, y)
    without = Parts(network, 1)
    stops[0] = False
    seen.clear()
    trainer.step(x[:, :1], y[:, :1])
    network.reset_states()
    trainer.step(x, y)  # the state from before the failed call again
    without.trainer.step(x[:, :1], y[:, :1])
    np.testing.assert_array_equal(seen[0], without.seen[0])


def test_the_memory_of_a_step_does_not_grow_with_time() -> None:
    trainer = carousel.Trainer(make(), truncate_every=1, eligibility_traces=True)
    assert trainer.step_size(BATCH, 100_000) == trainer.step_size(BATCH, 100)
    without = carousel.Trainer(make(), truncate_every=1)
    assert trainer.step_size(BATCH, 100) > without.step_size(BATCH, 100)


def lstm(**switches: Any) -> carousel.Network:
    start = carousel.Input((None, 2))
    switches = {"return_sequences": True, "truncate_gates": True, "name": "cell", **switches}
    return carousel.Network(inputs=start, outputs=carousel.LSTM(3, **switches)(start))


def stack(*kinds: Any) -> carousel.Network:
    signal = start = carousel.Input((None, 2))
    for kind in kinds:
        signal = kind(signal)
    return carousel.Network(inputs=start, outputs=signal)


REFUSED = {
    "no truncate_gates": (lambda: lstm(truncate_gates=False), "'cell' has no truncate_gates"),
    "last step only": (lambda: lstm(return_sequences=False), "must return sequences"),
    "dropout": (lambda: lstm(dropout=0.1), "has dropout"),
    "zoneout": (lambda: lstm(zoneout=0.1), "has zoneout"),
    "norm": (lambda: lstm(layer_norm=True), "has layer normalisation"),
    "clip": (lambda: lstm(cell_clip=3.0), "clips its cells"),
    "learned state": (lambda: lstm(learn_initial_state=True), "learns its initial state"),
    "activation": (lambda: lstm(activation="softsign"), "derivative cannot be told"),
    "GRU": (lambda: stack(carousel.GRU(3, return_sequences=True, name="g")), "'g' is not an LSTM"),
    "none": (lambda: stack(carousel.Dense(3)), "no recurrent layer"),
    "two": (
        lambda: stack(
            carousel.LSTM(3, return_sequences=True, truncate_gates=True, name="a"),
            carousel.LSTM(3, return_sequences=True, truncate_gates=True, name="b"),
        ),
        "two recurrent layers, 'a' and 'b'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_traces_are_not_for_is_refused_by_name(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(UnsupportedModelError, match=message):
        carousel.Trainer(build(), truncate_every=1, eligibility_traces=True)


def test_parameters_before_the_cells_must_be_frozen() -> None:
    network = stack(
        carousel.Dense(3, name="before"),
        carousel.LSTM(3, return_sequences=True, truncate_gates=True),
        carousel.Dense(1, name="after"),
    )
    trainer = carousel.Trainer(network, truncate_every=1, eligibility_traces=True)
    x, y = np.zeros((1, 4, 2)), np.zeros((1, 4, 1))
    with pytest.raises(UnsupportedModelError, match="'before/kernel' comes before layer"):
        trainer.step(x, y)
    trainer.set_trainable("before", False)
    trainer.step(x, y)


def test_traces_need_truncation_and_no_second_distance() -> None:
    with pytest.raises(InvalidArgumentError, match="eligibility_traces needs"):
        carousel.Trainer(make(), eligibility_traces=True)
    with pytest.raises(InvalidArgumentError, match="back to the beginning, not 8"):
        carousel.Trainer(make(), truncate_every=4, truncate_through=8, eligibility_traces=True)


# --- the function that hears the gradients -----------------------------------------------------


def test_the_function_may_change_the_gradients() -> None:
    network, (x, y) = make(), examples()
    spot = places(network)["read/kernel"]

    def only_the_output(gradients: np.ndarray) -> None:
        kept = gradients[spot].copy()
        gradients[:] = 0
        gradients[spot] = 2 * kept

    before = network.parameter_buffer().copy()
    expected = whole(network, x, y)
    trainer = carousel.Trainer(network, "mse", carousel.SGD(0.1), on_gradients=only_the_output)
    result = trainer.step(x, y)
    change = network.parameter_buffer() - before
    np.testing.assert_allclose(change[spot], -0.2 * expected[spot], rtol=1e-12)
    change[spot] = 0
    assert not change.any()
    np.testing.assert_allclose(result.gradient_norm, 2 * np.linalg.norm(expected[spot]))


def test_false_ends_the_call_without_the_update() -> None:
    network, (x, y) = make(), examples()
    calls: list[int] = []

    def at_most_three(_gradients: np.ndarray) -> bool:
        calls.append(1)
        return len(calls) <= 3

    trainer = carousel.Trainer(network, truncate_every=5, on_gradients=at_most_three)
    with pytest.raises(StoppedError):
        trainer.step(x, y)
    assert trainer.steps_done == 3
    calls.clear()
    before = network.parameter_buffer().copy()
    calls += [1, 1, 1]
    with pytest.raises(StoppedError):
        trainer.step(x, y)
    np.testing.assert_array_equal(network.parameter_buffer(), before)


def test_what_the_function_raises_comes_out_of_the_call() -> None:
    network, (x, y) = make(), examples()

    def fails(_gradients: np.ndarray) -> None:
        raise KeyError("mine")

    before = network.parameter_buffer().copy()
    trainer = carousel.Trainer(network, on_gradients=fails)
    for call in (lambda: trainer.step(x, y), lambda: trainer.fit(x, y, progress=False)):
        with pytest.raises(KeyError, match="mine"):
            call()
    np.testing.assert_array_equal(network.parameter_buffer(), before)


def test_a_fit_that_the_function_ends_was_interrupted() -> None:
    x, y = examples()
    trainer = carousel.Trainer(make(), on_gradients=lambda _: trainer.steps_done < 2)
    history = trainer.fit(x, y, epochs=9, batch_size=1, progress=False)
    assert history.interrupted and trainer.steps_done == 2


def test_the_function_may_not_use_its_trainer() -> None:
    x, y = examples()
    trainer = carousel.Trainer(make(), on_gradients=lambda _: trainer.step(x, y))
    with pytest.raises(carousel.StateError, match="its own trainer"):
        trainer.step(x, y)
