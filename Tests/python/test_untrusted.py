"""Files that are not trusted: whatever happens to carousel-reader does not happen to the host."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import carousel
import h5py
import numpy as np
import pytest
from conftest import FIXTURES, PACKAGE, REPOSITORY, manifest

MODEL = FIXTURES / "keras3" / "bilstm_concat.h5"
#: Time enough on a machine that is stopped now and then.
PATIENT: dict[str, Any] = {"untrusted": True, "time_limit": 600}
BARE = {"torch-state-dict-h5", "chainer-hdf5", "tf1-variables-h5", "onnx-lstm-h5"}
MODELS = [
    entry
    for entry in manifest()
    if not entry["format"].endswith("-oracle-h5") and entry["format"] not in BARE
]


def outcome(entry: dict[str, Any], untrusted: bool) -> Any:
    """The parameters, or the error's class and message."""
    config = None
    if entry["format"] in ("keras-v3-weights-h5", "keras-legacy-weights-h5"):
        config = (FIXTURES / entry["arch"]).read_text()
    try:
        options = PATIENT if untrusted else {}
        network = carousel.load(FIXTURES / entry["file"], config=config, **options)
    except carousel.Error as error:
        return type(error), str(error)
    return network.to_json(), network.parameter_buffer().tobytes(), network.dtype


@pytest.mark.parametrize("entry", MODELS[::3], ids=lambda entry: entry["file"])
def test_every_file_is_read_as_in_this_process(entry: dict[str, Any]) -> None:
    assert outcome(entry, untrusted=True) == outcome(entry, untrusted=False)


def test_inspection(tmp_path: Path) -> None:
    for path in (MODEL, FIXTURES / "torch" / "lstm_linear.h5"):
        if path.exists():
            assert carousel.inspect(path, untrusted=True) == carousel.inspect(path)


def test_weights_and_every_precision(tmp_path: Path) -> None:
    for dtype in ("float32", "float64"):
        network = carousel.Network(
            [carousel.LSTM(7, peepholes=True, layer_norm=True), carousel.Dense(3)],
            input_size=5,
            dtype=dtype,
            seed=1,
        )
        path = tmp_path / f"{dtype}.h5"
        network.save(path)
        found = carousel.load(path, untrusted=True)
        assert found.dtype == network.dtype
        assert found.parameter_buffer().tobytes() == network.parameter_buffer().tobytes()
        other = carousel.Network(
            [carousel.LSTM(7, peepholes=True, layer_norm=True), carousel.Dense(3)],
            input_size=5,
            dtype=dtype,
            seed=2,
        )
        other.load_weights(path, untrusted=True)
        assert other.parameter_buffer().tobytes() == network.parameter_buffer().tobytes()


def test_refusals_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(MODEL, "r") as old, h5py.File(path, "w") as new:
        old.copy("model_weights", new)
        new.attrs["model_config"] = old.attrs["model_config"]
        new["model_weights/dense/sequential/dense/kernel"][0, 0] = np.nan
    for untrusted in (False, True):
        with pytest.raises(carousel.NumericError, match="nan at position 0"):
            carousel.load(path, untrusted=untrusted)
    assert carousel.load(path, untrusted=True, allow_non_finite=True)
    with pytest.raises(carousel.NotFoundError, match="none"):
        carousel.load(tmp_path / "none", untrusted=True)
    with pytest.raises(carousel.LimitError, match="bytes; the limit"):
        carousel.load(path, untrusted=True, largest_file=100)
    with pytest.raises(carousel.InvalidArgumentError, match="time_limit"):
        carousel.load(path, time_limit=3)


# --- a reader under a hostile file's control ---------------------------------------------------

HOSTILE = {
    "crash": (carousel.FormatError, "crashed .signal 11"),
    # The reader may send no signal, not even to itself: abort() ends in an illegal instruction.
    "abort": (carousel.FormatError, "crashed .signal"),
    "loop": (carousel.LimitError, "limit of 1 seconds"),
    "sleep": (carousel.LimitError, "limit of 1 seconds"),
    # Nothing is left even for the answer.
    "memory": (carousel.Error, "damaged|crashed|limit"),
    "stack": (carousel.FormatError, "crashed .signal 11"),
    # What it says depends on which request was refused; had one been granted, it would abort.
    "escape": (carousel.Error, "damaged, or is not HDF5"),
    "lie": (carousel.FormatError, "precision|format"),
    "flood": (carousel.LimitError, "bytes of text"),
}


def hostile_library(kind: str, folder: Path) -> Path:
    """The system's libhdf5 behind an H5Fopen that does `kind`."""
    library = folder / "libhostile.so"
    source = Path(__file__).with_name("hostile_hdf5.c")
    command = ["gcc", "-O1", "-Wno-infinite-recursion", "-shared", "-fPIC"]
    command += [f"-DHOSTILE={kind.upper()}", str(source), "-o", str(library)]
    flags = subprocess.run(
        ["pkg-config", "--libs", "hdf5-serial"], capture_output=True, text=True, check=False
    )
    if flags.returncode != 0:
        flags = subprocess.run(
            ["pkg-config", "--libs", "hdf5"], capture_output=True, text=True, check=False
        )
    command += ["-Wl,--no-as-needed", *flags.stdout.split()]
    subprocess.run(command, check=True)
    return library


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_reader_harms_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_HDF5", str(hostile_library(kind, tmp_path)))
    error, message = HOSTILE[kind]
    begun = time.monotonic()
    with pytest.raises(error, match=message):
        # Only what never ends meets a short limit: on a busy machine the others take their time.
        carousel.load(MODEL, untrusted=True, time_limit=1 if "1 seconds" in message else 60)
    # Generous: the machine may be busy. Without the limits these would never end.
    assert time.monotonic() - begun < 120
    assert not list(tmp_path.glob("carousel-was-here"))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("name", ["global_heap", "local_heap"])
def test_files_that_crash_libhdf5(name: str) -> None:
    """Real ones: they end the process that opens them with libhdf5 1.10.8."""
    path = Path(__file__).with_name("hostile") / f"{name}.h5"
    net = carousel.Network([carousel.LSTM(4)], input_size=3)
    for call in (carousel.load, carousel.inspect, net.load_weights):
        with pytest.raises(carousel.Error, match="crashed|damaged|HDF5"):
            call(path, untrusted=True)


# --- answers that no reader of ours would give -------------------------------------------------


def fake_reader(folder: Path, script: str) -> Path:
    path = folder / "reader"
    path.write_text(f"#!{sys.executable} -IS\nimport os, sys, struct\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def answer(text: bytes, rest: bytes = b"") -> str:
    return f"os.write(1, struct.pack('<Q', {len(text)}) + {text!r} + {rest!r})"


ARCHITECTURE = (
    b'{"status": 0, "architecture": {"name": "n", "layers": []}, "precision": "float32", "format": '
    b'"carousel", "framework": "", "framework_version": "", "is_verified": true, "ignored": [], '
)
ANSWERS = {
    "nothing": ("pass", "ended without an answer"),
    "half a number": ("os.write(1, b'abc')", "ended without an answer"),
    "half a text": ("os.write(1, struct.pack('<Q', 100) + b'{')", "ended without an answer"),
    "endless text": ("os.write(1, struct.pack('<Q', 1 << 62))", "bytes of text"),
    "no JSON": (answer(b"hello"), "JSON"),
    "deep JSON": (answer(b"[" * 100000), "JSON"),
    "no UTF-8": (answer(b"\xff\xfe"), "UTF-8"),
    "a list": (answer(b"[]"), "not a JSON object"),
    "no status": (answer(b"{}"), "status"),
    "odd status": (answer(b'{"status": 99, "message": "odd"}'), "odd"),
    "huge status": (answer(b'{"status": 9999999999, "message": "odd"}'), "status"),
    "success alone": (answer(b'{"status": 0}'), "format"),
    "no layers": (answer(ARCHITECTURE + b'"arrays": []}'), "layers|input|output"),
    "unknown key": (answer(ARCHITECTURE + b'"arrays": [], "more": 1}'), "layers|more|input"),
    "array of 2^62": (
        answer(ARCHITECTURE + b'"arrays": [{"name": "x", "shape": [4611686018427387904]}]}'),
        "limit|layers|input",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_not_trusted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, message = ANSWERS[name]
    monkeypatch.setenv("CAROUSEL_READER", str(fake_reader(tmp_path, script)))
    with pytest.raises(carousel.Error, match=message):
        carousel.load(MODEL, untrusted=True)


RECORD = """
import subprocess
head = sys.stdin.buffer.read(8)
request = sys.stdin.buffer.read(struct.unpack('<Q', head)[0])
real = subprocess.run([{reader!r}], input=head + request, capture_output=True, pass_fds=[3])
data = bytearray(real.stdout)
open({copy!r}, 'wb').write(data)
mutate = {mutation!r}
if mutate >= 0:
    place, value = mutate // 256 % len(data), mutate % 256
    if value == 0: del data[place:]
    else: data[place] ^= value
os.write(1, data)
"""


def test_damaged_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real answer with a byte changed, or cut: an error, or a network with other numbers."""
    network = carousel.Network([carousel.LSTM(2), carousel.Dense(1)], input_size=1, seed=1)
    network.save(tmp_path / "model.h5")
    reader = str(REPOSITORY / "build" / "carousel-reader")
    copy = tmp_path / "answer"
    script = RECORD.format(reader=reader, copy=str(copy), mutation=-1)
    monkeypatch.setenv("CAROUSEL_READER", str(fake_reader(tmp_path, script)))
    found = carousel.load(tmp_path / "model.h5", untrusted=True)
    assert found.parameter_buffer().tobytes() == network.parameter_buffer().tobytes()
    data = copy.read_bytes()
    replay = "os.write(1, open({!r}, 'rb').read())".format(str(tmp_path / "damaged"))
    monkeypatch.setenv("CAROUSEL_READER", str(fake_reader(tmp_path, replay)))
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[generator.integers(len(data))] ^= 1 << generator.integers(8)
        if generator.random() < 0.2:
            del damaged[generator.integers(len(data)) :]
        (tmp_path / "damaged").write_bytes(damaged)
        with contextlib.suppress(carousel.Error):
            carousel.load(tmp_path / "model.h5", untrusted=True)


# --- the host ----------------------------------------------------------------------------------


def test_a_missing_reader_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_READER", str(tmp_path / "none"))
    with pytest.raises(carousel.LibraryError, match="cannot be started"):
        carousel.load(MODEL, untrusted=True)


def test_library_and_reader_can_be_moved_together(tmp_path: Path) -> None:
    """As in a wheel: beside each other in the package's folder."""
    build = REPOSITORY / "build"
    for name in ("libcarousel.so.1", "carousel-reader"):
        shutil.copy(build / name, tmp_path / name)
    script = f"import carousel; carousel.load({str(MODEL)!r}, untrusted=True)"
    environment = {
        **os.environ,
        "PYTHONPATH": str(PACKAGE),
        "CAROUSEL_LIBRARY": str(tmp_path / "libcarousel.so.1"),
    }
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    (tmp_path / "carousel-reader").unlink()
    result = subprocess.run(
        [sys.executable, "-c", script], check=False, env=environment, capture_output=True, text=True
    )
    assert "carousel-reader, which reads untrusted files, is missing" in result.stderr


def test_no_descriptor_and_no_child_remains(tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5"
    bad.write_bytes(MODEL.read_bytes()[:3000])
    carousel.load(MODEL, untrusted=True)
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(10):
        carousel.load(MODEL, untrusted=True)
        with pytest.raises(carousel.Error):
            carousel.load(bad, untrusted=True)
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_from_many_threads() -> None:
    expected = carousel.load(MODEL).parameter_buffer().tobytes()
    found: list[bytes] = []

    def work() -> None:
        for _ in range(5):
            found.append(carousel.load(MODEL, **PATIENT).parameter_buffer().tobytes())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 30


HOSTS = {
    "ignores SIGCHLD": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "waits for every child": (
        "def reap(*_):\n"
        "    try:\n"
        "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
        "    except ChildProcessError: pass\n"
        "signal.signal(signal.SIGCHLD, reap)"
    ),
    "blocks signals": "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))",
    "gets alarms": (
        "signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)"
    ),
    "has no standard files": "for fd in (0, 1, 2): os.close(fd)",
    "has many files open": "keep = [open('/dev/null') for _ in range(200)]",
    "has a child of its own": "child = subprocess.Popen(['sleep', '0.01'])",
    "dies on SIGPIPE": "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
}


@pytest.mark.parametrize("name", HOSTS)
def test_hosts_with_habits(name: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5"
    bad.write_bytes(MODEL.read_bytes()[:3000])
    early = fake_reader(tmp_path, "os._exit(0)")
    script = f"""
import os, signal, subprocess, sys
import carousel
{HOSTS[name]}
for _ in range(5):
    if carousel.load({str(MODEL)!r}, untrusted=True) is None: os._exit(3)
    try:
        carousel.load({str(bad)!r}, untrusted=True)
        os._exit(4)
    except carousel.FormatError: pass
os.environ["CAROUSEL_READER"] = {str(early)!r}
try:
    carousel.load({str(MODEL)!r}, untrusted=True)
    os._exit(5)
except carousel.FormatError: pass
if "child" in globals() and child.wait() != 0: os._exit(6)
os._exit(0)
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


def test_the_command_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    result = subprocess.run(
        [sys.executable, "-m", "carousel", "inspect", "--untrusted", str(MODEL)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert result.returncode == 0 and "keras" in result.stdout, result.stderr


def test_the_host_s_death_ends_the_reader(tmp_path: Path) -> None:
    library = hostile_library("sleep", tmp_path)
    script = f"import carousel; carousel.load({str(MODEL)!r}, untrusted=True)"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "CAROUSEL_HDF5": str(library)}
    host = subprocess.Popen([sys.executable, "-c", script], env=environment)
    children = Path(f"/proc/{host.pid}/task/{host.pid}/children")
    deadline = time.monotonic() + 120
    child = ""
    while not child and time.monotonic() < deadline:
        child = children.read_text().strip()
    assert child
    time.sleep(0.5)  # its limits are set by now
    host.send_signal(signal.SIGKILL)
    host.wait()
    while Path(f"/proc/{child}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (
        not Path(f"/proc/{child}/cmdline").exists()
        or not Path(f"/proc/{child}/cmdline").read_bytes()
    )
