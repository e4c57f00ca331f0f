"""Optimisers and learning-rate schedules: PyTorch's formulas under Keras's argument names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from . import _library as c
from ._values import integer, real
from .errors import InvalidArgumentError

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "RMSprop",
    "ReduceLROnPlateau",
    "StepDecay",
]


def _given(value: Any, what: str) -> float:
    """A number as the library takes it: there 0 means the default, and negative ones mean 0."""
    number = real(value, what)
    if number < 0:
        raise InvalidArgumentError(f"{what} must not be negative, got {number}")
    return number or -1.0


@dataclass
class Optimizer:
    """Base of all optimisers."""

    kind: ClassVar[int]

    def struct(self) -> c.Optimizer:
        """The optimiser as the library takes it."""
        options = c.Optimizer(kind=self.kind)
        for name, value in vars(self).items():
            if name in ("nesterov", "centered"):
                setattr(options, name, bool(value))
            else:
                setattr(options, name, _given(value, name))
        return options


@dataclass
class SGD(Optimizer):
    """Gradient descent with momentum; weight decay is added to the gradient."""

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    kind: ClassVar[int] = 2


@dataclass
class RMSprop(Optimizer):
    """Divides by the root mean square of recent gradients; ``rho`` is PyTorch's ``alpha``."""

    learning_rate: float = 0.001
    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False
    weight_decay: float = 0.0
    kind: ClassVar[int] = 3


@dataclass
class Adam(Optimizer):
    """Kingma & Ba 2015; weight decay is added to the gradient."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    kind: ClassVar[int] = 0


@dataclass
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019)."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.004
    kind: ClassVar[int] = 1


_BY_NAME = {one.__name__.lower(): one for one in (SGD, RMSprop, Adam, AdamW)}


def optimizer_named(optimizer: Any) -> Optimizer:
    """An optimiser, also of a name such as ``"adam"``."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str) and optimizer.lower() in _BY_NAME:
        made: Optimizer = _BY_NAME[optimizer.lower()]()
        return made
    raise InvalidArgumentError(
        f"optimizer must be one of {', '.join(_BY_NAME)}, or an object such as "
        f"carousel.Adam(1e-3), not {optimizer!r}"
    )


@dataclass
class Schedule:
    """Base of all schedules: a factor on the learning rate."""

    kind: ClassVar[int]

    def struct(self) -> c.Schedule:
        """The schedule as the library takes it."""
        values = dict(vars(self))
        options = c.Schedule(kind=self.kind)
        if "unit" in values:
            unit = values.pop("unit")
            if unit not in ("epochs", "steps"):
                raise InvalidArgumentError(f"unit must be 'epochs' or 'steps', not {unit!r}")
            options.counts_epochs = unit == "epochs"
        for name, value in values.items():
            is_count = name in ("warmup", "interval", "patience", "cooldown")
            setattr(options, name, integer(value, name) if is_count else real(value, name))
        return options


@dataclass
class ConstantRate(Schedule):
    """The rate as it is, after ``warmup`` steps of rising to it."""

    warmup: int = 0
    kind: ClassVar[int] = 0


@dataclass
class StepDecay(Schedule):
    """Times ``factor`` after every ``interval`` epochs (or steps)."""

    interval: int = 10
    factor: float = 0.1
    unit: str = "epochs"
    warmup: int = 0
    kind: ClassVar[int] = 1


@dataclass
class ExponentialDecay(Schedule):
    """``factor`` to the power of n / interval."""

    interval: int = 1
    factor: float = 0.96
    unit: str = "epochs"
    warmup: int = 0
    kind: ClassVar[int] = 2


@dataclass
class CosineDecay(Schedule):
    """Half a cosine wave from 1 to the factor ``minimum`` in ``interval`` epochs (or steps)."""

    interval: int = 10
    minimum: float = 0.0
    unit: str = "epochs"
    warmup: int = 0
    kind: ClassVar[int] = 3


@dataclass
class ReduceLROnPlateau(Schedule):
    """Times ``factor`` when the validation loss (or the loss) did not fall by more than
    ``minimum_delta`` in ``patience`` epochs; not below the rate ``minimum``."""

    factor: float = 0.1
    patience: int = 10
    cooldown: int = 0
    minimum: float = 0.0
    minimum_delta: float = 1e-4
    warmup: int = 0
    kind: ClassVar[int] = 4
