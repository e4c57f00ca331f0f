"""The h5py reader and writer of docs/format.md work on a file as the page describes it."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs" / "format.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A file written by the page's own recipe."""
    architecture = blocks("json")[0]
    generator = np.random.default_rng(1)
    shapes = {
        "lstm/kernel": (4, 256),
        "lstm/recurrent_kernel": (64, 256),
        "lstm/bias": (256,),
        "head/kernel": (64, 1),
        "head/bias": (1,),
    }
    weights = {name: generator.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    scope: dict[str, object] = {
        "architecture": architecture,
        "names": list(weights),
        "weights": weights,
    }
    exec(blocks("python")[1], scope)
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["carousel_format"] = 1
        file.attrs["architecture"] = architecture
        file.attrs["parameters"] = np.array(list(weights), dtype="S")
        file.attrs["dtype"] = "float32"
        file.attrs["checksum"] = str(scope["checksum"])
        for name, array in weights.items():
            file.create_dataset("layers/" + name, data=array)
    return path, weights


def test_reader_of_the_page(
    written: tuple[Path, dict[str, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, weights = written
    monkeypatch.chdir(path.parent)
    reader = blocks("python")[0]
    assert len([line for line in reader.splitlines() if line.strip()]) <= 10
    scope: dict[str, object] = {}
    exec(reader, scope)
    read = scope["weights"]
    assert isinstance(read, dict)
    assert set(read) == set(weights)
    for name, array in weights.items():
        assert np.array_equal(read[name], array)
    printed = capsys.readouterr().out
    assert "lstm recurrent" in printed
    assert "head/kernel (64, 1) float32" in printed


def test_checksum_is_the_zip_crc(written: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, weights = written
    with h5py.File(path, "r") as file:
        stored = file.attrs["checksum"]
        crc = zlib.crc32(file.attrs["architecture"].encode())
    for name, array in weights.items():
        crc = zlib.crc32(
            name.encode() + np.array(array.shape, "<i8").tobytes() + array.tobytes(), crc
        )
    assert stored == f"crc32:{crc:08x}"
