#!/usr/bin/env python3
"""Trains the demo's sunspot forecaster in Keras 3 and records what Keras itself forecasts.

Reads sunspots.csv and writes beside it
  forecaster.h5         the whole model, as `model.save("forecaster.h5")` writes it
  keras_forecasts.csv   Keras's own one-step forecasts of every year, to compare ours with

Run it through scripts/train-sunspots-keras, which installs Keras first.
"""

import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent

# Two solar cycles of about eleven years. This and the number of epochs were chosen by training on
# the years before 1900 and looking at 1900-1959, so the test years had no say.
WINDOW = 22
EPOCHS = 100
FIRST_TEST_YEAR = 1960
BATCH_SIZE = 16
SEED = 1

# The noise of a sunspot count grows with the count; its square root has nearly constant noise.
# Dividing by 200, about the largest count, brings the values into [0, 1].
LARGEST_COUNT = 200.0


def scale(counts):
    return np.sqrt(counts / LARGEST_COUNT)


def unscale(values):
    return np.maximum(values, 0.0) ** 2 * LARGEST_COUNT


def rmse(forecasts, counts):
    return float(np.sqrt(np.mean((forecasts - counts) ** 2)))


def main():
    years, counts = np.loadtxt(HERE / "sunspots.csv", delimiter=",", skiprows=1).T
    years = years.astype(int)
    scaled = scale(counts)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW)[:-1, :, np.newaxis]
    windows = windows.astype(np.float32)
    targets = scaled[WINDOW:].astype(np.float32)
    target_years, target_counts = years[WINDOW:], counts[WINDOW:]
    train = target_years < FIRST_TEST_YEAR

    keras.utils.set_random_seed(SEED)
    model = keras.Sequential(
        [
            keras.Input((WINDOW, 1)),
            keras.layers.LSTM(32, return_sequences=True, name="lstm_1"),
            keras.layers.LSTM(16, name="lstm_2"),
            keras.layers.Dense(1, name="forecast"),
        ],
        name="sunspots",
    )
    steps = EPOCHS * -(-int(train.sum()) // BATCH_SIZE)
    learning_rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(learning_rate, clipnorm=1.0), loss="mse")
    model.fit(windows[train], targets[train], epochs=EPOCHS, batch_size=BATCH_SIZE, verbose=0)
    model.save(HERE / "forecaster.h5", include_optimizer=False)

    forecasts = unscale(model.predict(windows, verbose=0)[:, 0].astype(np.float64))
    with open(HERE / "keras_forecasts.csv", "w") as file:
        file.write("year,sunspots,keras_forecast\n")
        for row in zip(target_years, target_counts, forecasts):
            file.write("{},{:g},{:.4f}\n".format(*row))

    test = ~train
    persistence = counts[WINDOW - 1 : -1]
    print(f"Keras {keras.__version__}, {keras.backend.backend()} backend")
    for name, chosen in (("train", train), ("test", test)):
        first, last = target_years[chosen][[0, -1]]
        print(
            f"{name:5} {first}-{last}: RMSE {rmse(forecasts[chosen], target_counts[chosen]):.2f}, "
            f"persistence {rmse(persistence[chosen], target_counts[chosen]):.2f}"
        )


if __name__ == "__main__":
    main()
