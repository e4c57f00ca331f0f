"""Running networks: results do not depend on how they are asked for; states are what they say."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import carousel
import numpy as np
import pytest
from carousel import layers
from instruction_sets import INSTRUCTION_SETS, instruction_set
from networks import inputs_for, random_network

SEEDS = range(12)


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


# --- bit identity ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_do_not_depend_on_their_batch(seed: int) -> None:
    net, rng = random_network(seed)
    x = inputs_for(net, rng, 64, 9)
    whole = net(x)
    for size in (1, 3, 17):
        parts = [net(x[start : start + size]) for start in range(0, 64, size)]
        same_bits(np.concatenate(parts), whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_threads_do_not_change_results(seed: int) -> None:
    net, rng = random_network(seed)
    for batch in (1, 19):
        x = inputs_for(net, rng, batch, 13)
        one, states = net(x, return_state=True, threads=1)
        two, others = net(x, return_state=True, threads=2)
        same_bits(one, two)
        for group, other in zip(states, others):
            for part, twin in zip(group, other):
                same_bits(part, twin)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_large_outputs(dtype: str) -> None:
    """Outputs of so many bytes are copied by several threads."""
    net = carousel.Network(
        [layers.Bidirectional(layers.LSTM(33, return_sequences=True))], input_size=2, dtype=dtype
    )
    x = np.random.default_rng(1).normal(size=(7, 301, 2)).astype(dtype)
    one = net(x, threads=1)
    for threads in (2, 3):
        same_bits(net(x, threads=threads), one)


@pytest.mark.parametrize("seed", SEEDS)
def test_streaming_gives_what_the_whole_sequence_gives(seed: int) -> None:
    net, rng = random_network(seed, streams=True)
    batch, time = int(rng.integers(1, 6)), 15
    x = inputs_for(net, rng, batch, time)
    whole, states = net(x, return_state=True)
    stream = net.stream(batch)
    same_bits(np.stack([stream.step(x[:, t]) for t in range(time)], axis=1), whole)
    stream.reset()
    same_bits(np.concatenate([stream.steps(x[:, :4]), stream.steps(x[:, 4:])], axis=1), whole)
    same_bits(net.stream(batch, threads=2).steps(x), whole)
    first, between = net(x[:, :6], return_state=True)
    second, after = net(x[:, 6:], initial_state=between, return_state=True)
    same_bits(np.concatenate([first, second], axis=1), whole)
    for group, other in zip(states, after):
        for part, twin in zip(group, other):
            same_bits(part, twin)


# Of few units and a long input, a step is divided, too, and its h(t) must not come too soon.
@pytest.mark.parametrize(("features", "units"), [(70, (200, 136)), (3000, (48,)), (3000, (40, 24))])
def test_threads_of_a_stream_change_no_bit(features: int, units: tuple[int, ...]) -> None:
    *lower, last = units
    stack = [layers.LSTM(n, return_sequences=True) for n in lower]
    net = carousel.Network([*stack, layers.LSTM(last)], input_size=features)
    x = np.random.default_rng(3).standard_normal((1, 40, features), dtype=np.float32)
    streams = [net.stream(threads=threads) for threads in (1, 2, 0)]
    streams.append(streams[1].copy())
    for t in range(40):
        one, *others = [stream.step(x[:, t]) for stream in streams]
        for other in others:
            same_bits(other, one)
    with pytest.raises(carousel.InvalidArgumentError, match="threads is -1"):
        net.stream(threads=-1)


@pytest.mark.parametrize("name", INSTRUCTION_SETS[1:])
@pytest.mark.parametrize("seed", range(4))
def test_fused_instruction_sets_agree(name: str, seed: int) -> None:
    net, rng = random_network(seed)
    x = inputs_for(net, rng, 5, 11)
    wanted = net(x)
    with instruction_set(name, skips=True):
        got = net.copy()(x)
    if carousel.instruction_set() == "baseline":
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    else:
        same_bits(got, wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_layouts_of_the_input_do_not_matter(seed: int) -> None:
    net, rng = random_network(seed)
    x = inputs_for(net, rng, 4, 7)
    wanted = net(x)
    same_bits(net(np.asfortranarray(x)), wanted)
    same_bits(net(np.repeat(x, 2, axis=1)[:, ::2]), wanted)
    same_bits(net(x[::-1].copy()[::-1]), wanted)
    same_bits(net(x.astype(np.float64)), wanted)
    same_bits(net(x.astype(">f4")), wanted)
    same_bits(net(x.tolist()), wanted)


# --- float64 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_float64_takes_and_gives_float64(seed: int) -> None:
    net, rng = random_network(seed)
    exact, _ = random_network(seed, dtype="float64")
    for name, values in net.parameters().items():
        exact.parameters()[name][...] = values
    x = inputs_for(net, rng, 3, 8)
    y, states = exact(x.astype(np.float64), return_state=True)
    assert y.dtype == np.float64
    assert all(part.dtype == np.float64 for group in states for part in group)
    np.testing.assert_allclose(net(x), y, rtol=2e-4, atol=2e-5)


# --- states, lengths, masks --------------------------------------------------------------------


def stacked(padding: str = "zero") -> carousel.Network:
    return carousel.Network(
        [
            layers.LSTM(5, return_sequences=True, name="first"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="second"),
            layers.GRU(3, return_sequences=True, name="third"),
        ],
        input_size=2,
        seed=5,
    )


def test_structure_of_states() -> None:
    net = stacked()
    assert net.state_widths == [(5, 5), (4, 4, 4, 4), (3,)]
    _, states = net(np.zeros((7, 3, 2), np.float32), return_state=True)
    assert [tuple(part.shape for part in group) for group in states] == [
        ((7, 5), (7, 5)),
        ((7, 4), (7, 4), (7, 4), (7, 4)),
        ((7, 3),),
    ]


def test_lengths_give_zeros_and_the_state_of_each_rows_own_end() -> None:
    net = stacked()
    x = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
    lengths = [6, 4, 1, 0, 3]
    y, states = net(x, lengths=lengths, return_state=True)
    for row, length in enumerate(lengths):
        assert not y[row, length:].any()
        alone, ends = net(x[row : row + 1, :length], return_state=True)
        np.testing.assert_array_equal(y[row, :length], alone[0])
        for group, other in zip(states, ends):
            for part, twin in zip(group, other):
                np.testing.assert_array_equal(part[row], twin[0])


def test_padding_hold_repeats_the_last_output() -> None:
    net = carousel.Network([layers.LSTM(5, return_sequences=True)], input_size=2)
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    lengths = [6, 2, 4]
    y = net(x, lengths=lengths, padding="hold")
    for row, length in enumerate(lengths):
        for t in range(length, 6):
            np.testing.assert_array_equal(y[row, t], y[row, length - 1])


def test_masks_skip_steps() -> None:
    net = carousel.Network([layers.LSTM(5)], input_size=2)
    x = np.random.default_rng(0).normal(size=(2, 6, 2)).astype(np.float32)
    mask = np.array([[1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 1]], bool)
    got = net(x, mask=mask)
    for row in range(2):
        np.testing.assert_array_equal(got[row], net(x[row : row + 1, mask[row]])[0])


def test_padded_content_does_not_matter() -> None:
    net = stacked()
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    lengths = [2, 5, 0]
    wanted = net(x, lengths=lengths)
    for row, length in enumerate(lengths):
        x[row, length:] = np.nan
    np.testing.assert_array_equal(net(x, lengths=lengths), wanted)


def test_no_steps() -> None:
    net = stacked()
    start = [tuple(np.full((2, width), 0.5, np.float32) for width in g) for g in net.state_widths]
    y, states = net(np.zeros((2, 0, 2), np.float32), initial_state=start, return_state=True)
    assert y.shape == (2, 0, 3)
    for group, other in zip(states, start):
        for part, twin in zip(group, other):
            np.testing.assert_array_equal(part, twin)


def test_initial_state_in_short() -> None:
    net = carousel.Network([layers.LSTM(5)], input_size=2)
    x = np.ones((3, 4, 2), np.float32)
    h, c = np.full((3, 5), 0.25, np.float32), np.full((3, 5), -0.5, np.float32)
    wanted = net(x, initial_state=[(h, c)])
    np.testing.assert_array_equal(net(x, initial_state=(h, c)), wanted)
    np.testing.assert_array_equal(net(x, initial_state=[(h[0], c[0])]), wanted)
    assert not np.array_equal(net(x, initial_state=[(None, c)]), wanted)


def test_stateful_networks_go_on() -> None:
    net = carousel.Network(
        [layers.LSTM(5, stateful=True, return_sequences=True), layers.GRU(3, stateful=True)],
        input_size=2,
    )
    plain = carousel.Network([layers.LSTM(5, return_sequences=True), layers.GRU(3)], input_size=2)
    plain.parameter_buffer()[:] = net.parameter_buffer()
    x = np.random.default_rng(0).normal(size=(2, 8, 2)).astype(np.float32)
    net(x[:, :3])
    np.testing.assert_array_equal(net(x[:, 3:]), plain(x))
    net.reset_states()
    np.testing.assert_array_equal(net(x), plain(x))
    with pytest.raises(carousel.Error, match="batch"):
        net(x[:1])


def test_several_inputs_and_outputs() -> None:
    a, b = layers.Input((None, 3), name="a"), layers.Input((2,), name="b")
    h = layers.LSTM(4, name="lstm")(a)
    both = layers.Concatenate(name="both")([h, b])
    net = carousel.Network(inputs=[a, b], outputs=[layers.Dense(2, name="head")(both), h])
    x, z = np.ones((5, 6, 3), np.float32), np.ones((5, 2), np.float32)
    head, hidden = net([x, z])
    assert head.shape == (5, 2)
    assert hidden.shape == (5, 4)
    p = net.parameters()
    wanted = np.concatenate([hidden, z], axis=1) @ p["head/kernel"] + p["head/bias"]
    np.testing.assert_allclose(head, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net({"b": z, "a": x})[0], head)
    with pytest.raises(carousel.ShapeError, match="2 inputs"):
        net(x)


# --- against PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_packed_sequences_of_pytorch(kind: str, bidirectional: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, 6, num_layers=2, bidirectional=bidirectional)
    classes: dict[str, Any] = {"LSTM": layers.LSTM, "GRU": layers.GRU, "RNN": layers.SimpleRNN}
    stack = []
    for index in range(2):
        cell = classes[kind](6, return_sequences=True)
        cell = layers.Bidirectional(cell) if bidirectional else cell
        cell.name = f"rnn_l{index}"
        stack.append(cell)
    net = carousel.Network(stack, input_size=3)
    for name, values in net.parameters().items():
        layer, *middle, part = name.split("/")
        suffix = "_reverse" if middle == ["backward"] else ""
        place = f"_l{layer[-1]}{suffix}"
        weights = {
            key: getattr(module, f"{key}{place}").detach().numpy()
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        if kind == "GRU":  # PyTorch: r, z, n; ours: z, r, h
            weights = {
                key: np.concatenate([array[6:12], array[:6], array[12:]])
                for key, array in weights.items()
            }
            bias = np.stack([weights["bias_ih"], weights["bias_hh"]])
        else:
            bias = weights["bias_ih"] + weights["bias_hh"]
        own = {"kernel": weights["weight_ih"].T, "recurrent_kernel": weights["weight_hh"].T}
        values[...] = bias if part == "bias" else own[part]
    lengths = [7, 3, 1, 5]
    x = np.random.default_rng(1).normal(size=(4, 7, 3)).astype(np.float32)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    with torch.no_grad():
        output, state = module(packed)
        wanted, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
    got, states = net(x, lengths=lengths, return_state=True)
    np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-6)
    parts = state if kind == "LSTM" else (state,)
    flat = [array for group in states for array in group]
    for index, array in enumerate(flat):
        wanted_state = parts[index % len(parts)][index // len(parts)].numpy()
        np.testing.assert_allclose(array, wanted_state, rtol=1e-5, atol=1e-6)


# --- parameters and lifetimes ------------------------------------------------------------------


def test_parameters_are_writable_views() -> None:
    net = carousel.Network(
        [layers.LSTM(3, peepholes=True, name="lstm"), layers.Dense(2, name="head")], input_size=4
    )
    p = net.parameters()
    assert {name: values.shape for name, values in p.items()} == {
        "lstm/kernel": (4, 12),
        "lstm/recurrent_kernel": (3, 12),
        "lstm/bias": (12,),
        "lstm/peephole_input": (3,),
        "lstm/peephole_forget": (3,),
        "lstm/peephole_output": (3,),
        "head/kernel": (3, 2),
        "head/bias": (2,),
    }
    np.testing.assert_array_equal(p["lstm/bias"], np.repeat([0, 1, 0, 0], 3))
    x = np.ones((2, 5, 4), np.float32)
    net(x)
    p["head/kernel"][...] = 0
    p["head/bias"][...] = [3, -4]
    np.testing.assert_array_equal(net(x), [[3, -4], [3, -4]])
    assert np.shares_memory(p["head/bias"], net.parameters()["head/bias"])
    bias = p["head/bias"][1:]
    del p
    gc.collect()
    bias[0] = 8
    np.testing.assert_array_equal(net(x), [[3, 8], [3, 8]])
    del bias
    np.testing.assert_array_equal(net(x), [[3, 8], [3, 8]])


def test_views_keep_the_network_alive() -> None:
    net = carousel.Network([layers.LSTM(64)], input_size=64, seed=1)
    kernel, before = net.parameters()["lstm/kernel"], net.parameters()["lstm/kernel"].copy()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    for _ in range(20):
        carousel.Network([layers.LSTM(64)], input_size=64, seed=2)
    np.testing.assert_array_equal(kernel, before)


def test_streams_keep_their_weights_until_told() -> None:
    net = carousel.Network([layers.Dense(1)], input_size=1)
    stream = net.stream()
    x = np.ones((1, 1), np.float32)
    before = stream.step(x)
    net.parameters()["dense/kernel"][...] = 5
    np.testing.assert_array_equal(stream.step(x), before)
    stream.update_weights()
    np.testing.assert_array_equal(stream.step(x), [[5]])


def test_stream_snapshots() -> None:
    net, rng = random_network(3, streams=True)
    stream = net.stream(2)
    x = inputs_for(net, rng, 2, 10)
    stream.steps(x[:, :4])
    kept, twin = stream.snapshot(), stream.copy()
    wanted = stream.steps(x[:, 4:])
    same_bits(twin.steps(x[:, 4:]), wanted)
    stream.restore(kept)
    same_bits(stream.steps(x[:, 4:]), wanted)
    other = net.stream(2)
    other.restore(kept)
    same_bits(other.steps(x[:, 4:]), wanted)
    with pytest.raises(carousel.Error):
        stream.restore(kept[:-1])


def saved_stream(seed: int, path: Path) -> tuple[carousel.Network, np.ndarray, np.ndarray]:
    """Saves a stream of two rows after four steps; gives its network, what follows, and what then
    has to come out."""
    net, rng = random_network(seed, streams=True)
    stream = net.stream(2)
    x = inputs_for(net, rng, 2, 10)
    stream.steps(x[:, :4])
    stream.save(path)
    return net, x[:, 4:], stream.steps(x[:, 4:])


def test_streams_go_on_from_files(tmp_path: Path) -> None:
    net, rest, wanted = saved_stream(3, tmp_path / "s.h5")
    other = carousel.load(tmp_path / "s.h5").stream(2)
    other.load(tmp_path / "s.h5")
    same_bits(other.steps(rest), wanted)
    with pytest.raises(carousel.Error):
        net.stream(3).load(tmp_path / "s.h5")


def test_streams_go_on_in_another_process(tmp_path: Path) -> None:
    _, rest, wanted = saved_stream(4, tmp_path / "s.h5")
    np.save(tmp_path / "x.npy", rest)
    program = (
        "import carousel, numpy, sys; stream = carousel.load(sys.argv[1]).stream(2);"
        "stream.load(sys.argv[1]); numpy.save(sys.argv[3], stream.steps(numpy.load(sys.argv[2])))"
    )
    files = [str(tmp_path / name) for name in ("s.h5", "x.npy", "y.npy")]
    package = str(Path(carousel.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": package, "CAROUSEL_LIBRARY": carousel.library_path()}
    subprocess.run([sys.executable, "-c", program, *files], check=True, env=environment)
    same_bits(np.load(tmp_path / "y.npy"), wanted)


def test_stream_forms() -> None:
    net = carousel.Network([layers.LSTM(4), layers.Dense(2)], input_size=3)
    x = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    wanted = net.stream().step(x)
    assert wanted.shape == (1, 2)
    np.testing.assert_array_equal(net.stream().step(x[0]), wanted[0])
    np.testing.assert_array_equal(net.stream().step(list(map(float, x[0]))), wanted[0])
    np.testing.assert_array_equal(net.stream().step(x.astype(np.float64)), wanted)
    ids = carousel.Network([layers.Embedding(9, 4), layers.LSTM(3)])
    np.testing.assert_array_equal(ids.stream().step(7), ids.stream().step(np.array([7]))[0])
    np.testing.assert_array_equal(ids.stream(2).step([7, 2]), ids(np.array([[7], [2]])))


def test_copies_and_pickles_are_independent() -> None:
    import copy
    import pickle

    net, rng = random_network(4)
    x = inputs_for(net, rng, 3, 6)
    wanted = net(x)
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        same_bits(twin(x), wanted)
        twin.parameter_buffer()[:] = 0
        same_bits(net(x), wanted)


def test_many_networks_come_and_go() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    x = np.ones((4, 8, 64), np.float32)

    def one_round() -> None:
        for seed in range(50):
            net = carousel.Network([layers.LSTM(64)], input_size=64, seed=seed)
            net(x)
            net.stream().step(x[:1, 0])
            net.backpropagate(x)
        gc.collect()

    one_round()
    before = resident()
    one_round()
    assert resident() - before < 8 << 20


# --- threads -----------------------------------------------------------------------------------


def test_one_network_from_many_threads() -> None:
    net, rng = random_network(5)
    inputs = [inputs_for(net, rng, 3, 10 + index) for index in range(8)]
    wanted = [net(x) for x in inputs]
    problems: list[str] = []

    def work(index: int) -> None:
        for _ in range(20):
            if not np.array_equal(net(inputs[index]), wanted[index]):
                problems.append(f"thread {index} got other numbers")
            try:
                net(np.ones((1, 2)))
            except carousel.ShapeError:
                continue
            problems.append("a wrong shape was accepted")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_error_messages_belong_to_their_thread() -> None:
    net = carousel.Network([layers.LSTM(3)], input_size=2)
    found: dict[int, set[str]] = {}

    def work(width: int) -> None:
        messages = set()
        for _ in range(200):
            with pytest.raises(carousel.ShapeError) as caught:
                net(np.zeros((1, 4, width), np.float32))
            messages.add(str(caught.value))
        found[width] = messages

    threads = [threading.Thread(target=work, args=(width,)) for width in (3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for width, messages in found.items():
        assert len(messages) == 1
        assert str(width) in messages.pop()


def test_seeds() -> None:
    def make(seed: int) -> np.ndarray:
        net = carousel.Network([layers.LSTM(6), layers.Dense(2)], input_size=3, seed=seed)
        return net.parameter_buffer().copy()

    np.testing.assert_array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))


def test_initial_values_are_those_of_keras() -> None:
    net = carousel.Network([layers.LSTM(50, name="a"), layers.Dense(8, name="b")], input_size=30)
    p = net.parameters()
    bound = np.sqrt(6 / (30 + 200))
    kernel = p["a/kernel"]
    assert np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    recurrent = p["a/recurrent_kernel"].astype(np.float64)
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(50), atol=1e-5)
    assert not p["b/bias"].any()


def test_descriptions() -> None:
    net = carousel.Network(
        [layers.Embedding(30, 8, name="emb"), layers.LSTM(64, name="lstm"), layers.Dense(1)],
        name="scorer",
    )
    assert net.input_shape == (None, None)
    assert net.output_shape == (None, 1)
    assert net.parameter_count == 30 * 8 + 4 * 64 * (8 + 64 + 1) + 65
    assert [(layer.kind, layer.parameter_count) for layer in net.layers[1:]] == [
        ("Embedding", 240),
        ("LSTM", 18688),
        ("Dense", 65),
    ]
    lines: list[str] = []
    net.summary(print_fn=lines.append)
    table = "\n".join(lines)
    for word in ("scorer", "emb", "lstm", "LSTM", "18,688", "18,993"):
        assert word in table
    assert "scorer" in repr(net)
    assert "18,993" in repr(net)
