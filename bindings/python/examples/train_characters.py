#!/usr/bin/env python3
"""Trains a character-level model on the licence texts that every Debian system has.

    train_characters.py [OUTPUT.h5] [--epochs N]

The text is cut into 32 parallel strands, walked through by truncated back-propagation: 64 steps at
a time, the state carried on. The Apache License and CC0 are never trained on; how many bits the
model needs for each of their characters is compared with a trigram model of the same text.
bindings/c/examples/generate.c writes text with the result.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import sys
from collections import Counter

import carousel
import numpy as np

LICENCES = pathlib.Path("/usr/share/common-licenses")
UNSEEN = ("Apache-2.0", "CC0-1.0")
CHARACTERS = 128  # ASCII
STRANDS, TRUNCATION = 32, 64


def read(names) -> bytes:
    texts = (path.read_bytes() for path in sorted(LICENCES.iterdir()) if names(path))
    return bytes(c for c in b"\n".join(texts) if c < CHARACTERS)


class Trigrams:
    """Predicts a character from the two before it; Witten-Bell smoothing with shorter contexts."""

    def __init__(self, text: bytes):
        self.seen = Counter(text[i : i + n] for n in (1, 2, 3) for i in range(len(text) - n + 1))
        self.total, self.kinds = Counter(), Counter()
        for gram, count in self.seen.items():
            self.total[gram[:-1]] += count
            self.kinds[gram[:-1]] += 1

    def probability(self, context: bytes, character: bytes) -> float:
        shorter = self.probability(context[1:], character) if context else 1 / CHARACTERS
        if not self.total[context]:
            return shorter
        kinds = self.kinds[context]
        return (self.seen[context + character] + kinds * shorter) / (self.total[context] + kinds)

    def bits_per_character(self, text: bytes) -> float:
        bits = (
            -math.log2(self.probability(text[max(0, i - 2) : i], text[i : i + 1]))
            for i in range(1, len(text))
        )
        return sum(bits) / (len(text) - 1)


def bits_per_character(net, text: bytes) -> float:
    ids = np.frombuffer(text, np.uint8).astype(np.int32)
    probabilities = net(ids[np.newaxis, :-1])[0]
    chosen = probabilities[np.arange(len(ids) - 1), ids[1:]]
    return float(-np.log2(np.maximum(chosen, 1e-30)).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("output", nargs="?", default="characters.h5")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if not LICENCES.is_dir():
        print(f"{LICENCES} is missing: this example needs a Debian system", file=sys.stderr)
        return 1

    seen = read(lambda path: not path.is_symlink() and path.name not in UNSEEN)
    unseen = read(lambda path: path.name in UNSEEN)
    ids = np.frombuffer(seen, np.uint8).astype(np.int32)
    length = (len(ids) - 1) // STRANDS // TRUNCATION * TRUNCATION
    x = ids[: STRANDS * length].reshape(STRANDS, length)
    y = ids[1 : STRANDS * length + 1].reshape(STRANDS, length)

    net = carousel.Network(
        [
            carousel.Embedding(CHARACTERS, 32, name="embedding"),
            carousel.LSTM(128, return_sequences=True, name="lstm"),
            carousel.Dense(CHARACTERS, activation="softmax", name="next"),
        ],
        name="characters",
        seed=1,
    )
    net.fit(
        x,
        y,
        loss="sparse_categorical_crossentropy",
        optimizer=carousel.Adam(4e-3),
        schedule=carousel.CosineDecay(options.epochs * length // TRUNCATION, unit="steps"),
        clip_norm=1.0,
        truncate_every=TRUNCATION,
        epochs=options.epochs,
        batch_size=STRANDS,
        shuffle=False,
        seed=1,
    )
    net.save(options.output, format="carousel")

    ours, trigrams = bits_per_character(net, unseen), Trigrams(seen).bits_per_character(unseen)
    print(f"{len(seen)} characters seen, {len(unseen)} unseen")
    print(f"bits per unseen character: LSTM {ours:.3f}, trigrams {trigrams:.3f}")
    print(f"Saved to {options.output}")
    return 0 if ours < trigrams else 1


if __name__ == "__main__":
    sys.exit(main())
