"""docs/hdf5-tools.md: other tools read what we write, and write what we read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import carousel
import h5py
import numpy as np
import pytest
from conftest import REPOSITORY

OCTAVE = REPOSITORY / "bindings" / "octave"
needs_h5dump = pytest.mark.skipif(shutil.which("h5dump") is None, reason="hdf5-tools are missing")
needs_octave = pytest.mark.skipif(shutil.which("octave-cli") is None, reason="octave is missing")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    stack = [carousel.LSTM(3, name="lstm"), carousel.Dense(2, name="head")]
    carousel.Network(stack, input_size=2, seed=4).save(tmp_path / "model.h5", compression=4)
    return tmp_path / "model.h5"


def run(*command: str, folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=120
    ).stdout


@needs_h5dump
def test_h5dump(model: Path) -> None:
    tree = run("h5dump", "-n", model.name, folder=model.parent)
    assert "/layers/lstm/recurrent_kernel" in tree
    gates = run("h5dump", "-a", "/layers/lstm/gate_order", model.name, folder=model.parent)
    assert [gates.index(gate) for gate in ("input", "forget", "cell", "output")] == sorted(
        gates.index(gate) for gate in ("input", "forget", "cell", "output")
    )
    dump = ["h5dump", "-y", "-w", "0", "-d", "/layers/head/kernel", "-o", "numbers.txt"]
    run(*dump, model.name, folder=model.parent)
    numbers = (model.parent / "numbers.txt").read_text().replace(",", " ").split()
    expected = carousel.load(model).parameters()["head/kernel"]
    np.testing.assert_allclose(np.array(numbers, dtype="f4"), expected.ravel(), rtol=1e-5)


def test_h5py_writes_what_we_load(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bias = rng.normal(size=12)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["lstm.weight_ih_l0"] = rng.normal(size=(12, 2))
        file["lstm.weight_hh_l0"] = rng.normal(size=(12, 3))
        # One row, as MATLAB and its like write a vector.
        file["lstm.bias_ih_l0"] = bias[np.newaxis]
        file["lstm.bias_hh_l0"] = 0 * bias
    net = carousel.Network([carousel.LSTM(3, name="lstm")], input_size=2)
    net.load_weights(tmp_path / "weights.h5")
    assert np.array_equal(net.parameters()["lstm/bias"], bias.astype("f4"))


@needs_octave
def test_octave_reads_our_layout(model: Path) -> None:
    program = f"""
        addpath ("{OCTAVE}");
        weights = read_carousel ("model.h5");
        printf ("%s\\n", strjoin (weights.keys (), " "));
        kernel = weights("lstm/kernel");
        printf ("%d %d\\n", size (kernel));
        printf ("%.9g ", kernel');
    """
    text = run("octave-cli", "--no-init-file", "--eval", program, folder=model.parent)
    names, size, numbers = text.strip().splitlines()
    parameters = carousel.load(model).parameters()
    assert set(names.split()) == set(parameters)
    assert size == "2 12"
    kernel = np.array(numbers.split(), dtype="f4").reshape(2, 12)
    assert np.array_equal(kernel, parameters["lstm/kernel"])


@needs_octave
def test_octave_writes_what_we_load(tmp_path: Path) -> None:
    program = f"""
        addpath ("{OCTAVE}");
        lstm.weight_ih_l0 = reshape (1:24, 12, 2) / 10;
        lstm.weight_hh_l0 = reshape (1:36, 12, 3) / 100;
        lstm.bias_ih_l0 = (1:12) / 2;
        lstm.bias_hh_l0 = zeros (12, 1);
        write_state_dict ("weights.h5", lstm);
    """
    run("octave-cli", "--no-init-file", "--eval", program, folder=tmp_path)
    net = carousel.Network([carousel.LSTM(3)], input_size=2)
    net.load_weights(tmp_path / "weights.h5")
    kernel = np.arange(1, 25).reshape(2, 12) / 10
    recurrent = np.arange(1, 37).reshape(3, 12) / 100
    values = list(net.parameters().values())
    np.testing.assert_allclose(values[0], kernel, rtol=1e-6)
    np.testing.assert_allclose(values[1], recurrent, rtol=1e-6)
    np.testing.assert_allclose(values[2], np.arange(1, 13) / 2, rtol=1e-6)
