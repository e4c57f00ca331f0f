#!/usr/bin/env python3
"""Trains a sunspot forecaster of our own, in seconds, and saves it as HDF5.

    train_forecaster.py [OUTPUT.h5]

The same data, window and layers as data/sunspots/train_in_keras.py, and peepholes, which Keras does
not have. bindings/c/examples/forecast.c and forecast.py beside this file forecast with the result.
"""

from __future__ import annotations

import sys

import carousel
import numpy as np
from forecast import FIRST_TEST_YEAR, ROOT, rmse, scale, unscale

WINDOW, EPOCHS, BATCH_SIZE = 22, 100, 16


def main() -> int:
    path = sys.argv[1] if len(sys.argv) > 1 else "forecaster.h5"
    years, counts = np.loadtxt(ROOT / "data/sunspots/sunspots.csv", delimiter=",", skiprows=1).T
    scaled = scale(counts)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW)[:-1, :, np.newaxis]
    targets = scaled[WINDOW:, np.newaxis]
    train = years[WINDOW:] < FIRST_TEST_YEAR

    net = carousel.Network(
        [
            carousel.Input((WINDOW, 1), name="years"),
            carousel.LSTM(32, peepholes=True, return_sequences=True, name="lstm_1"),
            carousel.LSTM(16, peepholes=True, name="lstm_2"),
            carousel.Dense(1, name="forecast"),
        ],
        name="sunspots",
        seed=1,
    )
    steps = EPOCHS * -(-int(train.sum()) // BATCH_SIZE)
    history = net.fit(
        windows[train],
        targets[train],
        loss="mse",
        optimizer=carousel.Adam(5e-3),
        schedule=carousel.CosineDecay(steps, unit="steps"),
        clip_norm=1.0,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        seed=1,
    )
    net.save(path, format="carousel")

    test = ~train
    ours = rmse(unscale(net(windows[test])[:, 0]), counts[WINDOW:][test])
    persistence = rmse(counts[WINDOW - 1 : -1][test], counts[WINDOW:][test])
    losses = history["loss"]
    print(f"{EPOCHS} epochs: loss {losses[0]:.4f} at first, {losses[-1]:.4f} at last")
    print(f"RMSE of {int(test.sum())} years never seen: {ours:.2f}, persistence {persistence:.2f}")
    print(f"Saved to {path}")
    return 0 if ours < persistence else 1


if __name__ == "__main__":
    sys.exit(main())
