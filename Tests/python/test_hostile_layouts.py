"""Lies that need a layout, a container or a measurement of their own: see test_hostile_files.py."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable

import carousel
import h5py
import numpy as np
import pytest
from conftest import FIXTURES, PACKAGE

MODEL = FIXTURES / "keras3" / "bilstm_concat.h5"
ARCHIVE = FIXTURES / "keras3" / "lstm_dense.keras"
FIRST = "model_weights/dense/sequential/dense/kernel"


# --- types and ranks ---------------------------------------------------------------------------


def replace(write: Callable[[h5py.Group, tuple[int, ...]], Any]) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        shape = file[FIRST].shape
        del file[FIRST]
        parent, leaf = FIRST.rsplit("/", 1)
        write(file[parent], shape)
        assert leaf in file[parent]

    return make


def of_type(dtype: Any) -> Callable[[h5py.File], None]:
    return replace(lambda group, shape: group.create_dataset("kernel", shape, dtype))


def committed(file: h5py.File) -> None:
    del file[FIRST]
    file[FIRST] = np.dtype("f4")


def as_group(file: h5py.File) -> None:
    del file[FIRST]
    file.create_group(FIRST)


TYPES: dict[str, Callable[[h5py.File], None]] = {
    "variable length": of_type(h5py.vlen_dtype(np.float32)),
    "variable string": of_type(h5py.string_dtype()),
    "object reference": of_type(h5py.ref_dtype),
    "region reference": of_type(h5py.regionref_dtype),
    "enumeration": of_type(h5py.enum_dtype({"a": 0, "b": 1}, "i4")),
    "array": of_type(np.dtype(("f4", (2,)))),
    "opaque": of_type("V4"),
    "complex": of_type("c8"),
    "long double": of_type("f16"),
    "committed type": committed,
    "a group": as_group,
    "rank 32": replace(lambda g, s: g.create_dataset("kernel", (1,) * 31 + (24,), "f4")),
    "rank 0": replace(lambda g, s: g.create_dataset("kernel", (), "f4")),
    "null": replace(lambda g, s: g.create_dataset("kernel", data=h5py.Empty("f4"))),
    "an extent of 0": replace(lambda g, s: g.create_dataset("kernel", (0, s[1]), "f4")),
    "an extent of 2^62": replace(
        lambda g, s: g.create_dataset("kernel", (0, 1 << 62), "f4", maxshape=(None, None))
    ),
}


@pytest.mark.parametrize("name", TYPES)
def test_what_is_no_matrix_of_numbers_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(MODEL.read_bytes())
    with h5py.File(path, "r+") as file:
        TYPES[name](file)
    with pytest.raises(carousel.Error, match="kernel"):
        carousel.load(path)


def scale_offset(group: h5py.Group, shape: tuple[int, ...]) -> None:
    group.create_dataset("kernel", data=np.zeros(shape, "i4"), chunks=shape, scaleoffset=0)


def unknown_filter(group: h5py.Group, shape: tuple[int, ...]) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk(shape)
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # zstd, as a plug-in
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, b"kernel", h5py.h5t.IEEE_F32LE, space, properties)
    group["kernel"][...] = 1


@pytest.mark.parametrize("write", [scale_offset, unknown_filter])
def test_filters_that_are_not_known_are_refused(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(MODEL.read_bytes())
    with h5py.File(path, "r+") as file:
        replace(write)(file)
    with pytest.raises(carousel.Error, match="filter"):
        carousel.load(path)


def test_no_plug_in_is_loaded(tmp_path: Path) -> None:
    """A filter that only a plug-in knows, and a plug-in that leaves a mark when it is loaded."""
    source = tmp_path / "plugin.c"
    mark = tmp_path / "loaded"
    source.write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) static void run(void) "
        f'{{ open("{mark}", O_CREAT | O_WRONLY, 0600); }}\n'
        "int H5PLget_plugin_type(void) { return 0; }\n"
        "const void *H5PLget_plugin_info(void) { return 0; }\n"
    )
    plugin = tmp_path / "libplugin.so"
    subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(plugin)], check=True)
    path = tmp_path / "model.h5"
    path.write_bytes(MODEL.read_bytes())
    with h5py.File(path, "r+") as file:
        replace(unknown_filter)(file)
    read = f"import carousel\ntry: carousel.load({str(path)!r})\nexcept carousel.Error: pass"
    control = (
        "import ctypes.util, ctypes, glob\n"
        "lib = ctypes.CDLL('libhdf5_serial.so.103')\n"
        "lib.H5open()\nprint(lib.H5Zfilter_avail(32015))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "HDF5_PLUGIN_PATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", read], check=True, env=environment)
    assert not mark.exists()
    # The mark would have been there: libhdf5 by itself loads it.
    result = subprocess.run([sys.executable, "-c", control], check=False, env=environment)
    if result.returncode == 0:
        assert mark.exists()


# --- layouts without an architecture -----------------------------------------------------------


def onnx_huge(file: h5py.File) -> None:
    unlimited = (None, None, None)
    file.create_dataset("W", (1, 0, 0), "f4", chunks=(1, 1, 1), maxshape=unlimited)
    file.create_dataset("R", (1, 0, 1 << 62), "f4", chunks=(1, 1, 1), maxshape=unlimited)


def torch_huge(file: h5py.File) -> None:
    for name in ("lstm.weight_ih_l0", "lstm.weight_hh_l0"):
        file.create_dataset(name, (0, 1 << 62), "f4", chunks=(1, 1), maxshape=(None, None))


def many_counts(file: h5py.File) -> None:
    for name in ("lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0"):
        file.create_dataset(name, (1 << 38, 1 << 24), "f4", chunks=(1, 1))


def self_links(file: h5py.File) -> None:
    file["lstm.weight_ih_l0"] = np.zeros((4, 1), "f4")
    for index in range(40):
        file[f"loop{index}"] = file["/"]


@pytest.mark.parametrize("write", [onnx_huge, torch_huge, many_counts, self_links])
def test_bare_layouts_with_absurd_shapes(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        write(file)
    net = carousel.Network([carousel.LSTM(4)], input_size=1)
    before = net.parameter_buffer().tobytes()
    for call in (carousel.load, net.load_weights):
        with pytest.raises(carousel.Error):
            call(path)
    assert net.parameter_buffer().tobytes() == before
    try:
        carousel.inspect(path)
    except carousel.Error as error:
        assert "declares" in str(error) or "nested" in str(error)


# --- archives ----------------------------------------------------------------------------------


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(ARCHIVE) as old:
        return {name: old.read(name) for name in old.namelist()}


def pack(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as new:
        for name, data in content.items():
            new.writestr(name, data)


def test_names_of_members_lead_nowhere(tmp_path: Path) -> None:
    """Members with paths are never unpacked: other names are simply not looked at."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    content = members()
    content["../../escaped"] = b"x"
    content["/tmp/carousel-escaped"] = b"x"
    pack(folder / "model.keras", content)
    carousel.load(folder / "model.keras")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "model.keras"]
    assert not Path("/tmp/carousel-escaped").exists()


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_members_under_other_names_do_not_count(name: str, tmp_path: Path) -> None:
    content = members()
    content["../" + name] = content.pop(name)
    pack(tmp_path / "model.keras", content)
    with pytest.raises(carousel.Error, match=name.replace(".", r"\.")):
        carousel.load(tmp_path / "model.keras")


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> None:
    data = bytearray(path.read_bytes())
    place = -1
    while (place := data.find(signature, place + 1)) >= 0:
        data[place + offset : place + offset + len(value)] = value
    path.write_bytes(data)


ZIP_LIES: dict[str, tuple[bytes, int, bytes]] = {
    "sizes of 4 GiB": (b"PK\1\2", 24, struct.pack("<I", 0xFFFFFFF0)),
    "stored size beyond the end": (b"PK\1\2", 20, struct.pack("<I", 0x7FFFFFFF)),
    "wrong checksums": (b"PK\1\2", 16, b"\0\0\0\0"),
    "headers elsewhere": (b"PK\1\2", 42, struct.pack("<I", 0x7FFFFFFF)),
    "unknown compression": (b"PK\1\2", 10, struct.pack("<H", 99)),
    "encrypted": (b"PK\1\2", 8, struct.pack("<H", 1)),
    "directory elsewhere": (b"PK\5\6", 16, struct.pack("<I", 0x7FFFFFFF)),
    "too many members": (b"PK\5\6", 10, struct.pack("<H", 0xFFFF)),
}


@pytest.mark.parametrize("name", ZIP_LIES)
def test_archives_that_lie(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    pack(path, members())
    patched(path, *ZIP_LIES[name])
    with pytest.raises(carousel.Error):
        carousel.load(path)
    with pytest.raises(carousel.Error):
        carousel.load(path, untrusted=True)


# --- memory ------------------------------------------------------------------------------------

PEAK = """
import resource, sys
import carousel
carousel.load({warm!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    carousel.load({path!r})
    print("loaded")
except carousel.Error as error:
    print("refused:", error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak(path: Path) -> tuple[str, int]:
    """What a load in a process of its own said, and by how many bytes its memory grew."""
    code = PEAK.format(warm=str(MODEL), path=str(path))
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
    )
    *words, kibibytes = result.stdout.splitlines()
    return " ".join(words), int(kibibytes) << 10


def json_bomb(path: Path) -> None:
    pack(
        path, {**members(), "config.json": b"[" + b"[]," * (20 << 20) + b"0]"}, zipfile.ZIP_DEFLATED
    )


def deflated_zeros(path: Path) -> None:
    with h5py.File(path, "w") as new, h5py.File(MODEL, "r") as old:
        old.copy("model_weights", new)
        for key, value in old.attrs.items():
            new.attrs[key] = value
        del new[FIRST]
        data = new.create_dataset(
            FIRST, (200_000, 1000), "f4", chunks=(2000, 1000), compression="gzip", shuffle=True
        )
        data[:] = 0


def one_array_many_names(path: Path) -> None:
    """A thousand layers that all name one array of a megabyte."""
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}
    layers = config["config"]["layers"]
    dense = {"units": 256, "activation": "linear", "use_bias": False}
    for index in range(1000):
        options: dict[str, Any] = {"name": f"d{index}", **dense}
        if index == 0:
            options["batch_input_shape"] = [None, 1024]
        layers.append({"class_name": "Dense", "config": options})
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [f"d{index}" for index in range(1000)]
        array = file.create_dataset("array", data=np.ones((1024, 256), "f4"))
        for index in range(1000):
            group.create_group(f"d{index}").attrs["weight_names"] = ["k"]
            group[f"d{index}/k"] = array


BOMBS = {
    "JSON in an archive": json_bomb,
    "compressed zeros": deflated_zeros,
    "one array, many names": one_array_many_names,
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_in_proportion(name: str, tmp_path: Path) -> None:
    """Never more than 64 MiB (and what that becomes) or 64 times the file: here, 300 MB."""
    path = tmp_path / "bomb"
    BOMBS[name](path)
    said, grown = peak(path)
    assert said.startswith("refused:")
    assert grown < 300_000_000, f"{grown} bytes for a file of {path.stat().st_size}: {said}"


def test_a_large_file_takes_a_small_multiple(tmp_path: Path) -> None:
    network = carousel.Network([carousel.LSTM(1024), carousel.Dense(8)], input_size=512, seed=1)
    for layout in ("carousel", "keras-h5", "keras"):
        network.save(tmp_path / "model", format=layout)
        said, grown = peak(tmp_path / "model")
        size = (tmp_path / "model").stat().st_size
        assert said == "loaded"
        # Doubles on the way, the network, its packed weights, and an image of the archive's member.
        assert grown < 9 * size + 20_000_000, f"{layout}: {grown} bytes for a file of {size}"


def string_bomb(path: Path) -> None:
    """A list of names that all are one long string, which libhdf5 copies for each of them."""
    path.write_bytes(MODEL.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = ["x" * (1 << 20), *(f"{index:06}" for index in range(3000))]
        del group.attrs["layer_names"]
        group.attrs["layer_names"] = np.array(names, dtype=object)
    data = bytearray(path.read_bytes())
    # Each element is a length, the address of a heap, and an index: all become the first one's.
    first = data.find(struct.pack("<I", 1 << 20))
    while first >= 0 and data[first + 16 : first + 20] != struct.pack("<I", 6):
        first = data.find(struct.pack("<I", 1 << 20), first + 1)
    assert first > 0
    for index in range(1, 3001):
        place = first + 16 * index
        if data[place : place + 4] != struct.pack("<I", 6):
            break
        data[place : place + 16] = data[first : first + 16]
    path.write_bytes(data)


def test_strings_that_libhdf5_multiplies_need_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    string_bomb(path)
    with pytest.raises(carousel.Error):
        carousel.load(path, untrusted=True, memory_limit=700 << 20)


# --- what is no plain file ---------------------------------------------------------------------


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for path in ("pipe", "loop", "folder", "/dev/zero", "/dev/null", "/proc/self/mem"):
        for untrusted in (False, True):
            with pytest.raises(carousel.Error, match="regular|opened|empty|HDF5"):
                carousel.load(tmp_path / path, untrusted=untrusted)


def test_a_file_of_the_image_s_name_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libhdf5 refuses an image in memory if there is a file of its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "carousel-image").write_bytes(b"x")
    carousel.load(ARCHIVE)
