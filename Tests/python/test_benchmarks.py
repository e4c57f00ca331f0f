"""The benchmarks' own arithmetic: names, the float64 oracle, and what counts as a wrong answer."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import oracle  # noqa: E402 (only now on the path)
import report  # noqa: E402
import workloads  # noqa: E402


def test_names_say_everything():
    w = workloads.parse("C_b32_t100_h256_i40_2layer_bidi")
    assert (w.kind, w.input_size, w.hidden_size, w.time_steps) == ("seq", 40, 256, 100)
    assert (w.batch, w.layers, w.directions, w.output_size) == (32, 2, 2, 512)
    assert w.layer_input_sizes() == [40, 512]
    step = workloads.parse("A_step_i1_h16")
    assert (step.kind, step.time_steps, step.batch) == ("step", 1, 1)
    assert step.flops() == 2 * 4 * 16 * (1 + 16)


@pytest.mark.parametrize("name", ["C_b32_t100", "C_h0", "A_step_h8_t3", "B_seq_h8_x9", "D_"])
def test_bad_names_are_refused(name):
    with pytest.raises(ValueError, match="workload"):
        workloads.parse(name)


def test_every_standard_name_is_one():
    for names in (*workloads.STANDARD.values(), *workloads.QUICK.values()):
        for name in names:
            assert workloads.parse(name).name == name


def loss(workload, data):
    y = data.x.astype(np.float64)
    for layer in data.layers:
        parts = []
        for number, direction in enumerate(layer):
            order = slice(None, None, -1 if number else 1)
            parts.append(oracle.forward_direction(direction, y[order])[0][order])
        y = np.concatenate(parts, axis=2)
    return float(np.sum(y * data.output_gradient.astype(np.float64)))


@pytest.mark.parametrize("name", ["D_train_b2_t5_i3_h4", "D_train_b2_t4_i3_h3_2layer_bidi"])
def test_gradients_are_the_slopes_of_the_loss(name):
    workload = workloads.parse(name)
    data = oracle.make(workload)
    for layer in data.layers:
        for d in layer:
            d.input_kernel = d.input_kernel.astype(np.float64)
            d.recurrent_kernel = d.recurrent_kernel.astype(np.float64)
            d.bias = d.bias.astype(np.float64)
    data.x = data.x.astype(np.float64)
    gradients = oracle.reference(workload, data)
    first = data.layers[0][0]
    arrays = {
        "dx": data.x,
        "dw_ih": first.input_kernel,
        "dw_hh": first.recurrent_kernel,
        "db": first.bias,
    }
    for key, array in arrays.items():
        assert gradients[key].shape == array.shape
        for index in np.ndindex(array.shape):
            before, slope = array[index], []
            for sign in (1, -1):
                array[index] = before + sign * 1e-5
                slope.append(loss(workload, data))
            array[index] = before
            assert gradients[key][index] == pytest.approx(
                (slope[0] - slope[1]) / 2e-5, rel=1e-6, abs=1e-8
            )


def test_wrong_numbers_are_seen(tmp_path):
    workload = workloads.parse("B_seq_i3_h4_t5")
    data = oracle.make(workload)
    expected = oracle.reference(workload, data)
    right = expected["y"].astype("<f4")
    right.tofile(tmp_path / "y")
    assert oracle.error(workload, expected, tmp_path / "y") < 1e-6
    wrong = right.copy()
    wrong[3, 0, 2] += 0.01
    wrong.tofile(tmp_path / "y")
    assert oracle.error(workload, expected, tmp_path / "y") > 1e-3
    right[:-1].tofile(tmp_path / "y")
    assert oracle.error(workload, expected, tmp_path / "y") == np.inf


def test_workers_read_the_same_numbers(tmp_path):
    workload = workloads.parse("C_b2_t3_h4_2layer_bidi")
    data = oracle.make(workload)
    data.write(tmp_path / "data")
    again = oracle.make(workload, tmp_path / "data")
    for a, b in zip(data.arrays(), again.arrays()):
        np.testing.assert_array_equal(a, b)


def test_tables_tell_the_ratio_and_how_far_the_processors_are():
    def row(workload, peer, us, exchange_ns):
        return {
            "workload": workload,
            "peer": peer,
            "threads": 2,
            "median_us": us,
            "quiet": True,
            "peak_gflops": 500.0,
            "exchange_ns": exchange_ns,
        }

    names, times = ["C_b3_t4_h8", "D_train_b3_t4_h8"], [("carousel", 2.0), ("torch", 3.0)]
    rows = [row(name, peer, us, ns) for name, ns in zip(names, (85, 400)) for peer, us in times]
    limits = workloads.Limits([{"limit": "read_16384", "threads": 2, "max": 100.0}])
    text = report.tables([workloads.parse(name) for name in names], rows, limits, [2])
    assert "geometric mean 1.50, worst 1.50, over 2 rows" in text
    assert "in 85 to 400 ns" in text
