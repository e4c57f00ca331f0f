"""The command line, as a newcomer uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel.__main__ import main
from conftest import FIXTURES

MODEL = str(FIXTURES / "keras22/lstm_dense.h5")
ORACLE = str(FIXTURES / "keras22/lstm_dense.io.h5")


@pytest.fixture
def x(tmp_path: Path) -> np.ndarray:
    with h5py.File(ORACLE, "r") as file:
        array: np.ndarray = file["input"][()]
    np.save(tmp_path / "x.npy", array)
    return array


def test_a_keras_2_model_becomes_a_pytorch_state_dict(tmp_path: Path, capsys: Any) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "state_dict.h5"
    # PyTorch has no hard sigmoid gates; the fixture with plain ones can be converted.
    source = str(FIXTURES / "keras22/lstm_sigmoid.h5")
    assert main(["convert", source, str(path), "--format", "torch"]) == 0
    assert "torch" in capsys.readouterr().out
    with h5py.File(path, "r") as file:
        arrays: dict[str, np.ndarray] = {}
        file.visititems(
            lambda name, item: (
                arrays.__setitem__(name.replace("/", "."), item[()])
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    names = [name for name in arrays if "weight_ih_l0" in name]
    (recurrent,) = (name[: -len("weight_ih_l0")] for name in names)
    module = torch.nn.LSTM(4, arrays[f"{recurrent}weight_hh_l0"].shape[1], batch_first=True)
    own = {
        name[len(recurrent) :]: torch.from_numpy(values)
        for name, values in arrays.items()
        if name.startswith(recurrent)
    }
    module.load_state_dict(own, strict=True)
    net = carousel.load(source)
    with h5py.File(FIXTURES / "keras22/lstm_sigmoid.io.h5", "r") as file:
        inputs = file["input"][()]
    _, states = net(inputs, return_state=True)
    with torch.no_grad():
        _, (h, c) = module(torch.from_numpy(inputs))
    np.testing.assert_allclose(states[0][0], h[0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states[0][1], c[0].numpy(), rtol=1e-5, atol=1e-6)


def test_conversions_verify(tmp_path: Path, capsys: Any) -> None:
    for form, name in (("carousel", "a.h5"), ("keras-h5", "b.h5"), ("keras", "c.keras")):
        path = str(tmp_path / name)
        assert main(["convert", MODEL, path, "--format", form]) == 0
        assert main(["verify", path, "--against", ORACLE]) == 0
        assert main(["diff", MODEL, path]) == 0
    assert "the same numbers" in capsys.readouterr().out


def test_differences_are_found(tmp_path: Path, capsys: Any) -> None:
    net = carousel.load(MODEL)
    net.parameters()[_bias(net)][0] += 0.25
    path = str(tmp_path / "other.h5")
    net.save(path)
    assert main(["diff", MODEL, path]) == 1
    assert "0.25" in capsys.readouterr().out
    assert main(["diff", MODEL, path, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["differ"]
    assert max(row["largest"] for row in found["parameters"]) == pytest.approx(0.25)
    assert main(["diff", MODEL, path, "--atol", "0.5"]) == 0
    assert main(["verify", path, "--against", ORACLE]) == 1


def _bias(net: carousel.Network) -> str:
    return [name for name in net.parameters() if name.endswith("/bias")][-1]


def test_run(tmp_path: Path, x: np.ndarray, capsys: Any) -> None:
    wanted = carousel.load(MODEL)(x)
    for name in ("y.npy", "y.h5", "y.csv"):
        arguments = ["--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / name)]
        assert main(["run", MODEL, *arguments]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), wanted)
    with h5py.File(tmp_path / "y.h5", "r") as file:
        np.testing.assert_array_equal(file["output"][()], wanted)
    table = np.loadtxt(tmp_path / "y.csv", delimiter=",")
    np.testing.assert_allclose(table, wanted, rtol=1e-6)
    capsys.readouterr()
    np.savetxt(tmp_path / "x.csv", x[0], delimiter=",", header="a,b,c,d", comments="")
    assert main(["run", MODEL, "--input", str(tmp_path / "x.csv"), "--json"]) == 0
    np.testing.assert_allclose(json.loads(capsys.readouterr().out)[0], wanted[:1], rtol=1e-6)


def test_inspect(capsys: Any) -> None:
    assert main(["inspect", str(FIXTURES / "keras3/lstm_dense.h5")]) == 0
    text = capsys.readouterr().out
    for word in ("keras-h5", "3.15.1", "lstm/recurrent_kernel", "(6, 24)", "278"):
        assert word in text
    assert max(map(len, text.splitlines())) < 160
    assert main(["inspect", str(FIXTURES / "torch/bilstm2.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "torch"
    assert {"name": "bias_hh_l0", "shape": [20], "dtype": "float32"} in found["arrays"]


def test_mistakes_are_told_in_a_line(tmp_path: Path, capsys: Any) -> None:
    assert main(["verify", str(tmp_path / "nothing.h5"), "--against", ORACLE]) == 2
    assert "nothing.h5" in capsys.readouterr().err
    assert main(["convert", MODEL, str(tmp_path / "x.bin")]) == 2
    assert "--format" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", MODEL, "x", "--format", "word"])
