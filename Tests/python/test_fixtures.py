"""Every file of Tests/fixtures/manifest.json: loaded, run, and compared with its framework."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from architectures import forget_bias, network_for
from conftest import FIXTURES, manifest

MODELS = [entry for entry in manifest() if not entry["format"].endswith("-oracle-h5")]
#: Files whose layout says nothing of the architecture, and that belong to no Keras model.
BARE = {"torch-state-dict-h5", "chainer-hdf5", "tf1-variables-h5", "onnx-lstm-h5"}


class Oracle:
    """What a framework computed: the arrays of an ``.io.h5``, batch first."""

    def __init__(self, path: Path) -> None:
        with h5py.File(path, "r") as file:
            self.arrays = {name: item[()] for name, item in file.items()}
            self.attributes = dict(file.attrs)
        if self.attributes.get("layout") == "time_major":
            for name in self.arrays:
                if name.startswith(("input", "output")):
                    self.arrays[name] = self._batch_first(self.arrays[name])

    @staticmethod
    def _batch_first(array: np.ndarray) -> np.ndarray:
        if array.ndim == 4:  # ONNX: (time, directions, batch, units)
            time, directions, batch, units = array.shape
            return array.transpose(2, 0, 1, 3).reshape(batch, time, directions * units)
        return array.swapaxes(0, 1)

    def get(self, name: str) -> np.ndarray | None:
        return self.arrays.get(name)

    @property
    def stateful_calls(self) -> int:
        return int(self.attributes.get("stateful_calls", 1))

    def inputs(self) -> Any:
        """One array, or a list of several inputs (those of later stateful calls are no inputs)."""
        names = sorted(name for name in self.arrays if name.startswith("input"))
        arrays = [self.arrays[name] for name in names]
        return arrays[0] if len(arrays) == 1 or self.stateful_calls > 1 else arrays

    def states(self, part: str) -> list[np.ndarray]:
        """``part`` is h or c: one array (batch, units) per layer and direction."""
        whole = self.get(f"{part}_n")
        if whole is not None:
            return list(whole) if whole.ndim == 3 else [whole]
        numbered = sorted(name for name in self.arrays if name.startswith(f"{part}_n_"))
        return [self.arrays[name] for name in numbered]


def load(entry: dict[str, Any], dtype: str = "float32") -> carousel.Network:
    path = FIXTURES / entry["file"]
    if entry["format"] in BARE:
        arch = json.loads((FIXTURES / entry["arch"]).read_text())
        with h5py.File(path, "r") as file:
            arch["peepholes"] = "P" in file
        net = network_for(entry, arch, dtype)
        bias = forget_bias(arch)
        if bias is None:
            net.load_weights(path)
        else:
            net.load_weights(path, forget_bias=bias)
        return net
    if entry["format"] in ("keras-v3-weights-h5", "keras-legacy-weights-h5"):
        config = (FIXTURES / entry["arch"]).read_text()
        return carousel.load(path, config=config, dtype=dtype)
    return carousel.load(path, dtype=dtype)


def split_states(states: list[tuple[np.ndarray, ...]], has_cell: bool) -> dict[str, list]:
    flat = [array for layer in states for array in layer]
    return {"h": flat[::2], "c": flat[1::2]} if has_cell else {"h": flat, "c": []}


def initial_state(oracle: Oracle, net: carousel.Network) -> list | None:
    """The oracle's h_0 and c_0 (layer and direction, batch, units) in the shape of our states."""
    h, c = oracle.get("h_0"), oracle.get("c_0")
    if h is None:
        return None
    parts = [h] if c is None else [h, c]
    flat = [part[index] for index in range(len(h)) for part in parts]
    states, position = [], 0
    for width in map(len, net.state_widths):
        states.append(tuple(flat[position : position + width]))
        position += width
    return states


def check(entry: dict[str, Any], net: carousel.Network, oracle: Oracle, suffix: str = "") -> None:
    limits = entry["tolerance"]
    if suffix:  # a float64 engine on float32 weights: only the summation order differs
        limits = {"atol": 1e-6, "rtol": 1e-6}
    has_cell = bool(oracle.states("c"))

    def same(got: np.ndarray, name: str, wanted: np.ndarray | None = None) -> None:
        wanted = oracle.arrays[name + suffix] if wanted is None else wanted
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, err_msg=name, **limits)

    output, states = net(
        oracle.inputs(),
        lengths=oracle.get("lengths"),
        initial_state=initial_state(oracle, net),
        return_state=True,
    )
    for index, one in enumerate(output if isinstance(output, list) else [output]):
        same(one, "output" if index == 0 else f"output_{index + 1}")
    if not suffix:
        got = split_states(states, has_cell)
        for part in ("h", "c"):
            for index, wanted in enumerate(oracle.states(part)):
                same(got[part][index], f"{part}_n, number {index}", wanted)
    for call in range(2, oracle.stateful_calls + 1):
        wanted = oracle.arrays[f"output{suffix}_{call}"]
        same(net(oracle.arrays[f"input_{call}"]), f"output_{call}", wanted)
    if oracle.stateful_calls > 1:
        net.reset_states()
        same(net(oracle.inputs()), "output")


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["file"])
def test_fixture(entry: dict[str, Any], record_property: Any) -> None:
    record_property("format", entry["format"])
    if entry["expect"] == "error":
        with pytest.raises(carousel.Error) as caught:
            load(entry)
        check_refusal(entry, str(caught.value))
        return
    try:
        net = load(entry)
    except carousel.Error as error:
        if entry["expect"] == "load":
            raise
        check_refusal(entry, str(error))
        return
    if entry["io"]:
        check(entry, net, Oracle(FIXTURES / entry["io"]))


def check_refusal(entry: dict[str, Any], message: str) -> None:
    """A refusal says what it is about."""
    assert len(message) > 20
    assert "libcarousel" not in message
    for feature, word in {
        "custom_layer": "Scale3",
        "convlstm2d": "ConvLSTM2D",
        "missing_bias": "bias",
        "bad_shape": "recurrent_kernel",
    }.items():
        if feature in entry["file"]:
            assert word in message


WITH_FLOAT64 = [
    entry
    for entry in MODELS
    if entry["expect"] == "load" and entry["io"] and entry["format"] != "keras-v3-zip"
]


@pytest.mark.parametrize("entry", WITH_FLOAT64, ids=lambda entry: entry["file"])
def test_fixture_in_float64(entry: dict[str, Any]) -> None:
    """The same weights on the reference path give what the framework gives in float64."""
    oracle = Oracle(FIXTURES / entry["io"])
    if oracle.get("output64") is None:
        pytest.skip("the framework has no float64 output for this file")
    check(entry, load(entry, dtype="float64"), oracle, suffix="64")
