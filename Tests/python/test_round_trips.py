"""What a layout holds comes back into the architecture that it was saved from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import carousel
import numpy as np
import pytest

LAYOUTS = [
    "carousel",
    "keras-h5",
    "keras",
    "keras-weights",
    "keras-legacy-weights",
    "torch",
    "chainer",
    "onnx",
    "tf1",
]
CELLS = {
    "LSTM": lambda bias: carousel.LSTM(4, use_bias=bias, return_sequences=True),
    "GRU": lambda bias: carousel.GRU(4, use_bias=bias, return_sequences=True),
    "GRU, reset before": lambda bias: carousel.GRU(
        4, use_bias=bias, return_sequences=True, reset_after=False
    ),
    "SimpleRNN": lambda bias: carousel.SimpleRNN(4, use_bias=bias, return_sequences=True),
}
#: What a layout cannot hold, in one direction or in both, by a word that the refusal must have.
REFUSED = {
    ("torch", "GRU, reset before", False): "reset",
    ("torch", "GRU, reset before", True): "reset",
    ("chainer", "GRU, reset before", True): "reset",
    ("tf1", "GRU", False): "reset_after",
    ("tf1", "GRU", True): "reset_after",
}


def network(cell: str, bias: bool, wrap: bool, seed: int, dense: bool) -> carousel.Network:
    layer: carousel.Layer = CELLS[cell](bias)
    layers: list[carousel.Layer] = [carousel.Bidirectional(layer) if wrap else layer]
    if dense:
        layers.append(carousel.Dense(2, use_bias=bias))
    net = carousel.Network(layers, input_size=3, seed=seed)
    if bias:  # zeros would hide a bias that went to the wrong place
        generator = np.random.default_rng(seed)
        for array in net.parameters().values():
            array[...] = generator.normal(size=array.shape) * 0.5
    return net


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back(layout: str, cell: str, wrap: bool, bias: bool, tmp_path: Path) -> None:
    dense = layout != "onnx"  # which holds recurrent operators only
    net = network(cell, bias, wrap, 1, dense)
    path = tmp_path / ("w.keras" if layout == "keras" else "w.h5")
    if (layout, cell, wrap) in REFUSED:
        with pytest.raises(carousel.UnsupportedModelError, match=REFUSED[layout, cell, wrap]):
            net.save(path, format=layout)
        return
    net.save(path, format=layout)
    copy = network(cell, bias, wrap, 2, dense)
    copy.load_weights(path)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f4")
    assert np.abs(copy(x) - net(x)).max() < 1e-6
    assert not np.array_equal(net(x), network(cell, bias, wrap, 2, dense)(x))


@pytest.mark.parametrize("layout", ["chainer", "tf1"])
def test_a_bias_that_counts_is_not_dropped(layout: str, tmp_path: Path) -> None:
    network("LSTM", True, False, 1, False).save(tmp_path / "w.h5", format=layout)
    bare = network("LSTM", False, False, 2, False)
    before = {name: array.copy() for name, array in bare.parameters().items()}
    with pytest.raises(carousel.FormatError, match="no parameters for lstm/bias"):
        bare.load_weights(tmp_path / "w.h5")
    assert all(np.array_equal(before[name], array) for name, array in bare.parameters().items())


@pytest.mark.skipif(sys.platform != "linux", reason="reads peaks of memory in /proc")
def test_a_load_takes_a_small_multiple_of_the_file() -> None:
    program = Path(__file__).resolve().parents[2] / "benchmarks" / "load_memory.py"
    command = [sys.executable, str(program), "--units", "256", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(rows) == 15
    for row in rows:  # 2 to 4 for large files; 16 MiB are room for an allocator's and libhdf5's own
        assert row["memory"] < 6 * row["file"] + 2**24, row
