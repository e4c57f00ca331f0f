"""Random networks, built and trained by Carousel, in every layout of Keras.

For ``keras_models.py verify``:

python Tests/campaigns/our_models.py FOLDER --count 40 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "bindings" / "python"))

import carousel
from carousel import layers

TIME, VOCABULARY = 6, 11


def recurrent(r: random.Random, sequences: bool, masks: bool = False) -> layers.Layer:
    units = r.choice([1, 3, 4, 8, 9])
    kind = r.choice([layers.LSTM, layers.LSTM, layers.GRU, layers.SimpleRNN])
    options: dict[str, Any] = {"return_sequences": sequences, "use_bias": r.random() < 0.8}
    if kind is layers.GRU:
        options["reset_after"] = r.random() < 0.5
    if r.random() < 0.2:
        options["dropout"] = 0.1
    if r.random() < 0.4:
        merge = r.choice(["concat", "sum", "mul", "ave"])
        # What Keras does, and so all that it can say.
        options["zero_output_for_mask"] = masks and sequences
        one = kind(units, **options)
        if r.random() < 0.3:
            other = layers.LSTM(units, return_sequences=sequences, go_backwards=True)
            other.zero_output_for_mask = options["zero_output_for_mask"]
            return layers.Bidirectional(one, merge, backward_layer=other)
        return layers.Bidirectional(one, merge)
    return kind(units, **options, go_backwards=r.random() < 0.1)


def other(r: random.Random) -> layers.Layer:
    makers = [
        lambda: layers.Dense(r.choice([2, 5]), activation=r.choice(["tanh", "relu", "gelu"])),
        lambda: layers.Dropout(0.2),
        lambda: layers.LayerNormalization(),
        lambda: layers.BatchNormalization(),
        lambda: layers.TimeDistributed(layers.Dense(3)),
        lambda: layers.LeakyReLU(0.1),
        lambda: layers.Conv1D(4, 3, padding="same", activation="relu"),
    ]
    return r.choice(makers)()


def network(r: random.Random, seed: int) -> carousel.Network:
    stack: list[layers.Layer] = []
    if r.random() < 0.3:
        stack.append(layers.Embedding(VOCABULARY, 4, mask_zero=r.random() < 0.5))
    masks = bool(stack) and stack[0].mask_zero
    stack.append(recurrent(r, True, masks))
    while r.random() < 0.6:
        stack.append(recurrent(r, True, masks) if masks or r.random() < 0.4 else other(r))
    stack += [recurrent(r, False), layers.Dense(2)]
    if r.random() < 0.7:
        size = None if isinstance(stack[0], layers.Embedding) else 3
        return carousel.Network(stack, input_size=size, seed=seed)
    source, target = layers.Input((TIME, 3)), layers.Input((4, 2))
    encoded = layers.LSTM(5, name="encoder")(source)
    decoder = layers.LSTM(5, return_sequences=True, name="decoder")
    decoded = decoder(target, initial_state=encoded.states)
    if r.random() < 0.5:  # the same decoder again, over its own output
        decoded = layers.Concatenate()([decoded, decoder(target, initial_state=encoded.states)])
    return carousel.Network(
        inputs=[source, target], outputs=layers.Dense(2, name="head")(decoded), seed=seed
    )


def make(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        r, rng = random.Random(seed * 1000 + index), np.random.default_rng(index)
        net = network(r, index)
        x = []
        for signal in net.inputs:
            if signal.is_ids:
                ids = rng.integers(1, VOCABULARY, size=(8, TIME))
                ids[0, -2:] = 0
                x.append(ids)
            else:
                shape = [8, *(TIME if extent is None else extent for extent in signal.shape[1:])]
                x.append(rng.normal(size=shape).astype("f4"))
        given = x if len(x) > 1 else x[0]
        target = rng.normal(size=net(given).shape).astype("f4")
        net.fit(given, target, epochs=5, optimizer=carousel.Adam(0.01), batch_size=4)
        stem = folder / f"{index:04}"
        np.savez(f"{stem}.npz", **{f"input{i}": array for i, array in enumerate(x)})
        np.savez(f"{stem}.back.npz", output0=net(given))
        Path(f"{stem}.json").write_text(json.dumps({"framework": "carousel", "files": {}}))
        Path(f"{stem}.back.config.json").write_text(net.to_json())
        for layout, suffix in [
            ("keras-h5", "h5"),
            ("keras", "keras"),
            ("keras-weights", "weights.h5"),
            ("keras-legacy-weights", "wts.h5"),
        ]:
            net.save(f"{stem}.back.{suffix}", format=layout, compression=index % 3)
    print(f"{count} networks, built and trained by Carousel {carousel.library_version()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.count, arguments.seed)
