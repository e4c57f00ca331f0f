#!/usr/bin/env python3
"""Compares our forecasts of every year with those that Keras recorded when it trained the model."""

from __future__ import annotations

import pathlib
import sys

import carousel
import numpy as np
from forecast import ROOT, scale, unscale

SUNSPOTS = pathlib.Path(ROOT, "data/sunspots")
# The file holds four decimals; float32 forecasts of up to 200 sunspots differ by less than this.
TOLERANCE = 1e-3


def main() -> int:
    counts = np.loadtxt(SUNSPOTS / "sunspots.csv", delimiter=",", skiprows=1)[:, 1]
    keras = np.loadtxt(SUNSPOTS / "keras_forecasts.csv", delimiter=",", skiprows=1)[:, 2]
    net = carousel.load(SUNSPOTS / "forecaster.h5")
    _, window, _ = net.inputs[0].shape
    windows = np.lib.stride_tricks.sliding_window_view(scale(counts), window)[:-1, :, np.newaxis]
    difference = float(np.abs(unscale(net(windows)[:, 0]) - keras).max())
    print(
        f"{len(keras)} forecasts; the largest difference from Keras is {difference:.5f} sunspots."
    )
    return 0 if difference < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
