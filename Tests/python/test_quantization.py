"""Weights in reduced precision: the same numbers everywhere, honest errors, small files."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers
from carousel.__main__ import main
from conftest import FIXTURES, REPOSITORY
from instruction_sets import INSTRUCTION_SETS, instruction_set
from networks import inputs_for, random_network

REDUCED = ("bfloat16", "int8")
SEEDS = range(12)
MODEL = str(FIXTURES / "keras22/lstm_sigmoid.h5")


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Rounded to nearest even, as float32."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def reduced_names(net: carousel.Network) -> list[str]:
    """Parameters that are held as codes."""
    names = ("kernel", "recurrent_kernel", "projection", "embeddings")
    conv = {layer.name for layer in net.layers if "Conv" in layer.kind}
    return [
        name
        for name, values in net.parameters().items()
        if name.split("/")[-1] in names and values.ndim == 2 and name.split("/")[0] not in conv
    ]


def embedding_network() -> carousel.Network:
    return carousel.Network(
        [
            layers.Embedding(50, 12, name="table"),
            layers.Conv1D(9, 3, padding="causal", name="conv"),
            layers.LSTM(33, peepholes="dense", return_sequences=True, name="lstm"),
            layers.Dense(7, name="head"),
        ],
        seed=4,
    )


def rounds_weights_only() -> str:
    """The instruction set in use, or its like that does not round activations to bfloat16, too."""
    return carousel.instruction_set().replace("avx512_bf16", "avx512")


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32)))


# --- what it computes --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_bfloat16_is_float32_with_rounded_weights_bit_for_bit(seed: int) -> None:
    net, rng = random_network(seed)
    rounded = net.copy()
    for name in reduced_names(net):
        rounded.parameters()[name][...] = bfloat16(net.parameters()[name])
    small = net.quantize("bfloat16")
    with instruction_set(rounds_weights_only()):
        exactly = net.quantize("bfloat16")
    for batch, time in ((1, 7), (5, 4), (40, 3)):
        x = inputs_for(net, rng, batch, time)
        assert same(exactly(x), rounded(x))
        assert np.allclose(small(x), rounded(x), atol=5e-2)
    for name, values in small.parameters().items():
        assert same(values, rounded.parameters()[name]), name


@pytest.mark.parametrize("seed", SEEDS)
def test_int8_is_near_float32_with_rounded_weights(seed: int) -> None:
    net, rng = random_network(seed)
    small = net.quantize("int8")
    rounded = small.quantize("float32")
    for batch, time in ((1, 7), (5, 4), (40, 3)):
        x = inputs_for(net, rng, batch, time)
        # Only the activations' 16 bits are between them.
        assert np.abs(small(x) - rounded(x)).max() < 2e-3
    # Rounding what is rounded changes nothing.
    again = rounded.quantize("int8")
    for name, values in again.parameters().items():
        assert same(values, rounded.parameters()[name]), name
    assert same(again(x), small(x))


def test_int8_rounds_each_output_channel_by_its_own_scale() -> None:
    net = carousel.Network([layers.Dense(5, name="head")], input_size=300, seed=1)
    kernel = net.parameters()["head/kernel"]
    kernel *= [1, 1e-3, 1e3, 1e-20, 0]
    found = net.quantize("int8").parameters()["head/kernel"]
    largest = np.abs(kernel).max(axis=0)
    gap = np.abs(found - kernel).max(axis=0)
    assert np.all(gap <= largest / 127 * 0.501)
    assert np.all(np.array([len(np.unique(column)) for column in found.T])[:4] > 100)


@pytest.mark.parametrize("precision", REDUCED)
def test_embeddings_and_what_stays_float32(precision: str) -> None:
    net = embedding_network()
    small = net.quantize(precision)
    assert small.precision == precision
    held = {one.name: one.precision for one in small.quantization()}
    assert held == {"table": precision, "conv": "float32", "lstm": precision, "head": precision}
    ids = np.random.default_rng(0).integers(0, 50, (3, 11))
    table = small.parameters()["table/embeddings"]
    alone = carousel.Network([layers.Embedding(50, 12, name="table")], seed=4)
    alone.parameters()["table/embeddings"][...] = net.parameters()["table/embeddings"]
    assert same(alone.quantize(precision)(ids), table[ids])
    rounded = small.quantize("float32")
    exact = precision == "bfloat16" and carousel.instruction_set() == rounds_weights_only()
    limit = 0 if exact else 1e-3
    assert np.abs(small(ids) - rounded(ids)).max() <= limit


# --- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", REDUCED)
@pytest.mark.parametrize("seed", SEEDS)
def test_batch_threads_and_streaming_change_no_bit(seed: int, precision: str) -> None:
    net, rng = random_network(seed, streams=True)
    small = net.quantize(precision)
    x = inputs_for(net, rng, 9, 6)
    expected = small(x, threads=1)
    assert same(small(x, threads=3), expected)
    assert same(np.concatenate([small(row[np.newaxis]) for row in x]), expected)
    stream = small.stream(batch=9)
    assert same(np.stack([stream.step(x[:, t]) for t in range(6)], axis=1), expected)
    copy = small.copy()
    assert same(copy(x), expected)
    state = stream.snapshot()
    more = stream.step(x[:, 0])
    stream.restore(state)
    assert same(stream.step(x[:, 0]), more)


@pytest.mark.parametrize("precision", REDUCED)
def test_units_divided_between_threads(precision: str) -> None:
    net = carousel.Network([layers.LSTM(300, return_sequences=True)], input_size=7, seed=2)
    small = net.quantize(precision)
    x = inputs_for(net, np.random.default_rng(3), 1, 30)
    assert same(small(x, threads=2), small(x, threads=1))


@pytest.mark.parametrize("precision", REDUCED)
def test_instruction_sets(precision: str) -> None:
    net, rng = random_network(5)
    x = inputs_for(net, rng, 4, 5)
    found = {}
    for name in INSTRUCTION_SETS:
        with contextlib.suppress(carousel.UnsupportedModelError), instruction_set(name):
            found[name] = net.quantize(precision)(x)
    if "avx512" in found:
        assert same(found["avx2"], found["avx512"])
    if "avx512_bf16" in found and precision == "int8":
        assert same(found["avx512"], found["avx512_bf16"])
    for name, value in found.items():
        limit = 1e-3 if precision == "int8" else 5e-2 if name == "avx512_bf16" else 1e-5
        assert np.allclose(value, found["baseline"], atol=limit)


def test_lengths_masks_and_nan() -> None:
    net = carousel.Network([layers.LSTM(20, return_sequences=True)], input_size=4, seed=2)
    x = inputs_for(net, np.random.default_rng(1), 3, 6)
    for precision in REDUCED:
        small = net.quantize(precision)
        y = small(x, lengths=[6, 2, 4])
        assert same(y[1, :2], small(x)[1, :2])
        assert not y[1, 2:].any()
        bad = x.copy()
        bad[1, 3, 2] = np.nan
        dirty = small(bad)
        assert same(dirty[[0, 2]], small(x)[[0, 2]])
        assert np.isnan(dirty[1, 3:]).all()
        assert same(dirty[1, :3], small(x)[1, :3])


# --- errors are measured -----------------------------------------------------------------------


@pytest.mark.parametrize("precision", REDUCED)
def test_errors_of_weights_and_outputs(precision: str) -> None:
    net, rng = random_network(3)
    small = net.quantize(precision)
    before, after = net.parameters(), small.parameters()
    for one in small.quantization():
        names = [name for name in reduced_names(net) if name.split("/")[0] == one.name]
        exact = np.concatenate([before[name].ravel() for name in names]).astype(np.float64)
        gaps = np.concatenate([after[name].ravel() for name in names]) - exact
        assert one.weight_count == exact.size
        assert one.max_error == np.abs(gaps).max() > 0
        assert one.rms_error == pytest.approx(np.sqrt(np.mean(gaps**2)))
        assert one.relative_error == pytest.approx(np.sqrt(np.sum(gaps**2) / np.sum(exact**2)))
    x = inputs_for(net, rng, 6, 9)
    error = small.measure_error(net, x)
    exact, gaps = net(x).astype(np.float64), small(x).astype(np.float64) - net(x)
    assert error.max_error == np.abs(gaps).max() > 0
    assert error.rms_error == pytest.approx(np.sqrt(np.mean(gaps**2)))
    assert error.max_reference == np.abs(exact).max()
    assert error.rms_reference == pytest.approx(np.sqrt(np.mean(exact**2)))
    assert error.relative_error == pytest.approx(error.rms_error / error.rms_reference)
    assert net.measure_error(net, x).max_error == 0
    with pytest.raises(carousel.ShapeError, match="reference"):
        small.measure_error(embedding_network(), x)


def test_bfloat16_is_more_accurate_than_int8_and_both_are_near() -> None:
    """The bar is OpenVINO's bfloat16: errors up to 1.5e-3 in h."""
    rng = np.random.default_rng(7)
    for units in (32, 128, 256):
        net = carousel.Network([layers.LSTM(units, return_sequences=True)], units, seed=1)
        for values in net.parameters().values():
            values[...] = rng.uniform(-1, 1, values.shape) / np.sqrt(units)
        x = rng.uniform(-1, 1, (4, 50, units)).astype("f4")
        worst = {
            precision: net.quantize(precision).measure_error(net, x).max_error
            for precision in REDUCED
        }
        assert worst["bfloat16"] < 1.5e-3
        assert worst["int8"] < 4e-3


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("precision", REDUCED)
def test_what_changes_weights_is_refused(precision: str, tmp_path: Path) -> None:
    net, rng = random_network(1)
    x = inputs_for(net, rng, 2, 3)
    small = net.quantize(precision)
    before = small(x)
    net.save(tmp_path / "weights.h5")
    for call in (
        lambda: small.parameter_buffer(),
        lambda: small.initialize(),
        lambda: small.load_weights(tmp_path / "weights.h5"),
        lambda: small.trace(x),
        lambda: small.fit(x, before, epochs=1),
    ):
        with pytest.raises(carousel.StateError, match=precision):
            call()
    with pytest.raises(ValueError, match="read-only"):
        next(iter(small.parameters().values()))[...] = 0
    assert same(small(x), before)
    with pytest.raises(carousel.InvalidArgumentError, match="float16"):
        net.quantize("float16")
    double = net.from_json(net.to_json(), dtype="float64")
    with pytest.raises(carousel.StateError, match="float64"):
        double.quantize(precision)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("precision", REDUCED)
def test_weights_that_no_code_stands_for(precision: str, value: float) -> None:
    net = carousel.Network([layers.Dense(3, name="head")], input_size=4)
    net.parameters()["head/kernel"][2, 1] = value
    with pytest.raises(carousel.NumericError, match="head/kernel"):
        net.quantize(precision)


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", REDUCED)
@pytest.mark.parametrize("seed", [0, 1, 2, "embedding"])
def test_files_give_the_same_bits(seed: Any, precision: str, tmp_path: Path) -> None:
    if seed == "embedding":
        net = embedding_network()
        x: np.ndarray = np.arange(24).reshape(2, 12)
    else:
        net, rng = random_network(seed)
        x = inputs_for(net, rng, 3, 5)
    small = net.quantize(precision)
    path = tmp_path / "small.h5"
    small.save(path, compression=int(seed == 1) * 6)
    loaded = carousel.load(path)
    assert loaded.precision == precision
    assert same(loaded(x), small(x))
    assert all(one.max_error == 0 for one in loaded.quantization())
    assert carousel.inspect(path)["precision"] == precision
    # The same file again.
    loaded.save(tmp_path / "again.h5", compression=int(seed == 1) * 6)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()
    rounded = small.quantize("float32")
    assert same(carousel.load(path, precision="float32")(x), rounded(x))
    double = carousel.load(path, dtype="float64")
    assert np.allclose(double(x), rounded(x), atol=1e-5)
    other = "int8" if precision == "bfloat16" else "bfloat16"
    assert same(carousel.load(path, precision=other)(x), rounded.quantize(other)(x))


def test_files_and_memory_are_half_and_a_quarter(tmp_path: Path) -> None:
    net = carousel.Network([layers.LSTM(256), layers.Dense(64)], input_size=128)
    sizes, bytes_held = {}, {}
    for precision in ("float32", *REDUCED):
        path = tmp_path / f"{precision}.h5"
        small = net.quantize(precision)
        small.save(path)
        sizes[precision] = path.stat().st_size
        bytes_held[precision] = sum(one.size for one in small.quantization())
    for measured in (sizes, bytes_held):
        assert measured["bfloat16"] < 0.51 * measured["float32"]
        assert measured["int8"] < 0.27 * measured["float32"]


@pytest.mark.parametrize("precision", REDUCED)
def test_other_layouts_get_the_rounded_values(precision: str, tmp_path: Path) -> None:
    net = carousel.load(MODEL)
    small = carousel.load(MODEL, precision=precision)
    assert small.precision == precision
    rounded = net.quantize(precision).quantize("float32")
    for form in ("keras-h5", "keras", "torch"):
        small.save(tmp_path / "a", form)
        rounded.save(tmp_path / "b", form)
        if form != "keras":  # a zip archive holds times
            assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        else:
            loaded = carousel.load(tmp_path / "a")
            for name, values in loaded.parameters().items():
                assert same(values, rounded.parameters()[name])


@pytest.mark.parametrize("precision", REDUCED)
def test_streams_are_saved_with_their_network(precision: str, tmp_path: Path) -> None:
    net, rng = random_network(2, streams=True)
    small = net.quantize(precision)
    x = inputs_for(net, rng, 2, 5)
    stream = small.stream(batch=2)
    stream.steps(x)
    stream.save(tmp_path / "stream.h5")
    other = carousel.load(tmp_path / "stream.h5")
    resumed = other.stream(batch=2)
    resumed.load(tmp_path / "stream.h5")
    assert same(resumed.steps(x), stream.steps(x))


@pytest.mark.parametrize("precision", REDUCED)
def test_the_reader_of_the_format_page(precision: str, tmp_path: Path) -> None:
    small = embedding_network().quantize(precision)
    small.save(tmp_path / "model.h5")
    page = (REPOSITORY / "docs" / "format.md").read_text(encoding="utf-8")
    (reader,) = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "_scale" in block
    ]
    scope: dict[str, Any] = {}
    exec(reader.replace('"model.h5"', repr(str(tmp_path / "model.h5"))), scope)
    assert set(scope["weights"]) == set(small.parameters())
    for name, values in small.parameters().items():
        assert same(scope["weights"][name].astype("f4"), values), name


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f["layers/head"].__delitem__("kernel_scale"), "kernel_scale"),
        (lambda f: replace(f, "layers/head/kernel_scale", np.ones(3, "f4")), "kernel_scale"),
        (lambda f: replace(f, "layers/head/kernel_scale", np.full(7, np.nan, "f4")), "nan"),
        (lambda f: replace(f, "layers/head/kernel_scale", np.full(7, -1, "f4")), "-1"),
        (lambda f: replace(f, "layers/head/kernel_scale", np.full(7, np.inf, "f4")), "inf"),
        (lambda f: replace(f, "layers/head/kernel_scale", np.full(7, 1e37, "f4")), "head/kernel"),
        (lambda f: replace(f, "layers/head/kernel", np.ones((33, 6), "i1")), "kernel"),
        (lambda f: replace(f, "layers/head/kernel", np.ones(33, "i1")), "kernel"),
        (lambda f: f.attrs.__setitem__("precision", "int4"), "int4"),
        (lambda f: f.attrs.__setitem__("dtype", "float64"), "int8"),
    ],
)
def test_files_that_are_wrong(change: Any, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    embedding_network().quantize("int8").save(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["checksum"]
        change(file)
    with pytest.raises(carousel.Error, match=f"(?i){problem}"):
        carousel.load(path)


def replace(file: h5py.File, name: str, values: np.ndarray) -> None:
    del file[name]
    file[name] = values


@pytest.mark.parametrize("precision", REDUCED)
def test_command_line(precision: str, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "small.h5"
    arguments = ["convert", MODEL, str(output), "--format", "carousel", "--precision", precision]
    assert main(arguments) == 0
    assert "relative error" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["precision"] for one in told["layers"]} == {precision}
    assert carousel.load(output).precision == precision
    assert main(["diff", MODEL, str(output)]) == 1
