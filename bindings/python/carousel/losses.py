"""Losses: what training makes small, and their derivatives for a look inside.

A loss is the mean over rows, steps and features (the sum over classes, for cross-entropy). They go
by Keras's names: ``"mse"``, ``"mae"``, ``"huber"``, ``"binary_crossentropy"``,
``"categorical_crossentropy"``, ``"sparse_categorical_crossentropy"``; or as objects, for those with
arguments: ``losses.BinaryCrossentropy(from_logits=True)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidArgumentError, ShapeError

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "gradient",
    "loss_named",
]

#: Probabilities are kept this far from 0 and 1, as in Keras.
SMALLEST = 1e-7


@dataclass(frozen=True)
class Loss:
    """Base of all losses."""

    def targets(self, output: np.ndarray, y: Any) -> np.ndarray:
        """``y`` in the shape of the output; the last axis may be left out if it has one element."""
        target = np.asarray(y, output.dtype)
        if target.shape == output.shape[:-1] and output.shape[-1] == 1:
            target = target[..., np.newaxis]
        if target.shape != output.shape:
            raise ShapeError(
                f"targets y must have the output's shape {output.shape}, got {target.shape}"
            )
        return target

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        """The loss and its derivative with respect to the output."""
        raise NotImplementedError


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of (output - y)²."""

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        error = output - self.targets(output, y)
        return float(np.mean(error**2)), 2 * error / max(error.size, 1)


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean of |output - y|."""

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        error = output - self.targets(output, y)
        return float(np.mean(np.abs(error))), np.sign(error) / max(error.size, 1)


@dataclass(frozen=True)
class Huber(Loss):
    """Half the square up to ``delta``, linear beyond."""

    delta: float = 1.0

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        error = output - self.targets(output, y)
        size = np.abs(error)
        value = np.where(size <= self.delta, error**2 / 2, self.delta * (size - self.delta / 2))
        return float(np.mean(value)), np.clip(error, -self.delta, self.delta) / max(error.size, 1)


@dataclass(frozen=True)
class BinaryCrossentropy(Loss):
    """Of probabilities, or of logits, each element for itself."""

    from_logits: bool = False

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        target = self.targets(output, y)
        if self.from_logits:
            value = np.logaddexp(0, output) - target * output
            slope = _sigmoid(output) - target
        else:
            p = np.clip(output, SMALLEST, 1 - SMALLEST)
            value = -(target * np.log(p) + (1 - target) * np.log1p(-p))
            slope = np.where(p == output, (p - target) / (p * (1 - p)), 0)
        return float(np.mean(value)), slope / max(output.size, 1)


@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Of a distribution over the last axis, or of logits; targets are distributions, too."""

    from_logits: bool = False

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        target = self.targets(output, y)
        count = max(output.size // max(output.shape[-1], 1), 1)
        if self.from_logits:
            shifted = output - output.max(axis=-1, keepdims=True)
            log = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
            slope = np.exp(log) * target.sum(axis=-1, keepdims=True) - target
        else:
            p = np.clip(output, SMALLEST, 1 - SMALLEST)
            log = np.log(p)
            slope = np.where(p == output, -target / p, 0)
        return float(-np.sum(target * log) / count), slope / count


@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """The same with class numbers for targets."""

    from_logits: bool = False

    def targets(self, output: np.ndarray, y: Any) -> np.ndarray:
        classes = np.asarray(y)
        if classes.shape == (*output.shape[:-1], 1):
            classes = classes[..., 0]
        if classes.shape != output.shape[:-1]:
            raise ShapeError(
                f"class numbers y must have the shape {output.shape[:-1]}, got {classes.shape}"
            )
        whole = classes.astype(np.int64)
        if not np.array_equal(whole, classes):
            raise InvalidArgumentError("class numbers y must be whole numbers")
        if whole.size and not 0 <= whole.min() <= whole.max() < output.shape[-1]:
            raise InvalidArgumentError(
                f"class numbers y must be less than {output.shape[-1]}, "
                f"got {whole.min()} to {whole.max()}"
            )
        return whole

    def of(self, output: np.ndarray, y: Any) -> tuple[float, np.ndarray]:
        one_hot = np.eye(output.shape[-1], dtype=output.dtype)[self.targets(output, y)]
        return CategoricalCrossentropy(self.from_logits).of(output, one_hot)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Without overflow at either end."""
    small = np.exp(-np.abs(x))
    value: np.ndarray = np.where(x >= 0, 1, small) / (1 + small)
    return value


_NAMES: dict[str, Loss] = {
    "mse": MeanSquaredError(),
    "mean_squared_error": MeanSquaredError(),
    "mae": MeanAbsoluteError(),
    "mean_absolute_error": MeanAbsoluteError(),
    "huber": Huber(),
    "binary_crossentropy": BinaryCrossentropy(),
    "categorical_crossentropy": CategoricalCrossentropy(),
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy(),
}


def loss_named(loss: Any) -> Loss:
    """A loss object, also of a name."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in _NAMES:
        return _NAMES[loss]
    raise InvalidArgumentError(
        f"loss must be one of {', '.join(_NAMES)}, or an object of carousel.losses, not {loss!r}"
    )


def gradient(loss: Any, output: Any, y: Any) -> tuple[float, Any]:
    """The loss of an output (or the sum over a list of outputs) and its derivatives."""
    rule = loss_named(loss)
    if not isinstance(output, list):
        return rule.of(output, y)
    if not isinstance(y, (list, tuple)) or len(y) != len(output):
        raise ShapeError(f"targets y: a list of {len(output)}, one for each output")
    pairs = [rule.of(one, target) for one, target in zip(output, y)]
    return sum(value for value, _ in pairs), [slope for _, slope in pairs]
