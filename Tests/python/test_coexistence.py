"""Carousel in one process with other users of libhdf5 and of threads, in any order of loading."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import carousel
import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MODEL = FIXTURES / "keras3" / "bilstm_concat.h5"

# Each part is run twice: all once in the given order, then all again, when all others are loaded.
PARTS = {
    "carousel": """
import carousel
net = carousel.load(MODEL)
y = np.asarray(net(np.ones((64, *net.input_shape[1:]), "f4")))
assert np.isfinite(y).all()
expected.setdefault("carousel", y)
assert np.array_equal(expected["carousel"], y)
net.save(FOLDER + "/saved.h5")
again = carousel.load(FOLDER + "/saved.h5")
assert np.array_equal(again(np.ones((64, *net.input_shape[1:]), "f4")), y)
try:
    carousel.load(FOLDER + "/none.h5")
    raise SystemExit("no error")
except carousel.NotFoundError:
    pass
""",
    "h5py": """
import h5py
with h5py.File(MODEL, "r") as file:
    assert "model_weights" in file
with h5py.File(FOLDER + "/h5py.h5", "w") as file:
    file.create_dataset("x", data=np.arange(1000.0), compression="gzip", chunks=True)
with h5py.File(FOLDER + "/h5py.h5", "r") as file:
    assert np.array_equal(file["x"][()], np.arange(1000.0))
try:
    h5py.File(FOLDER + "/none.h5", "r")
    raise SystemExit("no error")
except OSError:
    pass
""",
    "torch": """
import torch
torch.manual_seed(0)
lstm = torch.nn.LSTM(8, 32, batch_first=True)
out, _ = lstm(torch.ones(16, 10, 8))
out.sum().backward()
expected.setdefault("torch", out.detach().numpy())
assert np.allclose(expected["torch"], out.detach().numpy())
""",
    "tensorflow": """
import tensorflow as tf
layer = tf.keras.layers.LSTM(8)
assert np.isfinite(layer(np.ones((2, 3, 4), "f4")).numpy()).all()
""",
    "second copy": """
import ctypes
copy = ctypes.CDLL(COPY)
copy.carousel_version_string.restype = ctypes.c_char_p
copy.carousel_last_error_message.restype = ctypes.c_char_p
handle = ctypes.c_void_p()
status = copy.carousel_network_load(MODEL.encode(), None, ctypes.byref(handle))
assert status == 0, copy.carousel_last_error_message()
size, data = ctypes.c_size_t(), ctypes.c_void_p()
status = copy.carousel_network_get_parameter_buffer(handle, ctypes.byref(data), ctypes.byref(size))
assert status == 0
assert size.value > 0
assert copy.carousel_network_save(handle, (FOLDER + "/copy.h5").encode(), None) == 0
copy.carousel_network_free(handle)
""",
}

PROGRAM = """
import sys
import numpy as np
MODEL, FOLDER, COPY = sys.argv[1:4]
expected = {}
"""


def run(order: tuple[str, ...], folder: Path) -> None:
    library = Path(carousel.library_path())
    copy = folder / "libsecond.so"
    shutil.copy(library, copy)
    program = PROGRAM + "".join(PARTS[name] for name in order + order) + "\nprint('done')\n"
    result = subprocess.run(
        [sys.executable, "-c", program, str(MODEL), str(folder), str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(carousel.__file__).parents[1])},
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr[-3000:]


@pytest.mark.parametrize(
    "order", [*itertools.permutations(["carousel", "h5py", "second copy"])], ids=", ".join
)
def test_with_h5py_and_a_second_copy(order: tuple[str, ...], tmp_path: Path) -> None:
    run(order, tmp_path)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
@pytest.mark.parametrize("is_first", [True, False])
def test_with_frameworks(framework: str, is_first: bool, tmp_path: Path) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    others = ("carousel", "h5py", "second copy")
    run((framework, *others) if is_first else (*others, framework), tmp_path)
