"""What Carousel writes loads into PyTorch with strict=True, and gives the same numbers there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")


def state_dict(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r") as file:
        return {name: torch.from_numpy(np.asarray(file[name][()])) for name in file}


CASES: dict[str, tuple[Any, Any]] = {
    "lstm": (
        lambda: [carousel.LSTM(5, return_sequences=True, name="rnn")],
        lambda: {"rnn": torch.nn.LSTM(3, 5, batch_first=True)},
    ),
    "gru": (
        lambda: [carousel.GRU(4, return_sequences=True, name="rnn")],
        lambda: {"rnn": torch.nn.GRU(3, 4, batch_first=True)},
    ),
    "projection": (
        lambda: [carousel.LSTM(6, projection_size=2, return_sequences=True, name="rnn")],
        lambda: {"rnn": torch.nn.LSTM(3, 6, proj_size=2, batch_first=True)},
    ),
    "two layers, both directions": (
        lambda: [
            carousel.Bidirectional(carousel.LSTM(4, return_sequences=True), name="rnn_l0"),
            carousel.Bidirectional(carousel.LSTM(4, return_sequences=True), name="rnn_l1"),
        ],
        lambda: {"rnn": torch.nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)},
    ),
    "with a head": (
        lambda: [
            carousel.LSTM(5, return_sequences=True, name="rnn"),
            carousel.Dense(2, name="head"),
        ],
        lambda: {"rnn": torch.nn.LSTM(3, 5, batch_first=True), "head": torch.nn.Linear(5, 2)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_torch_loads_and_agrees(name: str, tmp_path: Path) -> None:
    layers, modules = CASES[name]
    net = carousel.Network(layers(), input_size=3, seed=7)
    generator = np.random.default_rng(5)
    for array in net.parameters().values():
        array[...] = generator.normal(size=array.shape, scale=0.5)
    path = tmp_path / "state_dict.h5"
    net.save(str(path), format="torch")
    module = torch.nn.ModuleDict(modules())
    module.load_state_dict(state_dict(path), strict=True)

    x = generator.normal(size=(2, 6, 3)).astype("f4")
    with torch.no_grad():
        expected = torch.from_numpy(x)
        for part in module.values():
            out = part(expected)
            expected = out[0] if isinstance(out, tuple) else out
    assert np.abs(net(x) - expected.numpy()).max() < 1e-5

    copy = carousel.Network(layers(), input_size=3, seed=8)
    copy.load_weights(str(path))
    assert np.abs(copy(x) - net(x)).max() < 1e-6


def test_a_prefix_is_written_and_found_again(tmp_path: Path) -> None:
    net = carousel.Network([carousel.LSTM(3, name="memory")], input_size=2, seed=1)
    path = tmp_path / "w.h5"
    net.save(str(path), format="torch", prefix="encoder.")
    with h5py.File(path) as file:
        assert "encoder.memory.weight_ih_l0" in file
    other = carousel.Network([carousel.LSTM(3, name="memory")], input_size=2, seed=2)
    other.load_weights(str(path))
    net.save(str(path), format="torch", prefix="")
    with h5py.File(path) as file:
        assert sorted(file) == ["bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0"]
    third = carousel.Network([carousel.LSTM(3, name="other")], input_size=2, seed=3)
    third.load_weights(str(path))
    for key, array in third.parameters().items():
        assert np.array_equal(array, net.parameters()[key.replace("other", "memory")])


def test_what_torch_lacks_is_refused(tmp_path: Path) -> None:
    net = carousel.Network([carousel.LSTM(3, peepholes=True, name="memory")], input_size=2)
    with pytest.raises(carousel.Error, match=r"memory.*peepholes"):
        net.save(str(tmp_path / "w.h5"), format="torch")
    assert not list(tmp_path.iterdir())
