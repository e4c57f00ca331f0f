"""The trainer: optimisers against PyTorch's, gradients against differences, and runs that are
stopped, killed, cut in time and done with several threads against runs that are not."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers
from conftest import FIXTURES, HERE
from networks import inputs_for, random_network
from training_library import Data, Trainer

ORACLES = sorted((FIXTURES / "optim").glob("*.h5"))


def weights(net: carousel.Network) -> bytes:
    return net.parameter_buffer().tobytes()


def forecaster(dtype: str = "float64", seed: int = 1, **options: Any) -> carousel.Network:
    return carousel.Network(
        [layers.LSTM(5, name="lstm", **options), layers.Dense(2, name="fc")],
        input_size=3,
        dtype=dtype,
        seed=seed,
    )


def sequences(
    rows: int = 20, time: int = 7, seed: int = 0, per_step: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, time, 3))
    y = np.stack([np.tanh(x.cumsum(1)[..., 0]), np.sin(x.sum(2))], axis=2)
    return x, y if per_step else y[:, -1]


# --- optimisers --------------------------------------------------------------------------------


def load_torch(net: carousel.Network, group: h5py.Group) -> None:
    p = net.parameters()
    p["lstm/kernel"][:] = group["lstm.weight_ih_l0"][()].T
    p["lstm/recurrent_kernel"][:] = group["lstm.weight_hh_l0"][()].T
    p["lstm/bias"][:] = group["lstm.bias_ih_l0"][()]
    p["fc/kernel"][:] = group["fc.weight"][()].T
    p["fc/bias"][:] = group["fc.bias"][()]


def assert_torch(net: carousel.Network, group: h5py.Group, tolerance: float) -> None:
    p = net.parameters()
    for key, name in (
        ("lstm/kernel", "lstm.weight_ih_l0"),
        ("lstm/recurrent_kernel", "lstm.weight_hh_l0"),
        ("lstm/bias", "lstm.bias_ih_l0"),
        ("fc/kernel", "fc.weight"),
        ("fc/bias", "fc.bias"),
    ):
        np.testing.assert_allclose(p[key], group[name][()].T, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("path", ORACLES, ids=lambda path: path.stem)
def test_optimisers_are_those_of_torch(path: Path, dtype: str) -> None:
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    with h5py.File(path) as file:
        group, hyper = file[dtype], json.loads(file.attrs["hyper"])
        if file.attrs["optimizer"] == "RMSprop":
            hyper["rho"] = 0.99  # PyTorch's default
        net = forecaster(dtype)
        load_torch(net, group["init"])
        trainer = Trainer(
            net,
            optimizer=str(file.attrs["optimizer"]).lower(),
            clip_norm=float(file.attrs["clip_norm"]),
            learning_rate=hyper.pop("lr"),
            **hyper,
        )
        x, target = group["x"][()], group["target"][()]
        for step, loss in enumerate(group["loss_before_step"][()]):
            result = trainer.step(x, target)
            assert result.step == step
            assert result.loss == pytest.approx(loss, rel=tolerance)
            norm = group["grad_norm_before_clip"][step]
            assert result.gradient_norm == pytest.approx(norm, rel=10 * tolerance)
            if step == 0:
                assert_torch(net, group["step1"], tolerance)
        assert_torch(net, group["final"], 10 * tolerance)


VARIANTS = [
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.8, "momentum": 0.5, "centered": True}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("kind", "hyper"), VARIANTS, ids=lambda value: str(value))
def test_optimisers_variants_and_epochs_are_those_of_torch(
    kind: str, hyper: dict[str, Any]
) -> None:
    """The same data, weights and order in PyTorch and here: losses epoch by epoch."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    rnn, head = torch.nn.LSTM(3, 5, batch_first=True).double(), torch.nn.Linear(5, 2).double()
    torch.nn.init.zeros_(rnn.bias_hh_l0)
    rnn.bias_hh_l0.requires_grad_(False)
    net = forecaster()
    state = {"lstm." + k: v for k, v in rnn.state_dict().items()}
    state |= {"fc." + k: v for k, v in head.state_dict().items()}
    load_torch(net, {k: v.numpy() for k, v in state.items()})  # type: ignore[arg-type]
    names = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
    own = {names.get(key, key): value for key, value in hyper.items()}
    if "betas" in own:
        own["beta_1"], own["beta_2"] = own.pop("betas")
    trainer = Trainer(net, optimizer=kind.lower(), **own)
    parameters = [p for p in [*rnn.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = getattr(torch.optim, kind)(parameters, **hyper)
    x, y = sequences(20)
    losses = []
    for _ in range(5):
        total = 0.0
        for first in range(0, 20, 8):
            optimizer.zero_grad()
            part = torch.tensor(x[first : first + 8])
            output = head(rnn(part)[0][:, -1])
            loss = torch.nn.functional.mse_loss(output, torch.tensor(y[first : first + 8]))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        losses.append(total / 20)
    trainer.fit(x, y, epochs=5, batch_size=8, no_shuffle=1)
    np.testing.assert_allclose(trainer.history["loss"], losses, rtol=1e-9)


# --- losses and their gradients ----------------------------------------------------------------

CASES = [
    ("mse", False, "linear"),
    ("mae", False, "linear"),
    ("huber", False, "linear"),
    ("binary_crossentropy", False, "sigmoid"),
    ("binary_crossentropy", True, "linear"),
    ("categorical_crossentropy", False, "softmax"),
    ("categorical_crossentropy", False, "sigmoid"),
    ("categorical_crossentropy", True, "linear"),
    ("sparse_categorical_crossentropy", False, "softmax"),
    ("sparse_categorical_crossentropy", True, "linear"),
]


def targets_for(loss: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if loss == "sparse_categorical_crossentropy":
        return rng.integers(0, shape[-1], shape[:-1])
    if loss == "categorical_crossentropy":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, shape).astype(float)
    return rng.normal(size=shape)


def reference(
    loss: str, logits: bool, output: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> float:
    """The loss from its definition; ``weight`` is 0 at positions that do not count."""
    if loss.endswith("categorical_crossentropy"):
        if logits:
            shifted = output - output.max(-1, keepdims=True)
            p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
        else:
            p = np.clip(output / output.sum(-1, keepdims=True), 1e-7, 1 - 1e-7)
        if loss.startswith("sparse"):
            y = np.eye(output.shape[-1])[y]
        each = -(y * np.log(p)).sum(-1)
    elif loss == "binary_crossentropy":
        p = 1 / (1 + np.exp(-output)) if logits else np.clip(output, 1e-7, 1 - 1e-7)
        each = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)
    else:
        error = np.abs(output - y)
        square = error**2
        huber = np.where(error <= 0.7, square / 2, 0.7 * (error - 0.35))
        each = {"mse": square, "mae": error, "huber": huber}[loss].mean(-1)
    return float((each * weight).sum())


@pytest.mark.parametrize(("loss", "logits", "activation"), CASES)
def test_loss_and_gradient_are_what_the_definition_says(
    loss: str, logits: bool, activation: str
) -> None:
    """With lengths, sample weights and class weights, against central differences."""
    rng = np.random.default_rng(5)
    net = carousel.Network(
        [
            layers.LSTM(4, return_sequences=True, name="lstm"),
            layers.Dense(3, activation=activation, name="head"),
        ],
        input_size=2,
        dtype="float64",
        seed=2,
    )
    x, lengths = rng.normal(size=(4, 6, 2)), np.array([6, 3, 1, 0])
    y = targets_for(loss, rng, (4, 6, 3))
    sample_weight = rng.uniform(0.5, 2, size=(4, 6))
    is_classes = loss.endswith("categorical_crossentropy")
    class_weights = [1.0, 2.0, 0.5] if is_classes else None
    trainer = Trainer(
        net,
        loss,
        from_logits=logits,
        delta=0.7 if loss == "huber" else 0,
        class_weights=class_weights,
    )
    valid = np.arange(6) < lengths[:, None]
    weight = sample_weight * valid / valid.sum()
    if class_weights is not None:
        classes = y if y.ndim == 2 else y.argmax(-1)
        weight = weight * np.asarray(class_weights)[classes]

    def loss_of() -> float:
        return reference(loss, logits, net(x, lengths=lengths), y, weight)

    data = {"lengths": lengths, "sample_weight": sample_weight}
    result = trainer.compute_gradients(x, y, **data)
    assert result.loss == pytest.approx(loss_of(), rel=1e-9)
    gradients = trainer.gradients()
    buffer = net.parameter_buffer()
    assert gradients.size == buffer.size
    for index in rng.choice(np.flatnonzero(buffer), 12, replace=False):
        kept, step = buffer[index], 1e-6
        buffer[index] = kept + step
        above = loss_of()
        buffer[index] = kept - step
        below = loss_of()
        buffer[index] = kept
        numeric = (above - below) / (2 * step)
        assert gradients[index] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_probabilities_at_the_clip() -> None:
    """Keras's clip: finite loss, and no gradient beyond it."""
    net = carousel.Network([layers.Dense(1, name="d")], input_size=1, dtype="float64")
    p = net.parameters()
    p["d/kernel"][:], p["d/bias"][:] = 0, 1
    trainer = Trainer(net, "binary_crossentropy")
    result = trainer.compute_gradients(np.zeros((1, 1, 1)), np.zeros((1, 1)))
    assert result.loss == pytest.approx(-math.log(1e-7), rel=1e-6)
    assert not trainer.gradients().any()


def test_masked_targets_may_be_anything() -> None:
    net = forecaster(return_sequences=True)
    x, _ = sequences(3, 4)
    y = np.array([[0, 1, 1, 0], [1, 1, -1, -1], [-1, -1, -1, -1]])
    trainer = Trainer(
        net, "sparse_categorical_crossentropy", from_logits=True, class_weights=[1, 3]
    )
    lengths = np.array([4, 2, 0])
    assert math.isfinite(trainer.step(x, y, lengths=lengths).loss)
    with pytest.raises(carousel.Error, match="row 1, step 2: -1"):
        trainer.step(x, y, lengths=np.array([4, 3, 0]))


def test_metrics() -> None:
    rng = np.random.default_rng(1)
    net = carousel.Network([layers.Dense(4, name="d")], input_size=3, dtype="float64")
    x, y = rng.normal(size=(50, 1, 3)), rng.integers(0, 4, 50)
    logits = net(x)[:, 0]
    right = np.mean(logits.argmax(1) == y)
    for loss, target in (
        ("sparse_categorical_crossentropy", y),
        ("categorical_crossentropy", np.eye(4)[y]),
    ):
        trainer = Trainer(net, loss, metrics=("accuracy",), from_logits=True)
        assert trainer.evaluate(x, target, 7).metrics[0] == pytest.approx(right)
    target = rng.integers(0, 2, (50, 4)).astype(float)
    trainer = Trainer(net, "binary_crossentropy", ("accuracy", "mae", "mse"), from_logits=True)
    result = trainer.evaluate(x, target, 13)
    assert result.metrics[0] == pytest.approx(np.mean((logits > 0) == (target > 0.5)))
    assert result.metrics[1] == pytest.approx(np.mean(np.abs(logits - target)))
    assert result.metrics[2] == pytest.approx(np.mean((logits - target) ** 2))


def test_last_step_targets_meet_the_last_valid_step() -> None:
    net = forecaster(return_sequences=True)
    x, y = sequences(4)
    lengths = np.array([7, 4, 2, 1])
    output = net(x, lengths=lengths)
    expected = np.mean((output[np.arange(4), lengths - 1] - y) ** 2)
    result = Trainer(net).compute_gradients(x, y, lengths=lengths)
    assert result.loss == pytest.approx(expected, rel=1e-12)


def test_penalties() -> None:
    net = forecaster()
    x, y = sequences()
    plain, both = Trainer(net), Trainer(net, l1=0.01, l2=0.1, optimizer="sgd", learning_rate=0.5)
    plain.compute_gradients(x, y)
    kernels = [v for k, v in net.parameters().items() if not k.endswith("bias")]
    penalty = sum(0.01 * np.abs(k).sum() + 0.1 * (k**2).sum() for k in kernels)
    before = net.parameters()["fc/kernel"].copy()
    loss = plain.compute_gradients(x, y).loss
    offset = net.parameters()["fc/kernel"].ctypes.data - net.parameter_buffer().ctypes.data
    gradient = plain.gradients()[offset // 8 :][: before.size].reshape(before.shape)
    assert both.step(x, y).loss == pytest.approx(loss + penalty)
    expected = before - 0.5 * (gradient + 0.01 * np.sign(before) + 0.2 * before)
    np.testing.assert_allclose(net.parameters()["fc/kernel"], expected, rtol=1e-12)


# --- schedules ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "step", "interval": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ({"kind": "exponential", "interval": 1, "factor": 0.5}, [0.5**n for n in range(6)]),
        (
            {"kind": "cosine", "interval": 4, "minimum": 0.2},
            [0.2 + 0.4 * (1 + math.cos(math.pi * min(n / 4, 1))) for n in range(6)],
        ),
        ({"kind": "constant", "warmup": 4}, [0.25, 0.5, 0.75, 1, 1, 1]),
    ],
)
def test_schedules(schedule: dict[str, Any], expected: list[float]) -> None:
    net = forecaster()
    trainer = Trainer(net, schedule=schedule, learning_rate=1e-6)
    rates = []
    for _ in expected:
        rates.append(trainer.info.learning_rate / 1e-6)
        trainer.step(*sequences(2))
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_plateau_reduces_the_rate() -> None:
    """Nothing learns at a rate of 1e-12, so every epoch is a plateau."""
    net = forecaster()
    schedule = {
        "kind": "plateau",
        "factor": 0.5,
        "patience": 2,
        "minimum_delta": 0.1,
        "minimum": 2e-13,
    }
    trainer = Trainer(net, schedule=schedule, learning_rate=1e-12)
    trainer.fit(*sequences(4), epochs=9)
    expected = [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]
    np.testing.assert_allclose(np.divide(trainer.history["learning_rate"], 1e-12), expected)


# --- reproducibility ---------------------------------------------------------------------------


def noisy(dtype: str = "float32", seed: int = 4) -> carousel.Network:
    """Everything random or stateful that a network can have."""
    return carousel.Network(
        [
            layers.LSTM(20, return_sequences=True, recurrent_dropout=0.2, zoneout=0.1, name="a"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, name="drop"),
            layers.GRU(9, dropout=0.1, name="b"),
            layers.Dense(2, name="head"),
        ],
        input_size=3,
        dtype=dtype,
        seed=seed,
    )


def test_a_seed_gives_the_same_bits_at_any_number_of_threads() -> None:
    x, y = sequences(50)
    results = []
    for threads, seed in ((1, 7), (2, 7), (1, 8)):
        net = noisy()
        trainer = Trainer(net, threads=threads, seed=seed, clip_norm=1)
        trainer.fit(x, y, epochs=2, batch_size=16)
        results.append((weights(net), trainer.history["loss"]))
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize("stop_after", [1, 3, 4, 7])
def test_what_was_stopped_goes_on_with_the_same_bits(stop_after: int, tmp_path: Path) -> None:
    x, y = sequences(50)
    options = {"epochs": 4, "batch_size": 16, "early_stopping": 1, "patience": 3}
    kwargs = {
        "seed": 3,
        "metrics": ("mae",),
        "schedule": {"kind": "plateau", "factor": 0.5, "patience": 1, "minimum_delta": 1e-3},
    }
    validation = Data(*sequences(10, seed=9))
    whole = noisy()
    straight = Trainer(whole, **kwargs)
    straight.fit(x, y, validation, **options)

    first = noisy()
    trainer = Trainer(first, **kwargs)
    seen: list[int] = []

    def stop(event: Any) -> bool:
        seen.append(event.batch)
        return len(seen) == stop_after

    with pytest.raises(carousel.Error):
        trainer.fit(x, y, validation, stop, **options)
    trainer.save(tmp_path / "checkpoint.h5")

    second = noisy(seed=99)
    resumed = Trainer(second, **kwargs)
    resumed.resume(tmp_path / "checkpoint.h5")
    assert resumed.info.step == trainer.info.step
    resumed.fit(x, y, validation, **options)
    assert weights(second) == weights(whole)
    assert resumed.history == straight.history
    # The one that was stopped goes on as well.
    trainer.fit(x, y, validation, **options)
    assert weights(first) == weights(whole)
    # And the checkpoint is a network.
    loaded = carousel.load(tmp_path / "checkpoint.h5")
    assert sorted(loaded.parameters()) == sorted(whole.parameters())


VICTIM = """
import sys
sys.path.insert(0, {here!r})
import conftest
from test_trainer import noisy, sequences
from training_library import Trainer
trainer = Trainer(noisy(), seed=3)
def save(event):
    if event.step == 9 and not event.is_end_of_epoch:
        trainer.save({path!r})
        print("saved", flush=True)
    return False
trainer.fit(*sequences(50), callback=save, epochs=100000, batch_size=16)
"""


def test_what_was_killed_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    path = str(tmp_path / "checkpoint.h5")
    script = VICTIM.format(here=str(HERE), path=path)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=os.environ
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"saved\n"
        victim.send_signal(signal.SIGKILL)
    straight, resumed = noisy(), noisy(seed=50)
    Trainer(straight, seed=3).fit(*sequences(50), epochs=5, batch_size=16)
    trainer = Trainer(resumed, seed=3)
    trainer.resume(path)
    trainer.fit(*sequences(50), epochs=5, batch_size=16)
    assert weights(resumed) == weights(straight)


def test_a_checkpoint_is_a_keras_model(tmp_path: Path) -> None:
    net = forecaster("float32")
    trainer = Trainer(net)
    trainer.step(*sequences())
    trainer.save(tmp_path / "checkpoint.h5")
    with h5py.File(tmp_path / "checkpoint.h5", "a") as file:
        assert "LSTM" in file.attrs["model_config"]
        group = file["model_weights/lstm"]
        stored = [group[name][()] for name in group.attrs["weight_names"]]
        del file.attrs["carousel_format"]  # what Keras sees
    for value, name in zip(stored, ("kernel", "recurrent_kernel", "bias")):
        assert np.array_equal(value, net.parameters()[f"lstm/{name}"])
    x, _ = sequences()
    assert np.array_equal(carousel.load(tmp_path / "checkpoint.h5")(x), net(x))


def test_a_checkpoint_goes_on_only_with_what_it_was_made_with(tmp_path: Path) -> None:
    trainer = Trainer(forecaster())
    trainer.step(*sequences())
    trainer.save(tmp_path / "a.h5")
    other = Trainer(forecaster(), optimizer="sgd")
    with pytest.raises(carousel.Error, match="options"):
        other.resume(tmp_path / "a.h5")
    wider = carousel.Network([layers.LSTM(6), layers.Dense(2)], input_size=3, dtype="float64")
    before = weights(wider)
    with pytest.raises(carousel.Error, match="architecture"):
        Trainer(wider).resume(tmp_path / "a.h5")
    assert weights(wider) == before
    trainer.net.save(tmp_path / "b.h5")
    with pytest.raises(carousel.Error, match="no checkpoint"):
        trainer.resume(tmp_path / "b.h5")


# --- time: segments and truncation -------------------------------------------------------------


def labeller(dtype: str, seed: int = 6, **options: Any) -> carousel.Network:
    return carousel.Network(
        [
            layers.LSTM(11, return_sequences=True, peepholes=True, name="a", **options),
            layers.Dropout(0.2, name="drop"),
            layers.GRU(7, return_sequences=True, name="b"),
            layers.Dense(2, name="head"),
        ],
        input_size=3,
        dtype=dtype,
        seed=seed,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.1, "recurrent_dropout": 0.2}])
def test_segments_change_no_bit(dtype: str, options: dict[str, float]) -> None:
    for time in (15, 16, 47, 70):
        x, y = sequences(5, time, per_step=True)
        lengths = np.array([time, 3, 0, time // 2, time - 1])
        for data in ({}, {"lengths": lengths}):
            plain, cut = labeller(dtype, **options), labeller(dtype, **options)
            one, two = Trainer(plain, seed=2), Trainer(cut, seed=2, segment=16)
            for _ in range(2):
                a, b = one.step(x, y, **data), two.step(x, y, **data)
                assert a.loss == b.loss
                assert one.gradients().tobytes() == two.gradients().tobytes()
            assert weights(plain) == weights(cut)


@pytest.mark.parametrize("seed", range(16))
def test_neither_segments_nor_threads_change_a_bit_of_random_networks(seed: int) -> None:
    net, rng = random_network(seed, streams=True, dtype="float32" if seed % 3 else "float64")
    batch, time = int(rng.integers(1, 20)), int(rng.integers(17, 80))
    x = inputs_for(net, rng, batch, time)
    y = rng.normal(size=net(x).shape)
    data = {"lengths": rng.integers(0, time + 1, batch)} if seed % 2 else {}
    segment = int(rng.choice([16, 32, 48]))
    results = set()
    for options in ({}, {"segment": segment}, {"segment": segment, "threads": 2}, {"threads": 2}):
        trainer = Trainer(net.copy(), seed=1, **{"threads": 1, **options})
        loss = trainer.compute_gradients(x, y, **data).loss
        results.add((loss, trainer.gradients().tobytes()))
    assert len(results) == 1


def test_moving_statistics_count_before_the_weights_change() -> None:
    """`compute_gradients` moves them: the next call and the next tape use the new ones."""
    net = carousel.Network(
        [layers.LSTM(3, return_sequences=True), layers.BatchNormalization()], input_size=2
    )
    x = np.random.default_rng(2).normal(size=(4, 6, 2)).astype(np.float32)
    dy = np.ones((4, 6, 3), np.float32)
    called, taped = net(x), net.backpropagate(x, dy).output
    Trainer(net).compute_gradients(x, dy)
    assert not np.array_equal(net(x), called)
    assert not np.array_equal(net.backpropagate(x, dy).output, taped)
    assert np.array_equal(net.backpropagate(x, dy).output, net.copy()(x))


def test_segments_change_no_bit_of_the_last_output() -> None:
    x, y = sequences(5, 50)
    plain, cut = forecaster("float32"), forecaster("float32")
    one, two = Trainer(plain), Trainer(cut, segment=32)
    one.step(x, y)
    two.step(x, y)
    assert one.gradients().tobytes() == two.gradients().tobytes()


def test_segments_take_less_memory() -> None:
    plain, cut = Trainer(labeller("float32")), Trainer(labeller("float32"), segment=112)
    assert cut.step_size(4, 10_000) < plain.step_size(4, 10_000) / 20
    x, y = sequences(4, 10_000, per_step=True)
    assert math.isfinite(cut.step(x, y).loss)


@pytest.mark.parametrize(("units", "features", "outputs"), [(64, 16, 16), (128, 48, 32)])
def test_the_memory_of_a_step_is_what_the_documentation_says(
    units: int, features: int, outputs: int
) -> None:
    net = carousel.Network(
        [layers.LSTM(units, return_sequences=True), layers.Dense(outputs)], input_size=features
    )
    trainer, batch = Trainer(net), 16
    difference = trainer.step_size(batch, 700) - trainer.step_size(batch, 300)
    gates = 4 * units + (16 if units % 128 == 0 else 0)
    expected = 4 * batch * 400 * (2 * features + gates + 3 * units + 3 * outputs + 1.25)
    assert difference == pytest.approx(expected, rel=0.01)
    # Adam: gradients, weights before the step, two slots.
    assert trainer.info.held_size == 4 * net.parameter_buffer().nbytes


def test_segments_are_refused_where_time_cannot_be_cut() -> None:
    both = carousel.Network([layers.Bidirectional(layers.LSTM(3)), layers.Dense(1)], input_size=2)
    with pytest.raises(carousel.Error, match="segments"):
        Trainer(both, segment=16)
    with pytest.raises(carousel.Error, match="16"):
        Trainer(labeller("float32"), segment=20)


def test_truncation_that_covers_the_sequence_is_none() -> None:
    x, y = sequences(5, 12, per_step=True)
    plain, cut = labeller("float64"), labeller("float64")
    Trainer(plain).step(x, y)
    Trainer(cut, truncate=(12, 12)).step(x, y)
    assert weights(plain) == weights(cut)


def test_truncation_is_what_its_definition_says() -> None:
    """Parts of 4 steps, error through 8: by hand, with states carried."""
    x, y = sequences(3, 12, per_step=True)
    net = forecaster("float64", return_sequences=True)
    twin = net.copy()
    trainer = Trainer(net, optimizer="sgd", learning_rate=0.1, truncate=(4, 8))
    result = trainer.step(x, y)
    assert trainer.info.step == 3

    losses = []
    carried = [[np.zeros((3, 5)), np.zeros((3, 5))]]
    for part in range(3):
        new = slice(4 * part, 4 * part + 4)
        output, state = twin(x[:, new], initial_state=[tuple(carried[-1])], return_state=True)
        error = output - y[:, new]
        losses.append(np.mean(error**2))
        first = max(part - 1, 0)
        window = slice(4 * first, 4 * part + 4)
        # The stored state at the beginning of each part is used in both, here and there.
        gradient = np.zeros_like(twin.parameter_buffer())
        carry = None
        for index in range(part, first - 1, -1):
            steps = slice(4 * index, 4 * index + 4)
            g = np.zeros((3, 4, 2))
            if index == part:
                g = 2 * error / error.size
            tape = twin.backpropagate(
                x[:, steps], g, initial_state=[tuple(carried[index])], state_gradient=carry
            )
            carry = tape.initial_state
            for key, value in tape.parameters.items():
                view = twin.parameters()[key]
                start = (view.ctypes.data - twin.parameter_buffer().ctypes.data) // 8
                gradient[start : start + value.size] += value.ravel()
        assert window.stop == new.stop
        twin.parameter_buffer()[:] -= 0.1 * gradient
        carried.append([np.array(s) for s in state[0]])
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_allclose(net.parameter_buffer(), twin.parameter_buffer(), rtol=1e-11)


# --- batches -----------------------------------------------------------------------------------


def test_micro_batches_give_the_same_gradients() -> None:
    x, y = sequences(20)
    whole, parts = Trainer(forecaster()), Trainer(forecaster(), micro_batch=6)
    a, b = whole.compute_gradients(x, y), parts.compute_gradients(x, y)
    assert a.loss == pytest.approx(b.loss, rel=1e-12)
    np.testing.assert_allclose(whole.gradients(), parts.gradients(), rtol=1e-9, atol=1e-12)


def test_halves_of_a_step_are_the_step() -> None:
    x, y = sequences(20)
    one, two = forecaster(), forecaster()
    Trainer(one).step(x, y)
    trainer = Trainer(two)
    trainer.compute_gradients(x, y)
    trainer.apply_gradients()
    assert weights(one) == weights(two)
    once = trainer.compute_gradients(x, y) and trainer.gradients()
    trainer.compute_gradients(x, y, accumulate=True)
    np.testing.assert_allclose(trainer.gradients(), 2 * once, rtol=1e-12)


def test_shuffling_takes_every_row_once() -> None:
    """With a rate of 0 the epoch's loss is the mean over all rows, whatever their order."""
    net = forecaster()
    x, y = sequences(23)
    trainer = Trainer(net, optimizer="sgd", learning_rate=-1)
    trainer.fit(x, y, epochs=3, batch_size=5)
    expected = np.mean((net(x) - y) ** 2)
    np.testing.assert_allclose(trainer.history["loss"], 3 * [expected], rtol=1e-12)


def test_validation_split_takes_the_last_rows() -> None:
    net = forecaster()
    x, y = sequences(20)
    trainer = Trainer(net, optimizer="sgd", learning_rate=-1)
    trainer.fit(x, y, epochs=1, batch_size=5, validation_split=0.25)
    error = (net(x) - y) ** 2
    assert trainer.history["loss"][0] == pytest.approx(np.mean(error[:15]))
    assert trainer.history["val_loss"][0] == pytest.approx(np.mean(error[15:]))


def test_early_stopping_restores_the_best_weights() -> None:
    """Validation data that contradict the training data get worse from some epoch on."""
    net = forecaster()
    x, y = sequences(16)
    wrong = Data(x, y + 0.3)
    trainer = Trainer(net, learning_rate=0.03)
    snapshots: list[bytes] = []

    def look(event: Any) -> bool:
        if event.is_end_of_epoch:
            snapshots.append(weights(net))
        return False

    trainer.fit(x, y, wrong, look, epochs=500, batch_size=4, early_stopping=1, patience=5)
    losses = trainer.history["val_loss"]
    assert trainer.info.is_stopped_early
    assert len(losses) < 500
    best = int(np.argmin(losses))
    assert trainer.info.best_epoch == best
    assert len(losses) == best + 6
    assert weights(net) == snapshots[best]


def test_the_best_weights_remain_when_the_epochs_end_first() -> None:
    net = forecaster()
    x, y = sequences(16)
    trainer, best = Trainer(net, learning_rate=0.03), []

    def look(event: Any) -> bool:
        if event.is_end_of_epoch:
            best.append((event.validation_loss, weights(net)))
        return False

    trainer.fit(
        x, y, Data(x, y + 0.3), look, epochs=60, batch_size=4, early_stopping=1, patience=1000
    )
    assert weights(net) == min(best)[1]
    assert weights(net) != best[-1][1]


def test_frozen_layers_do_not_move() -> None:
    net = forecaster()
    x, y = sequences()
    before = {k: v.copy() for k, v in net.parameters().items()}
    trainer = Trainer(net, optimizer="adamw")
    trainer.set_trainable("lstm", False)
    trainer.set_trainable("fc/bias", False)
    trainer.step(x, y)
    for key, value in net.parameters().items():
        assert np.array_equal(value, before[key]) == (key != "fc/kernel")
    with pytest.raises(carousel.Error, match="nothing"):
        trainer.set_trainable("nothing", False)


def test_what_is_not_finite_is_found_and_not_kept() -> None:
    net = forecaster("float32")
    x, y = sequences()
    trainer = Trainer(net)
    trainer.step(x, y)
    before = weights(net)
    bad = x.copy()
    bad[3, 2, 1] = np.nan
    with pytest.raises(carousel.Error, match=r"step 1: .*input.*row 3, step 2"):
        trainer.step(bad, y)
    with pytest.raises(carousel.Error, match=r"step 1: .*targets"):
        trainer.step(x, np.full_like(y, np.inf))
    with pytest.raises(carousel.Error, match="step 1: the gradient of 'lstm/kernel'"):
        trainer.step(x, 1e38 * np.ones_like(y), sample_weight=np.full(20, 1e3))
    assert weights(net) == before
    steep = Trainer(net, optimizer="sgd", learning_rate=1e38)
    with pytest.raises(carousel.Error, match="step 0: a weight of 'lstm/"):
        steep.step(x, 1e5 * y)
    assert weights(net) == before
    assert trainer.step(x, y).step == 1


def test_stateful_networks_go_on_where_they_were() -> None:
    x, y = sequences(6, 8)
    net = forecaster(stateful=True)
    trainer = Trainer(net, optimizer="sgd", learning_rate=-1)
    whole = forecaster(stateful=False)
    trainer.step(x[:, :4], y)
    net_loss = trainer.step(x[:, 4:], y).loss
    assert net_loss == pytest.approx(np.mean((whole(x) - y) ** 2), rel=1e-12)


@pytest.mark.parametrize("options", [{"segment": 16}, {"truncate": (16, 32)}])
def test_stateful_networks_in_segments_go_on_where_they_were(options: dict[str, Any]) -> None:
    x, y = sequences(6, 80, per_step=True)
    rates = {"optimizer": "sgd", "learning_rate": -1}
    net = forecaster(stateful=True, return_sequences=True)
    trainer, whole = Trainer(net, **options, **rates), Trainer(net.copy(), **rates)
    for part in (slice(0, 48), slice(48, 80)):
        a, b = trainer.step(x[:, part], y[:, part]), whole.step(x[:, part], y[:, part])
        assert a.loss == pytest.approx(b.loss, rel=1e-12)
        if "segment" in options:
            assert trainer.gradients().tobytes() == whole.gradients().tobytes()


def test_learned_initial_states_learn() -> None:
    net = forecaster(learn_initial_state=True)
    before = net.parameters()["lstm/initial_h"].copy()
    Trainer(net).step(*sequences())
    assert not np.any(net.parameters()["lstm/initial_h"] == before)


def test_bad_arguments_are_errors() -> None:
    net = forecaster()
    x, y = sequences()
    trainer = Trainer(net)
    for arguments in (
        (x[:3], y),
        (x, y[:, :1]),
        (x[:, :, :2], y),
    ):
        with pytest.raises(carousel.Error):
            trainer.step(*arguments)
    with pytest.raises(carousel.Error, match="lengths"):
        trainer.step(x, y, lengths=np.full(20, 9))
    classes = Trainer(net, "sparse_categorical_crossentropy", from_logits=True)
    with pytest.raises(carousel.Error, match="no class"):
        classes.step(x, np.full(20, 2))
    for options in (
        {"learning_rate": math.nan},
        {"optimizer": "sgd", "momentum": 1.5},
        {"clip_norm": -1},
        {"schedule": {"kind": "step"}},
        {"loss": ["mse", "mse"]},
    ):
        with pytest.raises(carousel.Error):
            Trainer(net, **options)
    for options in ({"batch_size": -1}, {"validation_split": 1.0}, {"epochs": -1}):
        with pytest.raises(carousel.Error):
            trainer.fit(x, y, **options)

    def again(event: Any) -> bool:
        with pytest.raises(carousel.Error, match="callback"):
            trainer.step(x, y)
        return False

    trainer.fit(x, y, callback=again, epochs=1)
