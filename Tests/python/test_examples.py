"""The example programs: C and Python say the same, and both say what Keras said."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = pathlib.Path(os.environ.get("CAROUSEL_LIBRARY", ROOT / "build/libcarousel.so"))
C_EXAMPLES = ROOT / "bindings/c/examples"
PYTHON_EXAMPLES = ROOT / "bindings/python/examples"
SUNSPOTS = ROOT / "data/sunspots"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Builds a C example as its first lines say, with every warning an error; gives its path."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    folder = tmp_path_factory.mktemp("examples")

    def build(name: str) -> pathlib.Path:
        program = folder / name
        if not program.exists():
            flags = ["-std=c99", "-O2", "-pedantic", "-Wall", "-Wextra", "-Werror"]
            paths = [f"-I{ROOT / 'include'}", f"-L{LIBRARY.parent}", f"-Wl,-rpath,{LIBRARY.parent}"]
            source = C_EXAMPLES / f"{name}.c"
            subprocess.run(
                [compiler, *flags, *paths, source, "-o", program, "-lcarousel", "-lm"], check=True
            )
        return program

    return build


def run(*command, folder=ROOT, **options) -> subprocess.CompletedProcess:
    environment = dict(
        os.environ, PYTHONPATH=str(ROOT / "bindings/python"), CAROUSEL_LIBRARY=str(LIBRARY)
    )
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
        **options,
    )


def test_forecasts_from_c_and_python_are_the_same_text(built):
    c = run(built("forecast"), check=True).stdout
    python = run(sys.executable, PYTHON_EXAMPLES / "forecast.py", check=True).stdout
    assert c == python
    (line,) = (line for line in c.splitlines() if line.startswith("RMSE"))
    assert "forecast 12.26, persistence 30.43" in line  # as data/sunspots/README.md says


def test_a_swift_program_forecasts_the_same():
    program = ROOT / ".build/release/forecast"
    if not program.exists():
        pytest.skip("the Swift packages are not built: scripts/test swift")
    last = run(program, check=True).stdout.splitlines()[-1]
    assert last == "RMSE: forecast 12.26, persistence 30.43"


def test_forecasts_are_those_of_keras():
    done = run(sys.executable, PYTHON_EXAMPLES / "compare_with_keras.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_forecasts_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "forecast.png"
    run(sys.executable, PYTHON_EXAMPLES / "forecast.py", "--plot", plot, check=True)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_stream_runs_in_real_time(built):
    done = run(built("stream"), check=True)
    assert "309 steps at 1000 per second" in done.stdout
    assert "the same step gives the same bits." in done.stdout


def test_training_entirely_from_c_solves_the_adding_problem(built, tmp_path):
    file = tmp_path / "adding.h5"
    done = run(built("train"), file, 30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Saved to {file}; loaded again" in done.stdout
    assert file.exists()


def test_our_own_forecaster_is_trained_from_python_and_runs_from_c(built, tmp_path):
    file = tmp_path / "own.h5"
    python = run(sys.executable, PYTHON_EXAMPLES / "train_forecaster.py", file)
    assert python.returncode == 0, python.stdout + python.stderr
    (error,) = (w for w in python.stdout.splitlines() if w.startswith("RMSE"))
    c = run(built("forecast"), file, check=True).stdout
    assert f"forecast {error.split(': ')[1].split(',')[0]}, persistence 30.43" in c


@pytest.mark.skipif(not pathlib.Path("/usr/share/common-licenses").is_dir(), reason="not Debian")
def test_text_is_learned_from_python_and_written_from_c(built, tmp_path):
    file = tmp_path / "characters.h5"
    # One epoch is too few to beat the trigrams, which is what its exit status says.
    done = run(sys.executable, PYTHON_EXAMPLES / "train_characters.py", file, "--epochs", 1)
    assert "bits per unseen character" in done.stdout, done.stderr
    texts = [
        run(built("generate"), file, "You may", 60, 0.7, s, check=True).stdout for s in (1, 1, 2)
    ]
    assert len(texts[0]) == len("You may") + 60 + 1
    assert texts[0] == texts[1] != texts[2]


def test_a_network_that_goes_on_learning_follows_the_signal(built):
    lines = run(built("adapt"), check=True).stdout.splitlines()[3:]
    assert len(lines) == 10
    last, copy = map(float, lines[-1].split()[1:])
    assert last < float(lines[0].split()[1]) / 2  # it has learned,
    assert last < copy / 2  # and the copy has been left behind
    assert run(built("adapt"), 10).returncode == 2


@pytest.mark.parametrize("name", ["forecast", "stream", "generate"])
def test_c_examples_say_what_is_wrong(built, name, tmp_path):
    """No model, no HDF5 file, and a model of other shapes: a message and a failure, no crash."""
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    other = ROOT / "Tests/fixtures/keras3/act_sigmoid_tanh.h5"
    for model in (tmp_path / "missing.h5", text, other):
        done = run(built(name), model)
        assert done.returncode == 1, (model, done)
        assert done.stderr.startswith(f"{name}: "), done.stderr


def test_the_committed_forecasts_match_the_committed_data():
    counts = np.loadtxt(SUNSPOTS / "sunspots.csv", delimiter=",", skiprows=1)
    keras = np.loadtxt(SUNSPOTS / "keras_forecasts.csv", delimiter=",", skiprows=1)
    assert counts.shape == (309, 2)
    np.testing.assert_array_equal(counts[22:], keras[:, :2])
