"""The package: importing it, finding the library, and saying what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import carousel
import h5py
import numpy as np
import pytest
from carousel import layers
from conftest import FIXTURES, PACKAGE

# --- importing ---------------------------------------------------------------------------------


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_takes_little_beyond_numpy() -> None:
    code = (
        "import time, numpy\n"
        "start = time.process_time()\nimport carousel\nprint(time.process_time() - start)\n"
        "import sys\nassert not {'matplotlib', 'tqdm', 'h5py'} & set(sys.modules)"
    )
    done = [python(code) for _ in range(3)]
    assert all(one.returncode == 0 for one in done), done[0].stderr
    assert min(float(one.stdout) for one in done) < 0.1


def test_a_program_that_runs_a_model_imports_no_layers(tmp_path: Path) -> None:
    carousel.Network([carousel.LSTM(3)], input_size=2).save(tmp_path / "model.h5")
    done = python(
        "import sys, numpy\nbefore = set(sys.modules)\nimport carousel\n"
        f"net = carousel.load({str(tmp_path / 'model.h5')!r})\n"
        "assert net(numpy.zeros((1, 4, 2))).shape == (1, 3)\n"
        "print(*set(sys.modules) - before)"
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not {"carousel.layers", "carousel._build", "dataclasses", "json", "pathlib"} & loaded


def test_layers_are_found_by_name() -> None:
    assert list(carousel._LAYERS) == list(layers.__all__)
    code = (
        "import carousel\nassert carousel.layers.LSTM is carousel.LSTM is vars()['carousel'].LSTM"
    )
    assert python(code).returncode == 0
    code = "from carousel import *\nprint(LSTM(3), layers)"
    assert python(code).returncode == 0


def test_a_missing_library_names_the_paths_tried(tmp_path: Path) -> None:
    done = python(
        "import carousel\n"
        "try: carousel.library_version()\n"
        "except carousel.LibraryError as error: print(error)",
        CAROUSEL_LIBRARY=str(tmp_path / "nowhere.so"),
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "nowhere.so") in done.stdout


def test_something_else_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("not a library")
    done = python(
        "import carousel\n"
        "try: carousel.threads()\n"
        "except carousel.LibraryError as error: print(error)",
        CAROUSEL_LIBRARY=str(tmp_path / "text.so"),
    )
    assert "text.so" in done.stdout


def test_about_the_library() -> None:
    assert carousel.library_version().split(".")[0] == carousel.__version__.split(".")[0]
    assert carousel.instruction_set() in ("baseline", "avx2", "avx512", "avx512_bf16")
    assert "version" in carousel.build_info()
    usual = carousel.threads()
    carousel.set_threads(1)
    assert carousel.threads() == 1
    carousel.set_threads(usual)


def test_all_names_exist() -> None:
    for name in carousel.__all__:
        assert getattr(carousel, name) is not None
    assert set(carousel.__all__) <= set(dir(carousel))


def test_errors_are_one_family() -> None:
    for name in carousel.__all__:
        item = getattr(carousel, name)
        if isinstance(item, type) and issubclass(item, Exception):
            assert issubclass(item, carousel.Error)
            assert str(item("the message")) == "the message"


# --- mistakes ----------------------------------------------------------------------------------


def small() -> carousel.Network:
    return carousel.Network([layers.LSTM(4, name="lstm")], input_size=3)


X = np.zeros((2, 5, 3), np.float32)

MISTAKES: dict[str, tuple[Callable[[], Any], type, str]] = {
    "features": (lambda: small()(np.zeros((2, 5, 4))), carousel.ShapeError, "4"),
    "rank": (lambda: small()(np.zeros((5, 3))), carousel.ShapeError, "(5, 3)"),
    "no rows": (lambda: small()(np.zeros((0, 5, 3))), carousel.Error, "batch"),
    "text": (lambda: small()("abc"), carousel.InvalidArgumentError, "real numbers"),
    "complex": (lambda: small()(X * 1j), carousel.InvalidArgumentError, "complex"),
    "ragged": (lambda: small()([[[1, 2, 3]], [[1, 2]]]), carousel.ShapeError, "input"),
    "objects": (lambda: small()([[[None] * 3]]), carousel.InvalidArgumentError, "object"),
    "lengths": (lambda: small()(X, lengths=[1, 2, 3]), carousel.ShapeError, "lengths"),
    "long": (lambda: small()(X, lengths=[1, 6]), carousel.Error, "6"),
    "negative": (lambda: small()(X, lengths=[1, -1]), carousel.Error, "-1"),
    "fraction": (lambda: small()(X, lengths=[1, 1.5]), carousel.InvalidArgumentError, "whole"),
    "mask": (lambda: small()(X, mask=np.ones((2, 4))), carousel.ShapeError, "mask"),
    "states": (lambda: small()(X, initial_state=[]), carousel.ShapeError, "initial_state"),
    "state": (
        lambda: small()(X, initial_state=[(np.ones((2, 5)), np.ones((2, 4)))]),
        carousel.ShapeError,
        "(2, 5)",
    ),
    "padding": (lambda: small()(X, padding="maybe"), carousel.InvalidArgumentError, "maybe"),
    "threads": (lambda: small()(X, threads=-1), carousel.Error, "threads"),
    "dtype": (
        lambda: carousel.Network([layers.LSTM(3)], input_size=2, dtype="float16"),
        carousel.InvalidArgumentError,
        "float16",
    ),
    "no layers": (lambda: carousel.Network([]), carousel.InvalidArgumentError, "layer"),
    "no input": (
        lambda: carousel.Network([layers.LSTM(3)]),
        carousel.InvalidArgumentError,
        "input_size",
    ),
    "no units": (
        lambda: carousel.Network([layers.LSTM(0)], input_size=2),
        carousel.Error,
        "units",
    ),
    "huge": (
        lambda: carousel.Network([layers.LSTM(2**62)], input_size=2),
        carousel.Error,
        "lstm",
    ),
    "wrapped": (
        lambda: carousel.Network([layers.LSTM(2**64 + 3)], input_size=2),
        carousel.InvalidArgumentError,
        "units",
    ),
    "half a unit": (
        lambda: carousel.Network([layers.LSTM(2.5)], input_size=2),
        carousel.InvalidArgumentError,
        "2.5",
    ),
    "activation": (
        lambda: carousel.Network([layers.LSTM(3, activation="cosine")], input_size=2),
        carousel.UnsupportedModelError,
        "cosine",
    ),
    "peephole": (
        lambda: carousel.Network([layers.LSTM(3, peepholes="cell")], input_size=2),
        carousel.InvalidArgumentError,
        "cell",
    ),
    "rate": (
        lambda: carousel.Network([layers.LSTM(3), layers.Dropout(1.5)], input_size=2),
        carousel.Error,
        "1.5",
    ),
    "twice": (
        lambda: carousel.Network(
            [layers.LSTM(3, name="a"), layers.Dense(2, name="a")], input_size=2
        ),
        carousel.Error,
        "a",
    ),
    "no layer": (
        lambda: carousel.Network([3], input_size=2),  # type: ignore[list-item]
        carousel.InvalidArgumentError,
        "3",
    ),
    "loss": (
        lambda: small().fit(X, np.zeros((2, 4)), loss="cosine", progress=False),
        carousel.InvalidArgumentError,
        "cosine",
    ),
    "optimizer": (
        lambda: small().fit(X, np.zeros((2, 4)), optimizer="magic", progress=False),
        carousel.InvalidArgumentError,
        "magic",
    ),
    "targets": (
        lambda: small().fit(X, np.zeros((2, 5)), progress=False),
        carousel.ShapeError,
        "5",
    ),
    "no file": (lambda: carousel.load("/nowhere/m.h5"), carousel.Error, "/nowhere/m.h5"),
    "folder": (lambda: carousel.load("/"), carousel.Error, "/"),
    "no path": (lambda: carousel.load(None), carousel.InvalidArgumentError, "path"),
    "nul": (lambda: carousel.load("a\0b"), carousel.InvalidArgumentError, "NUL"),
    "format": (lambda: small().save("/tmp/x", format="word"), carousel.Error, "word"),
    "nowhere": (lambda: small().save("/nowhere/x.h5"), carousel.FileError, "/nowhere"),
    "seed": (lambda: small()(X, seed="x"), carousel.InvalidArgumentError, "seed"),
    "stream": (lambda: small().stream(0), carousel.Error, "batch"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    act, kind, words = MISTAKES[name]
    with pytest.raises(kind) as caught:
        act()
    assert words in str(caught.value)
    assert isinstance(caught.value, carousel.Error)
    assert caught.value.status > 0


@pytest.mark.parametrize("bad", [30, -1, 2**40])
def test_ids_outside_the_vocabulary(bad: int) -> None:
    net = carousel.Network([layers.Embedding(30, 4), layers.LSTM(3)])
    ids = np.ones((2, 6), np.int64)
    ids[1, 3] = bad
    with pytest.raises(carousel.Error, match="row 1, step 3"):
        net(ids)
    with pytest.raises(carousel.Error):
        net(ids.astype(np.float64))
    with pytest.raises(carousel.Error):
        net(np.full((1, 2), 1.5))


def test_streams_refuse_layers_that_need_the_future() -> None:
    both = layers.Bidirectional(layers.LSTM(3), name="both")
    net = carousel.Network([both], input_size=2)
    with pytest.raises(carousel.UnsupportedModelError, match="both"):
        net.stream()


def test_a_failed_load_leaves_the_weights_alone(tmp_path: Path) -> None:
    net = small()
    before = net.parameter_buffer().copy()
    path = tmp_path / "bad.h5"
    with h5py.File(path, "w") as file:
        file["weight_ih_l0"] = np.ones((16, 3), np.float32)
        file["weight_hh_l0"] = np.ones((16, 5), np.float32)
    with pytest.raises(carousel.Error, match=r"weight_hh_l0|recurrent"):
        net.load_weights(path)
    np.testing.assert_array_equal(net.parameter_buffer(), before)


def test_weights_alone_say_what_is_missing() -> None:
    with pytest.raises(carousel.Error, match=r"config|architecture"):
        carousel.load(FIXTURES / "keras3/lstm_dense.weights.h5")
    with pytest.raises(carousel.Error, match=r"architecture|load_weights|config"):
        carousel.load(FIXTURES / "torch/lstm1.h5")


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_truncated_files(share: int, tmp_path: Path) -> None:
    for name in ("keras3/lstm_dense.h5", "keras3/lstm_dense.keras"):
        whole = (FIXTURES / name).read_bytes()
        path = tmp_path / "cut"
        path.write_bytes(whole[: len(whole) * share // 100])
        with pytest.raises(carousel.Error):
            carousel.load(path)


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compression", [0, 6])
def test_our_own_layout_keeps_every_bit(dtype: str, compression: int, tmp_path: Path) -> None:
    from networks import inputs_for, random_network

    for seed in range(8):
        net, rng = random_network(seed, dtype=dtype)
        path = tmp_path / f"{seed}.h5"
        net.save(path, compression=compression)
        back = carousel.load(path)
        assert back.dtype == net.dtype
        assert back.parameter_buffer().tobytes() == net.parameter_buffer().tobytes()
        x = inputs_for(net, rng, 3, 7)
        assert back(x).tobytes() == net(x).tobytes()


def test_saving_replaces_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    small().save(path)
    small().save(path)
    assert os.listdir(tmp_path) == ["m.h5"]
    carousel.load(path)
