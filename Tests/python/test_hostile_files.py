"""Files that are encoded differently load the same; files that lie are refused by name."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable

import carousel
import h5py
import numpy as np
import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MODEL = FIXTURES / "keras3" / "bilstm_concat.h5"


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: np.array(array) for name, array in carousel.load(str(path)).parameters().items()}


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return weights(MODEL)


def rewrite(
    source: Path,
    target: Path,
    write: Callable[[h5py.Group, str, np.ndarray], Any],
    attribute: Callable[[Any], Any] = lambda value: value,
    **options: Any,
) -> None:
    """Copies a file, object by object."""
    with h5py.File(source, "r") as old, h5py.File(target, "w", **options) as new:

        def copy(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Group):
                new.require_group(name)
            else:
                parent, _, leaf = name.rpartition("/")
                write(new.require_group(parent) if parent else new, leaf, item[()])
            for key, value in item.attrs.items():
                new[name].attrs[key] = attribute(value)

        old.visititems(copy)
        for key, value in old.attrs.items():
            new.attrs[key] = attribute(value)


def plain(group: h5py.Group, name: str, value: np.ndarray) -> None:
    group.create_dataset(name, data=value)


def fixed(value: Any) -> Any:
    if isinstance(value, str):
        return np.bytes_(value.encode())
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.astype("S")
    return value


ENCODINGS: dict[str, dict[str, Any]] = {
    "as it is": {"write": plain},
    "big-endian": {"write": lambda g, n, v: g.create_dataset(n, data=v.astype(">f4"))},
    "float64": {"write": lambda g, n, v: g.create_dataset(n, data=v.astype("f8"))},
    "gzip and shuffle": {
        "write": lambda g, n, v: g.create_dataset(
            n, data=v, chunks=True, compression="gzip", shuffle=True, fletcher32=True
        )
    },
    "small chunks": {
        "write": lambda g, n, v: g.create_dataset(
            n, data=v, chunks=tuple(min(3, s) for s in v.shape)
        )
    },
    "extendible": {
        "write": lambda g, n, v: g.create_dataset(n, data=v, chunks=True, maxshape=(None,) * v.ndim)
    },
    "latest libver": {"write": plain, "libver": "latest"},
    "user block": {"write": plain, "userblock_size": 1024},
    "fixed strings": {"write": plain, "attribute": fixed},
    "fixed strings, latest": {"write": plain, "attribute": fixed, "libver": "latest"},
    "tracked order": {"write": plain, "track_order": True},
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings_make_no_difference(
    name: str, tmp_path: Path, reference: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "model.h5"
    rewrite(MODEL, path, **ENCODINGS[name])
    found = weights(path)
    assert set(found) == set(reference)
    for key, array in reference.items():
        assert np.array_equal(found[key], array), key


def test_half_precision_is_widened(tmp_path: Path, reference: dict[str, np.ndarray]) -> None:
    path = tmp_path / "model.h5"
    rewrite(MODEL, path, lambda g, n, v: g.create_dataset(n, data=v.astype("f2")))
    for key, array in weights(path).items():
        assert np.array_equal(array, reference[key].astype("f2").astype("f4")), key


def test_split_name_lists(tmp_path: Path, reference: dict[str, np.ndarray]) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(MODEL, path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = list(group.attrs.pop("layer_names"))
        for index, name in enumerate(names):
            group.attrs[f"layer_names{index}"] = np.array([name], dtype="S")
    found = weights(path)
    assert all(np.array_equal(found[key], array) for key, array in reference.items())


FIRST = "model_weights/dense/sequential/dense/kernel"


def external(file: h5py.File, folder: Path) -> None:
    shape = file[FIRST].shape
    del file[FIRST]
    (folder / "secret").write_bytes(b"x" * 4096)
    file.create_dataset(
        FIRST, shape, "f4", external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)]
    )


def virtual(file: h5py.File, folder: Path) -> None:
    shape = file[FIRST].shape
    del file[FIRST]
    with h5py.File(folder / "other.h5", "w") as other:
        other["a"] = np.zeros(shape, "f4")
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "a", shape)
    file.create_virtual_dataset(FIRST, layout)


def soft_link(file: h5py.File, folder: Path) -> None:
    file.move(FIRST, "elsewhere")
    file[FIRST] = h5py.SoftLink("/elsewhere")


def external_link(file: h5py.File, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["a"] = file[FIRST][()]
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink(str(folder / "other.h5"), "a")


def bomb(chunks: Any, compression: Any = None) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, folder: Path) -> None:
        del file[FIRST]
        file.create_dataset(
            FIRST, (50_000_000, 50_000_000), "f4", chunks=chunks, compression=compression
        )

    return make


def zeros_bomb(file: h5py.File, folder: Path) -> None:
    del file[FIRST]
    data = file.create_dataset(
        FIRST, (200_000, 1000), "f4", chunks=(1000, 1000), compression="gzip", shuffle=True
    )
    data[:] = 0


def huge_chunks(file: h5py.File, folder: Path) -> None:
    value = file[FIRST][()]
    del file[FIRST]
    data = file.create_dataset(
        FIRST, value.shape, "f4", chunks=(30000, 30000), maxshape=(None, None), compression="gzip"
    )
    assert data.shape == value.shape


def never_written(file: h5py.File, folder: Path) -> None:
    shape = file[FIRST].shape
    del file[FIRST]
    file.create_dataset(FIRST, shape, "f4")


def change(name: str, value: Any) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, folder: Path) -> None:
        del file[name]
        file[name] = value

    return make


def config(edit: Callable[[dict[str, Any]], Any]) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, folder: Path) -> None:
        value = json.loads(file.attrs["model_config"])
        edit(value["config"])
        file.attrs["model_config"] = json.dumps(value)

    return make


def attribute(name: str, value: Any) -> Callable[[h5py.File, Path], None]:
    def make(file: h5py.File, folder: Path) -> None:
        file.attrs[name] = value

    return make


def cyclic(file: h5py.File, folder: Path) -> None:
    group = file.create_group("model_weights/loop")
    group["again"] = file["model_weights"]
    names = [*file["model_weights"].attrs["layer_names"], "loop"]
    file["model_weights"].attrs["layer_names"] = names
    group.attrs["weight_names"] = ["again/" * 500 + "x"]


def last_options(layers: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = layers["layers"][-1]["config"]
    return options


HOSTILE: dict[str, tuple[Callable[[h5py.File, Path], Any], str]] = {
    "external storage": (external, "another file"),
    "virtual dataset": (virtual, "virtual"),
    "soft link": (soft_link, "soft link"),
    "external link": (external_link, "external link"),
    "shape bomb, contiguous": (bomb(None), "declares"),
    "shape bomb, chunked": (bomb((1000, 1000)), "declares"),
    "shape bomb, gzip": (bomb((1000, 1000), "gzip"), "declares"),
    "bomb of zeros": (zeros_bomb, "memory"),
    "huge chunks": (huge_chunks, "kernel"),
    "never written": (never_written, "stored"),
    "LZF": (
        lambda f, d: (
            f.move(FIRST, "k"),
            f.create_dataset(FIRST, data=f["k"][()], chunks=True, compression="lzf"),
        ),
        "LZF",
    ),
    "text": (change(FIRST, np.array([b"a", b"b"])), "numbers"),
    "compound": (change(FIRST, np.zeros((12, 2), [("a", "f4"), ("b", "f4")])), "numbers"),
    "NaN": (change(FIRST, np.full((12, 2), np.nan, "f4")), "head|dense"),
    "infinity": (change(FIRST, np.full((12, 2), np.inf, "f4")), "dense"),
    "transposed": (change(FIRST, np.zeros((2, 12), "f4")), "shape"),
    "cyclic groups": (cyclic, "layers"),
    "config is no JSON": (attribute("model_config", "{"), "JSON"),
    "config is deep": (attribute("model_config", "[" * 100_000), "JSON"),
    "config is wide": (attribute("model_config", '{"a":' * 1000 + "1" + "}" * 1000), "JSON|nested"),
    "config is a number": (attribute("model_config", "7"), "class_name"),
    "config is binary": (attribute("model_config", np.void(b"\xff\xfe")), "model_config"),
    "config is latin-1": (attribute("model_config", np.bytes_(b"\xe4\xf6")), "UTF-8"),
    "no layers": (config(lambda c: c.pop("layers")), "layers"),
    "units huge": (config(lambda c: last_options(c).update(units=2**30)), "shape|memory"),
    "units negative": (config(lambda c: last_options(c).update(units=-1)), "units"),
    "units a text": (config(lambda c: last_options(c).update(units="2")), "units"),
    "unknown activation": (config(lambda c: last_options(c).update(activation="mish")), "mish"),
    "unknown option": (config(lambda c: last_options(c).update(twist=3)), "twist"),
    "Lambda": (config(lambda c: c["layers"][-1].update(class_name="Lambda")), "Lambda"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_lies_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(MODEL, path)
    make, message = HOSTILE[name]
    with h5py.File(path, "r+") as file:
        make(file, tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(carousel.Error, match=message):
        carousel.load(str(path))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{grown} KiB for a file of {path.stat().st_size} bytes"


def test_a_zip_that_claims_too_much(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(FIXTURES / "keras3" / "lstm_dense.keras") as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["model.weights.h5"] = b"\0" * (300 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member, data in members.items():
            new.writestr(member, data)
    with pytest.raises(carousel.Error, match="claims"):
        carousel.load(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_may_be_deflated(compression: int, tmp_path: Path) -> None:
    source = FIXTURES / "keras3" / "lstm_dense.keras"
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", compression) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    one, other = weights(source), weights(path)
    assert all(np.array_equal(one[key], other[key]) for key in one)


DAMAGE = """
import random, sys
import carousel
source, target, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = bytearray(open(source, "rb").read())
generator = random.Random(seed)
for round in range(60):
    copy = bytearray(data)
    for _ in range(generator.choice([1, 1, 4, 30])):
        copy[generator.randrange(len(copy))] = generator.randrange(256)
    if generator.random() < 0.2:
        del copy[generator.randrange(len(copy)):]
    open(target, "wb").write(copy)
    try:
        carousel.load(target)
    except carousel.Error:
        pass
"""


@pytest.mark.parametrize("seed", range(4))
def test_our_own_damaged_files_never_crash(seed: int, tmp_path: Path) -> None:
    """The seal finds damage before libhdf5, which has crashes of its own, sees it."""
    source = tmp_path / "whole.h5"
    carousel.load(str(MODEL)).save(str(source))
    result = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(source), str(tmp_path / "damaged.h5"), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(carousel.__file__).parents[1])},
    )
    assert result.returncode == 0, result.stderr


def test_shuffled_links_do_not_matter(tmp_path: Path, reference: dict[str, np.ndarray]) -> None:
    """The order is in the attributes: groups made in another order load the same."""
    path = tmp_path / "model.h5"
    with h5py.File(MODEL, "r") as old, h5py.File(path, "w", track_order=True) as new:
        for key, value in old.attrs.items():
            new.attrs[key] = value
        group = new.create_group("model_weights", track_order=True)
        for key, value in old["model_weights"].attrs.items():
            group.attrs[key] = value
        names = list(old["model_weights"])
        random.Random(3).shuffle(names)
        for name in names:
            old.copy(f"model_weights/{name}", group)
    found = weights(path)
    assert all(np.array_equal(found[key], array) for key, array in reference.items())


def test_models_that_call_models_do_not_explode(tmp_path: Path) -> None:
    """Twelve models, each of which calls the next four times: a small text, 16 million layers."""

    def tensor(name: str, node: int) -> list[Any]:
        return [name, node, 0, {}]

    def entry(name: str, config: dict[str, Any], calls: list[Any], kind: str) -> dict[str, Any]:
        return {"class_name": kind, "name": name, "config": config, "inbound_nodes": calls}

    start = {"name": "in", "batch_input_shape": [None, 5, 1], "dtype": "float32"}
    activation = {"name": "act", "activation": "tanh"}
    config: dict[str, Any] = {}
    for depth in range(12):
        name, kind = ("act", "Activation") if depth == 0 else (f"m{depth - 1}", "Functional")
        calls = [[tensor("in", 0)]] + [[tensor(name, number)] for number in range(3)]
        inner = entry(name, activation if depth == 0 else config, calls, kind)
        config = {
            "name": f"m{depth}",
            "layers": [entry("in", start, [], "InputLayer"), inner],
            "input_layers": [["in", 0, 0]],
            "output_layers": [[name, 3, 0]],
        }
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        text = json.dumps({"class_name": "Functional", "config": config})
        file.attrs["model_config"] = text
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([], dtype="S1")
    assert len(text) < 10_000
    with pytest.raises(carousel.Error, match="more than"):
        carousel.load(path)
