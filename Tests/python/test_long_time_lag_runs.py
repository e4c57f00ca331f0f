"""The benchmark around the long-time-lag tasks: networks, the 1997 algorithm, criteria, report."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from long_time_lags import (
    continual,
    criteria,
    networks,
    report,
    results,
    run,
    span,
    students,
    tasks,
)
from long_time_lags.contenders import CONTENDERS, INPUT_GATE, OUTPUT_GATE, RNN
from long_time_lags.criteria import Answer
from long_time_lags.networks import Shape
from long_time_lags.rows import ROWS
from long_time_lags.students import Faithful, FaithfulStudent, Modern, ModernStudent


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Cell1997:
    """The 1997 LSTM as the paper writes it, in float64: blocks of several cells, g in ±2, h in
    ±1, and the truncated gradient as running derivatives of the states, forward in time, with a
    change of the weights at every step that is asked for an answer."""

    def __init__(self, student: FaithfulStudent) -> None:
        blocks, cells = student.shape.blocks, student.shape.cells
        self.block_of = np.repeat(np.arange(blocks), cells)
        weights = {k: v.astype(float) for k, v in student.network.parameters().items()}
        stacked = np.vstack(
            [weights["cell/kernel"], weights["cell/recurrent_kernel"], weights["cell/bias"]]
        )
        units = blocks * cells
        self.w_in = stacked[:, :units][:, ::cells].copy()
        self.w_cell = 2 * stacked[:, units : 2 * units]
        self.w_out = stacked[:, 2 * units :][:, ::cells].copy()
        self.v = np.vstack([weights["output/kernel"], weights["output/bias"]])

    def learn(self, sequence: tasks.Sequence, rate: float) -> float:
        """Gives the mean absolute error of the last step, before it is learned from."""
        units, sources = len(self.block_of), len(self.w_in)
        s, y = np.zeros(units), np.zeros(units)
        ds_in, ds_cell = np.zeros((sources, units)), np.zeros((sources, units))
        last_error = 0.0
        for x, target, weight in zip(
            sequence.inputs.astype(float), sequence.targets, sequence.weights
        ):
            source = np.concatenate([x, y, [1.0]])
            gate_in = logistic(source @ self.w_in)
            gate_out = logistic(source @ self.w_out)
            squashed = logistic(source @ self.w_cell)
            g = 4 * squashed - 2
            of_cell = gate_in[self.block_of]
            s = s + of_cell * g
            ds_in += source[:, None] * (g * of_cell * (1 - of_cell))
            ds_cell += source[:, None] * (of_cell * 4 * squashed * (1 - squashed))
            h = 2 * logistic(s) - 1
            y = gate_out[self.block_of] * h
            if not weight:
                continue
            last = np.concatenate([y, [1.0]])
            output = logistic(last @ self.v)
            error = target - output
            last_error = float(np.abs(error).mean())
            delta = weight * error * output * (1 - output)
            to_cell = self.v[:-1] @ delta
            to_state = gate_out[self.block_of] * (1 - h**2) / 2 * to_cell
            for block in range(len(gate_in)):
                of = self.block_of == block
                slope = gate_out[block] * (1 - gate_out[block])
                self.w_out[:, block] += rate * source * slope * (h[of] @ to_cell[of])
                self.w_in[:, block] += rate * ds_in[:, of] @ to_state[of]
            self.w_cell += rate * ds_cell * to_state
            self.v += rate * np.outer(last, delta)
        return last_error


@pytest.mark.parametrize("shape", [Shape(2, 2), Shape(3, 1)])
@pytest.mark.parametrize("task", [tasks.Adding(20), tasks.EmbeddedReber(), tasks.Conflict(5)])
def test_the_faithful_mode_is_the_algorithm_of_1997(task: tasks.Task, shape: Shape) -> None:
    """Several online updates: the same weights as the paper's formulas give."""
    recipe = Faithful(0.5, 0.3, input_bias=(-1, -2, -3)[: shape.blocks])
    student = FaithfulStudent(task, OUTPUT_GATE, shape, recipe, seed=3)
    paper = Cell1997(student)
    rng = np.random.default_rng(0)
    for _ in range(20):
        sequence = task.sample(rng)
        error = paper.learn(sequence, recipe.rate)
        (answer,) = student.present([sequence])
        if student.learner.only_last:
            assert abs(answer.error - error) < 1e-5
    now = Cell1997(student)
    for name in ("w_in", "w_cell", "w_out", "v"):
        np.testing.assert_allclose(getattr(now, name), getattr(paper, name), atol=2e-5)


def test_cells_of_a_block_keep_sharing_their_gates() -> None:
    task = tasks.TemporalOrder(2)
    student = FaithfulStudent(task, OUTPUT_GATE, Shape(2, 2), Faithful(0.5, 0.1, (-2, -4)), 0)
    rng = np.random.default_rng(0)
    before = student.network.parameters()["cell/kernel"].copy()
    for _ in range(5):
        student.present([task.sample(rng)])
    kernel = student.network.parameters()["cell/kernel"]
    assert not np.array_equal(kernel, before)
    for gate in ("input", "output"):
        columns = kernel[:, networks.columns(OUTPUT_GATE, student.shape, gate)]
        np.testing.assert_array_equal(columns[:, ::2], columns[:, 1::2])
    cells = kernel[:, networks.columns(OUTPUT_GATE, student.shape, "cell")]
    assert not np.allclose(cells[:, ::2], cells[:, 1::2])


@pytest.mark.parametrize("contender", [RNN, INPUT_GATE, OUTPUT_GATE])
def test_ids_are_the_same_network_as_unit_vectors(
    contender: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks.VeryLongLags(q=20, p=40)
    recipe = Faithful(0.1, 0.2, biased=())
    wide = FaithfulStudent(task, contender, Shape(2), recipe, 0)
    monkeypatch.setattr(networks, "WIDE", 1000)
    dense = FaithfulStudent(task, contender, Shape(2), recipe, 0)
    assert "input/embeddings" not in dense.network.parameters()
    pairs = {"cell/kernel": "input/embeddings"}
    for name, values in dense.network.parameters().items():
        values[:] = wide.network.parameters()[pairs.get(name, name)]
    dense.learner.parameters_changed()
    rng = np.random.default_rng(0)
    for sequence in criteria.draw(task, 20, rng):
        monkeypatch.setattr(networks, "WIDE", 32)
        one = wide.present([sequence])[0]
        monkeypatch.setattr(networks, "WIDE", 1000)
        assert abs(one.error - dense.present([sequence])[0].error) < 1e-5
    for name, values in dense.network.parameters().items():
        np.testing.assert_allclose(
            values, wide.network.parameters()[pairs.get(name, name)], atol=1e-5
        )
    kernel = wide.network.parameters()["cell/kernel"]
    np.testing.assert_array_equal(kernel, np.eye(len(kernel)))


def test_cells_come_into_a_network_whose_error_has_stopped_decreasing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until then only the shortcuts learn; from then on everything but what the paper has not."""
    monkeypatch.setattr(networks, "WIDE", 4)
    monkeypatch.setattr(students.Growth, "SEQUENCES", 20)
    row = ROWS["2a"]
    task = tasks.NoiseFree(5)
    student = FaithfulStudent(task, INPUT_GATE, row.shape, row.faithful, 0)
    assert not student.network.parameters()["output/kernel"].any()
    rng = np.random.default_rng(0)

    def learned(sequences: int) -> set[str]:
        before = {k: v.copy() for k, v in student.network.parameters().items()}
        for sequence in criteria.draw(task, sequences, rng):
            student.present([sequence])
        return {k for k, v in student.network.parameters().items() if (v != before[k]).any()}

    assert learned(20) == {"shortcut/kernel"}
    while student.growth is not None:
        student.present([task.sample(rng)])
    assert student.network.parameters()["output/kernel"].all()
    grown = {"cell/kernel", "cell/recurrent_kernel", "output/kernel", "shortcut/kernel"}
    assert learned(5) == grown


def test_experiment_1_learns_from_256_strings_and_is_tested_with_others_too() -> None:
    row = ROWS["erg"]
    sample, rng = row.sampler(3), np.random.default_rng(0)
    drawn = {sample(rng).symbols.tobytes() for _ in range(3000)}
    criterion = row.criterion(3)
    strings = [one.symbols.tobytes() for one in criterion.tests]
    assert len(strings) == 512 and drawn <= set(strings[:256])
    assert not set(strings[:256]) & set(strings[256:])


@pytest.mark.parametrize("kind", ["faithful", "modern"])
@pytest.mark.parametrize("task", [tasks.VeryLongLags(5, 40), tasks.VeryLongLags(2, 2)])
def test_the_loss_tells_what_the_outputs_would(task: tasks.Task, kind: str) -> None:
    """Two equal students, one of which always looks at the outputs."""

    def student() -> FaithfulStudent | ModernStudent:
        if kind == "faithful":
            return FaithfulStudent(task, OUTPUT_GATE, Shape(2), Faithful(2.0, 0.2), 0)
        return ModernStudent(task, OUTPUT_GATE, Shape(4), Modern(rate=0.02), 0)

    quick, exact = student(), student()
    exact.tolerance = None
    asked = []
    outputs = quick.learner.outputs
    quick.learner.outputs = lambda: (asked.append(1), outputs())[1]
    rng, right = np.random.default_rng(0), 0
    for _ in range(1500 // quick.batch):
        batch = criteria.draw(task, quick.batch, rng)
        told, true = quick.present(batch), exact.present(batch)
        assert [one.correct for one in told] == [one.correct for one in true]
        assert sum(one.error for one in told) >= sum(one.error for one in true) - 1e-5
        right += sum(one.correct for one in told)
    assert 100 < right < 1500
    assert 0 < len(asked) < 1000 // quick.batch


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_every_contender_learns_from_every_kind_of_task(name: str) -> None:
    for task in (tasks.EmbeddedReber(), tasks.VeryLongLags(20, 40), tasks.Adding(20)):
        loss = "mse" if isinstance(task, tasks.Adding) else "binary_crossentropy"
        student = ModernStudent(task, CONTENDERS[name], Shape(4), Modern(batch=4, loss=loss), 0)
        rng = np.random.default_rng(0)
        before = student.network.parameter_buffer().copy()
        answers = student.present(criteria.draw(task, 4, rng))
        assert len(answers) == 4 and all(0 <= one.error <= 1 for one in answers)
        assert not np.array_equal(before, student.network.parameter_buffer())
        sequences = criteria.draw(task, 5, rng)
        together = students.evaluate(student.network, task, sequences)
        alone = [students.evaluate(student.network, task, [one])[0] for one in sequences]
        assert together == alone


def test_weights_are_as_many_as_the_papers_say_but_for_gates_that_see_gates() -> None:
    """The published numbers, less the connections from gates (and what they lead to)."""

    def count(key: str) -> int:
        row = ROWS[key]
        contender = CONTENDERS[row.headline]
        student = FaithfulStudent(row.task, contender, row.shape, row.faithful, 0)
        rates = student.rates if student.growth is None else student.growth.rates
        free = {
            name: (rates[spot] > 0).sum()
            for name, (spot, _) in networks.places(student.network).items()
            if name not in networks.frozen(student.network)
        }
        shared = sum(len(group) for group in student.groups[1:])
        held = sum((rates[group] == 0).sum() for group in student.groups[1:])
        return int(sum(free.values()) - shared + held)

    # Row: the published number, gates, and hidden units that see them.
    published = {
        "erg": (276, 6, 12),
        # And the cell's own output, which comes back to cell and gate.
        "2a": (10_504 + 2, 1, 0),
        "2b": (10_504 + 2, 1, 0),
        "2c_q100": (664, 4, 6),
        "2c_q1000": (6_064, 4, 6),
        "3a": (102, 6, 9),
        "adding_T100": (93, 4, 8),
        "temporal_order_6a": (156, 4, 8),
        "temporal_order_6b": (308, 6, 12),
        "cerg": (424, 12, 0),
    }
    for key, (total, gates, hidden) in published.items():
        assert count(key) == total - gates * hidden, key


# --- Criteria ------------------------------------------------------------------------------------


def nobody(sequences: object) -> list[Answer]:
    raise AssertionError("this criterion evaluates nothing")


def feed(criterion: criteria.Criterion, flags: str, errors: float = 0.0) -> bool:
    """One training sequence for each character, `x` right."""
    return any(criterion.observe([Answer(flag == "x", errors)], nobody) for flag in flags)


def test_a_row_of_right_answers_counts_what_came_before_it() -> None:
    criterion = criteria.Consecutive(3)
    assert not feed(criterion, "xx.x.xx")
    assert feed(criterion, "x")
    assert criterion.sequences == 5
    in_batches = criteria.Consecutive(3)
    assert not in_batches.observe([Answer(True, 0), Answer(False, 0)], nobody)
    assert in_batches.observe([Answer(True, 0)] * 5, nobody)
    assert in_batches.sequences == 2


def test_the_last_answers_have_to_be_right_and_near() -> None:
    criterion = criteria.Recent(4, wrong=1, error=0.1)
    assert not feed(criterion, ".xxx")
    assert feed(criterion, "x")
    assert criterion.sequences == 5
    assert not feed(criteria.Recent(4, wrong=1, error=0.1), "xxxxxx", errors=0.2)
    assert feed(criteria.Recent(4, wrong=2), ".xxx")
    assert not feed(criteria.Recent(4, wrong=2), "..xx")


def test_a_test_set_is_looked_at_now_and_then() -> None:
    task = tasks.TwoSequence(20, 3)
    tests = criteria.draw(task, 7, np.random.default_rng(0))
    asked = []

    def evaluate(sequences: object) -> list[Answer]:
        asked.append(sequences)
        right = len(asked) > 1
        return [Answer(right, 0.5 if len(asked) < 3 else 0.001)] * 7

    criterion = criteria.TestSet(tests, interval=4, error=0.01)
    met = [criterion.observe([Answer(True, 0)], evaluate) for _ in range(12)]
    assert met == [False] * 11 + [True]
    assert len(asked) == 3 and asked[0] == tests
    assert criterion.first_correct == 8 and criterion.sequences == 12


def test_a_stream_is_right_until_its_first_error() -> None:
    allowed = np.zeros((1, 3, 7))
    allowed[0, :, [0, 1]] = 1
    outputs = np.full((1, 3, 7), 0.1)
    outputs[0, :, [0, 1]] = 0.9
    outputs[0, 2, 1] = 0.05
    np.testing.assert_array_equal(continual.right(outputs, allowed), [[True, True, False]])


# --- Results and report --------------------------------------------------------------------------


def test_results_keep_all_seeds(tmp_path: Path) -> None:
    for seed in (1, 0):
        one = results.Results(tmp_path, "modern", "3a", "rnn")
        assert not one.has(seed, 10)
        one.add({"seed": seed, "success": True, "limit": 20}, {"date": "2026-01-01"})
    again = results.Results(tmp_path, "modern", "3a", "rnn")
    assert [run["seed"] for run in again.runs] == [0, 1]
    assert again.has(0, 30) and not again.has(2, 30)
    assert list((tmp_path / "modern").iterdir()) == [again.path]


def test_a_longer_run_takes_the_place_of_one_that_failed(tmp_path: Path) -> None:
    one = results.Results(tmp_path, "faithful", "erg", "output_gate")
    one.add({"seed": 0, "success": False, "limit": 10}, {})
    assert one.has(0, 10) and not one.has(0, 11)
    one.add({"seed": 0, "success": True, "limit": 20}, {})
    assert one.runs == [{"seed": 0, "success": True, "limit": 20}]


def test_other_settings_are_kept_apart() -> None:
    paper, other = run.Settings(), run.Settings(0.03, (-3, -6))
    row = other.of(ROWS["2c_q100"])
    assert row.faithful.rate == 0.03 and ROWS["2c_q100"].faithful.rate == 0.01
    assert paper.of(ROWS["2c_q100"]) == ROWS["2c_q100"]
    assert paper.place("faithful", "2c_q100", "rnn") == ("faithful", "2c_q100", "rnn")
    assert other.place("faithful", "2c_q100", "rnn") == ("settings", "2c_q100", "rnn.0.03.b-3,-6")
    assert run.Settings(0.5).name == "0.5" and run.Settings(None, (-1,)).name == "b-1"
    cells = FaithfulStudent(row.task, OUTPUT_GATE, row.shape, row.faithful, 0)
    bias = cells.network.parameters()["cell/bias"]
    np.testing.assert_array_equal(bias[:2], [-3, -6])
    assert bias[4:].all() and not bias[2:4].any()  # output gates' are drawn, cells have none


@pytest.mark.parametrize("row, limit", [("conflict", 8), ("gts", 4), ("cerg", 30)])
@pytest.mark.parametrize("mode", ["faithful", "modern"])
def test_a_run_leaves_a_result_and_a_log_and_is_not_repeated(
    row: str, limit: int, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["run.py", row, "--mode", mode, "--contenders", "forget_gate", "--seeds", "2"]
    arguments += ["--limit", str(limit), "--results", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(run, "TESTS", 16)
    assert run.main() == 0
    found = results.Results(tmp_path, mode, row, "forget_gate")
    assert [one["seed"] for one in found.runs] == [0, 1]
    assert all(not one["success"] and one["presented"] >= limit for one in found.runs)
    log = tmp_path / "out" / mode / f"{row}.forget_gate.0.log"
    assert "sequences" in log.read_text()
    before = found.path.read_bytes()
    assert run.main() == 0
    assert found.path.read_bytes() == before


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        with (tmp_path / "log").open("w") as log:
            found = run.run(ROWS["conflict"], "faithful", OUTPUT_GATE, 5, 300, log)
        runs.append({name: found[name] for name in ("success", "presented", "wrong")})
    assert runs[0] == runs[1]


def test_an_lstm_spans_a_short_lag_soon() -> None:
    rate, sequences = span.accuracy("lstm", 5, seed=0, updates=120)
    assert rate > 0.95 and sequences <= 120 * 16


def test_outputs_begin_where_they_are_right_as_often_as_they_are_one() -> None:
    row = ROWS["2b"]
    student = ModernStudent(row.task, OUTPUT_GATE, row.modern_shape, row.modern, 0)
    bias = student.network.parameters()["output/bias"]
    share = logistic(bias.astype(np.float64))
    np.testing.assert_allclose(share[:-2], 1e-3, rtol=1e-5)  # never the last symbol
    np.testing.assert_allclose(share[-2:], 0.5, atol=0.2)
    assert share[-2:].sum() == pytest.approx(1)


def test_a_cell_of_the_table_tells_successes_and_failures() -> None:
    def run(seed: int, sequences: int | None) -> dict[str, object]:
        return {
            "seed": seed,
            "success": sequences is not None,
            "sequences": sequences,
            "presented": 5000,
        }

    assert report.cell(None) == "not run"
    assert report.cell({"runs": [run(0, 10), run(1, 30), run(2, None)]}) == "**2/3**, 20"
    assert report.cell({"runs": [run(0, None)]}) == "0/1 (5,000)"


def test_the_pages_are_what_the_results_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", "--check"])
    assert report.main() == 0, "run scripts/long-time-lags --report"


def test_the_report_finds_a_page_that_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in report.pages(tmp_path):
        (tmp_path / name).write_text((report.DOCS / name).read_text().replace("|", "!", 5))
    arguments = ["report.py", "--docs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--check"])
    assert report.main() > 0
    for name in report.pages(tmp_path):
        (tmp_path / name).write_text((report.DOCS / name).read_text())
    assert report.main() == 0
