#!/usr/bin/env python3
"""Forecasts the yearly sunspot numbers with a model that Keras trained.

    forecast.py [--model MODEL.h5] [--data SUNSPOTS.csv] [--plot FORECAST.png]

The same program as bindings/c/examples/forecast.c: it prints the same text, and draws it as well.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import sys

import carousel
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
FIRST_TEST_YEAR = 1960
YEARS_AHEAD = 11
LARGEST_COUNT = 200.0


def scale(counts):
    return np.sqrt(counts / LARGEST_COUNT).astype(np.float32)


def unscale(values):
    return np.maximum(values.astype(np.float64), 0.0) ** 2 * LARGEST_COUNT


def rmse(forecasts, counts) -> float:
    return math.sqrt(float(np.mean((forecasts - counts) ** 2)))


def look_ahead(net, scaled, window: int):
    """Each year made of forecasts of the years before."""
    known = list(scaled[-window:])
    for _ in range(YEARS_AHEAD):
        x = np.array(known[-window:], np.float32).reshape(1, window, 1)
        known.append(net(x)[0, 0])
    return unscale(np.array(known[window:], np.float32))


def plot(path, years, counts, forecasts, ahead, error) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 4.5), layout="constrained")
    future = np.arange(years[-1] + 1, years[-1] + 1 + len(ahead))
    axes.axvspan(FIRST_TEST_YEAR, years[-1], color="0.93", label="test years, never trained on")
    axes.plot(years, counts, color="0.35", linewidth=1.2, label="counted")
    axes.plot(
        years[-len(forecasts) :],
        forecasts,
        color="tab:orange",
        linewidth=1.2,
        label=f"forecast one year ahead (RMSE {error:.1f} in the test years)",
    )
    axes.plot(future, ahead, "--", color="tab:red", linewidth=1.2, label="forecast from forecasts")
    axes.set(
        xlim=(1880, future[-1] + 1),
        ylim=(0, None),
        xlabel="year",
        ylabel="sunspot number",
        title="Yearly sunspot numbers, forecast by a two-layer LSTM",
    )
    axes.legend(loc="upper left", fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=ROOT / "data/sunspots/forecaster.h5")
    parser.add_argument("--data", default=ROOT / "data/sunspots/sunspots.csv")
    parser.add_argument("--plot", metavar="PNG", help="also draw the forecasts (needs matplotlib)")
    options = parser.parse_args()

    years, counts = np.loadtxt(options.data, delimiter=",", skiprows=1).T
    years = years.astype(int)
    net = carousel.load(options.model)
    _, window, _ = net.inputs[0].shape
    scaled = scale(counts)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, window)[:-1, :, np.newaxis]
    forecasts = unscale(net(windows)[:, 0])  # forecasts[k] is for years[k + window]

    print(f"One year ahead, from the {window} years before:\n")
    print("  year  sunspots  forecast  persistence")
    first = int(np.searchsorted(years, FIRST_TEST_YEAR))
    for k in range(first, len(years)):
        print(
            f"  {years[k]}  {counts[k]:8.1f}  {forecasts[k - window]:8.1f}  {counts[k - 1]:11.1f}"
        )
    ours = rmse(forecasts[first - window :], counts[first:])
    persistence = rmse(counts[first - 1 : -1], counts[first:])
    print(
        f"\nRMSE {years[first]}-{years[-1]}: forecast {ours:.2f}, persistence {persistence:.2f}\n"
    )

    print("Further ahead, each year made of forecasts of the years before:\n")
    ahead = look_ahead(net, scaled, window)
    for k, value in enumerate(ahead, 1):
        print(f"  {years[-1] + k}  {value:8.1f}")

    if options.plot:
        plot(options.plot, years, counts, forecasts, ahead, ours)
        print(f"\nPlot: {options.plot}", file=sys.stderr)
    if ours >= persistence:
        print("forecast: no better than persistence", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
