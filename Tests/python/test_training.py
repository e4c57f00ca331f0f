"""Training: against PyTorch's optimisers (Tests/fixtures/optim), and its own promises."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers, losses
from conftest import FIXTURES, PACKAGE, manifest

ORACLES = [entry for entry in manifest() if entry["format"] == "optimizer-oracle-h5"]


# --- oracles -----------------------------------------------------------------------------------


def optimizer_of(attributes: Any) -> Any:
    hyper = json.loads(attributes["hyper"])
    names = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
    options = {names.get(name, name): value for name, value in hyper.items()}
    return getattr(carousel, attributes["optimizer"])(**options)


def network_of(group: h5py.Group, features: int, dtype: str) -> carousel.Network:
    units, outputs = group["fc.weight"].shape[1], group["fc.weight"].shape[0]
    stack = [layers.LSTM(units, name="lstm"), layers.Dense(outputs, name="fc")]
    net = carousel.Network(stack, input_size=features, dtype=dtype)
    for name, values in arrays_of(group).items():
        net.parameters()[name][...] = values
    return net


def arrays_of(group: h5py.Group) -> dict[str, np.ndarray]:
    return {
        "lstm/kernel": group["lstm.weight_ih_l0"][()].T,
        "lstm/recurrent_kernel": group["lstm.weight_hh_l0"][()].T,
        "lstm/bias": group["lstm.bias_ih_l0"][()] + group["lstm.bias_hh_l0"][()],
        "fc/kernel": group["fc.weight"][()].T,
        "fc/bias": group["fc.bias"][()],
    }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("entry", ORACLES, ids=lambda entry: entry["file"])
def test_optimizer(entry: dict[str, Any], dtype: str, record_property: Any) -> None:
    record_property("format", f"{entry['format']} in {dtype}")
    suffix = "32" if dtype == "float32" else ""
    limits = {kind: entry["tolerance"][kind + suffix] for kind in ("atol", "rtol")}
    with h5py.File(FIXTURES / entry["file"], "r") as file:
        group = file[dtype]
        x, target = group["x"][()], group["target"][()]
        net = network_of(group["init"], x.shape[2], dtype)
        trainer = carousel.Trainer(
            net, "mse", optimizer_of(file.attrs), clip_norm=float(file.attrs["clip_norm"])
        )
        for step in range(int(file.attrs["steps"])):
            result = trainer.step(x, target)
            assert result.step == step
            close = {"err_msg": f"step {step}", **limits}
            np.testing.assert_allclose(result.loss, group["loss_before_step"][step], **close)
            norm = group["grad_norm_before_clip"][step]
            np.testing.assert_allclose(result.gradient_norm, norm, **close)
            after = trainer.evaluate(x, target)["loss"]
            np.testing.assert_allclose(after, group["loss_after_step"][step], **close)
            if step == 0:
                for name, values in arrays_of(group["step1"]).items():
                    np.testing.assert_allclose(net.parameters()[name], values, **close)
        for name, values in arrays_of(group["final"]).items():
            np.testing.assert_allclose(net.parameters()[name], values, err_msg=name, **limits)


def test_a_model_learns_as_in_pytorch() -> None:
    """The same data, weights and optimiser: the same loss, epoch by epoch."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 9, 3)).astype(np.float32)
    y = x.sum(axis=(1, 2), keepdims=True)[:, 0].astype(np.float32)
    lstm, fc = torch.nn.LSTM(3, 8, batch_first=True), torch.nn.Linear(8, 1)
    torch.nn.init.zeros_(lstm.bias_hh_l0)
    lstm.bias_hh_l0.requires_grad_(False)
    names = {f"lstm.{name}": values for name, values in lstm.named_parameters()}
    names |= {f"fc.{name}": values for name, values in fc.named_parameters()}
    net = carousel.Network([layers.LSTM(8, name="lstm"), layers.Dense(1, name="fc")], input_size=3)
    for name, values in arrays_of({k: v.detach().numpy() for k, v in names.items()}).items():
        net.parameters()[name][...] = values
    parameters = [values for values in names.values() if values.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    wanted = []
    for _ in range(15):
        total = 0.0
        for start in range(0, 24, 8):
            optimizer.zero_grad()
            batch = torch.from_numpy(x[start : start + 8])
            loss = torch.mean(
                (fc(lstm(batch)[0][:, -1]) - torch.from_numpy(y[start : start + 8])) ** 2
            )
            loss.backward()
            optimizer.step()
            total += float(loss)
        wanted.append(total / 3)
    history = net.fit(
        x, y, optimizer=carousel.Adam(0.01), epochs=15, batch_size=8, shuffle=False, progress=False
    )
    np.testing.assert_allclose(history["loss"], wanted, rtol=1e-4)


# --- losses ------------------------------------------------------------------------------------

LOSSES = {
    "mse": (losses.MeanSquaredError(), "real"),
    "mae": (losses.MeanAbsoluteError(), "real"),
    "huber": (losses.Huber(0.5), "real"),
    "binary": (losses.BinaryCrossentropy(), "bits"),
    "binary from logits": (losses.BinaryCrossentropy(from_logits=True), "bits"),
    "categorical": (losses.CategoricalCrossentropy(), "distribution"),
    "categorical from logits": (losses.CategoricalCrossentropy(from_logits=True), "distribution"),
    "sparse": (losses.SparseCategoricalCrossentropy(), "classes"),
    "sparse from logits": (losses.SparseCategoricalCrossentropy(from_logits=True), "classes"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    """The trainer's losses are those of carousel.losses, whose derivatives are right."""
    rule, kind = LOSSES[name]
    from_logits = getattr(rule, "from_logits", False)
    final = {"real": None, "bits": "sigmoid", "distribution": "softmax", "classes": "softmax"}[kind]
    stack = [layers.LSTM(5, return_sequences=True), layers.Dense(3, None if from_logits else final)]
    net = carousel.Network(stack, input_size=2, dtype="float64", seed=1)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 6, 2))
    y = {
        "real": rng.normal(size=(4, 6, 3)),
        "bits": rng.integers(0, 2, size=(4, 6, 3)).astype(float),
        "distribution": rng.dirichlet(np.ones(3), size=(4, 6)),
        "classes": rng.integers(0, 3, size=(4, 6)),
    }[kind]
    output = net(x)
    value, slope = rule.of(output, y)
    assert net.evaluate(x, y, loss=rule)["loss"] == pytest.approx(value, rel=1e-9)
    trainer = carousel.Trainer(net, rule)
    trainer.compute_gradients(x, y)
    wanted = net.backpropagate(x, slope)
    np.testing.assert_allclose(trainer.gradients, wanted.buffer, rtol=1e-9, atol=1e-12)
    direction = rng.normal(size=output.shape)
    step = 1e-6
    above, below = rule.of(output + step * direction, y), rule.of(output - step * direction, y)
    measured = (above[0] - below[0]) / (2 * step)
    assert measured == pytest.approx(float(np.sum(slope * direction)), rel=1e-5, abs=1e-9)


# --- fit ---------------------------------------------------------------------------------------


def problem(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 7, 2)).astype(np.float32)
    return x, x[:, :, :1].sum(axis=1)


def model(seed: int = 0, **options: Any) -> carousel.Network:
    return carousel.Network([layers.LSTM(9, **options), layers.Dense(1)], input_size=2, seed=seed)


def test_fit_learns_and_tells() -> None:
    x, y = problem()
    net = model()
    history = net.fit(
        x,
        y,
        optimizer=carousel.Adam(0.02),
        epochs=30,
        batch_size=8,
        validation_split=0.2,
        metrics=["mae"],
        clip_norm=1.0,
        progress=False,
    )
    assert set(history) >= {"loss", "mae", "val_loss", "val_mae"}
    assert len(history["loss"]) == len(history["val_mae"]) == 30
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    measured = net.evaluate(x[:32], y[:32], metrics=["mae"])
    assert measured["loss"] == pytest.approx(np.mean((net(x[:32]) - y[:32]) ** 2), rel=1e-4)
    assert measured["mae"] == pytest.approx(np.mean(np.abs(net(x[:32]) - y[:32])), rel=1e-4)


def test_predict_in_batches() -> None:
    x, _ = problem()
    net = model()
    np.testing.assert_array_equal(net.predict(x, batch_size=7), net(x))
    lengths = np.arange(40) % 8
    got, states = net.predict(x, batch_size=9, lengths=lengths, return_state=True)
    wanted, others = net(x, lengths=lengths, return_state=True)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(states[0][1], others[0][1])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_network(threads: int) -> None:
    x, y = problem()
    results = []
    for count in (1, threads):
        net = model(dropout=0.2, recurrent_dropout=0.1, zoneout=0.1)
        net.fit(x, y, epochs=4, batch_size=8, seed=5, threads=count, progress=False)
        results.append(net.parameter_buffer().tobytes())
    assert results[0] == results[1]


def test_frozen_layers_stay() -> None:
    x, y = problem()
    net = model()
    kernel = net.parameters()["lstm/kernel"].copy()
    net.fit(x, y, epochs=2, freeze=["lstm"], progress=False)
    np.testing.assert_array_equal(net.parameters()["lstm/kernel"], kernel)
    frozen = carousel.Network(
        [layers.LSTM(9, trainable=False), layers.Dense(1)], input_size=2, seed=0
    )
    frozen.fit(x, y, epochs=2, progress=False)
    np.testing.assert_array_equal(frozen.parameters()["lstm/kernel"], kernel)
    assert frozen.parameters()["dense/bias"].any()


def test_early_stopping_restores_the_best_weights() -> None:
    x, y = problem(12)
    rng = np.random.default_rng(9)
    net = model()
    history = net.fit(
        x,
        y,
        epochs=200,
        optimizer=carousel.Adam(0.05),
        validation_data=(x, rng.normal(size=y.shape)),
        callbacks=[carousel.EarlyStopping(patience=3)],
        progress=False,
    )
    assert history.stopped_early
    assert len(history["loss"]) < 200
    assert history.best_epoch == int(np.argmin(history["val_loss"]))
    targets = np.random.default_rng(9).normal(size=y.shape)
    best = net.evaluate(x, targets)["loss"]
    assert best == pytest.approx(min(history["val_loss"]), rel=1e-5)


def test_callbacks() -> None:
    x, y = problem()
    heard: list[carousel.training.Epoch] = []

    class Counter(carousel.Callback):
        batches = 0

        def on_batch(self, now: Any) -> None:
            self.batches += 1

    counter = Counter()
    history = model().fit(
        x, y, epochs=3, batch_size=8, callbacks=[heard.append, counter], progress=False
    )
    assert [now.epoch for now in heard] == [0, 1, 2]
    assert [now.values["loss"] for now in heard] == pytest.approx(history["loss"])
    assert counter.batches == 15
    stopped = model().fit(x, y, epochs=9, callbacks=[lambda now: now.epoch < 1], progress=False)
    assert stopped.interrupted
    assert len(stopped["loss"]) == 2


def test_an_exception_in_a_callback_comes_out() -> None:
    x, y = problem()

    def fail(now: Any) -> None:
        raise RuntimeError("of the user's own")

    with pytest.raises(RuntimeError, match="of the user's own"):
        model().fit(x, y, epochs=3, callbacks=[fail], progress=False)


def test_ctrl_c_stops_cleanly() -> None:
    x, y = problem()
    net = model()
    before = net.parameter_buffer().copy()
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    history = net.fit(x, y, epochs=10**6, progress=False)
    timer.join()
    assert history.interrupted
    assert np.isfinite(net.parameter_buffer()).all()
    assert not np.array_equal(net.parameter_buffer(), before)


def test_schedules() -> None:
    x, y = problem()
    rates: list[float] = []
    model().fit(
        x,
        y,
        epochs=4,
        optimizer=carousel.SGD(0.1),
        schedule=carousel.StepDecay(interval=2, factor=0.5),
        callbacks=[lambda now: rates.append(now.learning_rate)],
        progress=False,
    )
    assert set(np.round(rates, 6)) <= {0.1, 0.05, 0.025}
    trainer = carousel.Trainer(model(), schedule=carousel.CosineDecay(10, unit="steps"))
    seen = []
    for _ in range(11):
        seen.append(trainer.learning_rate)
        trainer.step(x, y)
    np.testing.assert_allclose(seen, 0.0005 * (1 + np.cos(np.pi * np.arange(11) / 10)), atol=1e-9)


def test_not_a_number_stops_with_the_last_good_weights() -> None:
    x, y = problem()
    net = model()
    trainer = carousel.Trainer(net)
    trainer.step(x, y)
    kept = net.parameter_buffer().copy()
    with pytest.raises(carousel.NumericError, match="step 1"):
        trainer.step(x, np.full_like(y, np.nan))
    np.testing.assert_array_equal(net.parameter_buffer(), kept)


def test_lengths_and_weights_count() -> None:
    x, y = problem()
    lengths = np.arange(40) % 7 + 1
    garbage = x.copy()
    for row, length in enumerate(lengths):
        garbage[row, length:] = 1e3
    one, two = model(), model()
    one.fit(x, y, lengths=lengths, epochs=2, progress=False)
    two.fit(garbage, y, lengths=lengths, epochs=2, progress=False)
    np.testing.assert_array_equal(one.parameter_buffer(), two.parameter_buffer())
    weights = (np.arange(40) % 2).astype(np.float32)
    trainer = carousel.Trainer(model())
    weighted = trainer.compute_gradients(x, y, sample_weight=weights).loss
    error = ((model()(x) - y)[:, 0] ** 2 * weights).mean()
    assert weighted == pytest.approx(error, rel=1e-5)


def test_halves_of_a_step_make_a_step() -> None:
    x, y = problem()
    one, two = model(), model()
    whole, halves = carousel.Trainer(one), carousel.Trainer(two)
    for _ in range(3):
        whole.step(x, y)
        halves.compute_gradients(x, y)
        halves.apply_gradients()
    np.testing.assert_array_equal(one.parameter_buffer(), two.parameter_buffer())


def test_segments_give_the_same_gradients() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 50, 2)).astype(np.float32)
    y = rng.normal(size=(3, 1)).astype(np.float32)
    plain, cut = carousel.Trainer(model()), carousel.Trainer(model(), segment=16)
    plain.compute_gradients(x, y)
    cut.compute_gradients(x, y)
    np.testing.assert_array_equal(plain.gradients, cut.gradients)
    assert cut.step_size(3, 10_000) < 0.2 * plain.step_size(3, 10_000)


WORKER = """
import sys, numpy as np, carousel
from carousel import layers
rng = np.random.default_rng(3)
x = rng.normal(size=(40, 7, 2)).astype(np.float32)
y = x[:, :, :1].sum(axis=1)
net = carousel.Network([layers.LSTM(9, dropout=0.2), layers.Dense(1)], input_size=2, seed=0)
trainer = carousel.Trainer(net, optimizer=carousel.Adam(0.01), seed=4)
path, kill = sys.argv[1], int(sys.argv[2])
if sys.argv[3] == "resume":
    trainer.resume(path)
class Killer(carousel.Callback):
    def on_batch(self, now):
        if kill and now.step == kill:
            trainer.save(path)
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
history = trainer.fit(x, y, epochs=5, batch_size=8, callbacks=[Killer()], progress=False)
np.savez(sys.argv[4], values=net.parameter_buffer(), loss=history["loss"])
"""


def test_resuming_a_killed_run_changes_nothing(tmp_path: Path) -> None:
    def run(*arguments: Any) -> int:
        command = [sys.executable, "-c", WORKER, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        return subprocess.run(command, env=environment, check=False).returncode

    checkpoint, straight, resumed = (tmp_path / name for name in ("c.h5", "a.npz", "b.npz"))
    assert run(checkpoint, 0, "new", straight) == 0
    assert run(checkpoint, 13, "new", resumed) == -signal.SIGKILL
    assert run(checkpoint, 0, "resume", resumed) == 0
    with np.load(straight) as a, np.load(resumed) as b:
        np.testing.assert_array_equal(a["values"], b["values"])
        np.testing.assert_array_equal(a["loss"], b["loss"])
    carousel.load(checkpoint)  # a checkpoint is a model file, too
