"""Section 12 of carousel.h as it is: the trainer without the comforts of ``Network.fit``."""

from __future__ import annotations

import ctypes
from ctypes import (
    byref,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_void_p,
)
from typing import Any, Callable

import carousel
import numpy as np
from carousel import _arrays as arrays
from carousel import _library as c

LOSSES = (
    "mse",
    "mae",
    "huber",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
)
METRICS = ("accuracy", "mae", "mse")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "step", "exponential", "cosine", "plateau")


def _call(name: str, *arguments: Any) -> None:
    lib = c.library()
    function = getattr(lib._cdll, name)
    function.restype = c_int
    status = function(*arguments)
    if status != 0:
        lib._raise(status, function, arguments)


class Data:
    """Arrays and the struct that points to them."""

    def __init__(
        self,
        x: Any,
        y: Any,
        lengths: Any = None,
        mask: Any = None,
        sample_weight: Any = None,
    ) -> None:
        self.inputs = [np.asarray(one) for one in (x if isinstance(x, list) else [x])]
        self.targets = [np.asarray(one) for one in (y if isinstance(y, list) else [y])]
        self.struct = c.TrainingData()
        self.struct.inputs, self.struct.input_count = self._describe(self.inputs)
        self.struct.targets, self.struct.target_count = self._describe(self.targets)
        if lengths is not None:
            self.lengths = np.ascontiguousarray(lengths, np.int64)
            self.struct.lengths = self.lengths.ctypes.data
        if mask is not None:
            self.mask = np.ascontiguousarray(mask, np.uint8)
            self.struct.mask = self.mask.ctypes.data
        if sample_weight is not None:
            self.weights = np.asarray(sample_weight, np.float64)
            self.struct.sample_weights, _ = self._describe([self.weights])

    @staticmethod
    def _describe(values: list[np.ndarray]) -> tuple[Any, int]:
        return (c.Array * len(values))(*[arrays.describe(one) for one in values]), len(values)


class Trainer:
    """A carousel_trainer; option names are those of the structs."""

    def __init__(
        self,
        net: carousel.Network,
        loss: Any = "mse",
        metrics: tuple[str, ...] = (),
        optimizer: str = "adam",
        schedule: dict[str, Any] | None = None,
        class_weights: Any = None,
        from_logits: bool = False,
        delta: float = 0,
        clip_norm: float = 0,
        clip_value: float = 0,
        l1: float = 0,
        l2: float = 0,
        seed: int = 0,
        threads: int = 0,
        micro_batch: int = 0,
        segment: int = 0,
        truncate: tuple[int, int] = (0, 0),
        **optimizer_options: Any,
    ) -> None:
        self.net = net
        options = c.TrainerOptions()
        names = loss if isinstance(loss, list) else [loss]
        losses = [c.Loss(LOSSES.index(name), int(from_logits), delta, 0) for name in names]
        options.losses, options.loss_count = (c.Loss * len(losses))(*losses), len(losses)
        self.metrics = metrics
        options.metrics = (c_int * len(metrics))(*[METRICS.index(name) for name in metrics])
        options.metric_count = len(metrics)
        options.optimizer = c.Optimizer(OPTIMIZERS.index(optimizer), **optimizer_options)
        if schedule is not None:
            values = dict(schedule)
            options.schedule = c.Schedule(SCHEDULES.index(values.pop("kind")), **values)
        if class_weights is not None:
            options.class_weights = (c_double * len(class_weights))(*class_weights)
            options.class_weight_count = len(class_weights)
        options.clip_norm, options.clip_value = clip_norm, clip_value
        options.l1, options.l2 = l1, l2
        options.seed, options.threads = seed, threads
        options.micro_batch, options.segment = micro_batch, segment
        options.truncate_every, options.truncate_through = truncate
        handle = c_void_p()
        _call("carousel_trainer_create", net._handle, byref(options), byref(handle))
        self.handle = handle

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            c.library()._cdll.carousel_trainer_free(self.handle)

    def step(self, x: Any, y: Any, **data: Any) -> c.StepResult:
        result, held = c.StepResult(), Data(x, y, **data)
        _call("carousel_trainer_step", self.handle, byref(held.struct), byref(result))
        return result

    def compute_gradients(
        self, x: Any, y: Any, accumulate: bool = False, **data: Any
    ) -> c.StepResult:
        result, held = c.StepResult(), Data(x, y, **data)
        _call(
            "carousel_trainer_compute_gradients",
            self.handle,
            byref(held.struct),
            c_int32(accumulate),
            byref(result),
        )
        return result

    def gradients(self) -> np.ndarray:
        """A copy of the gradient buffer."""
        data, size = c_void_p(), c_size_t()
        _call("carousel_trainer_get_gradients", self.handle, byref(data), byref(size))
        bytes_ = (ctypes.c_char * size.value).from_address(data.value)
        return np.frombuffer(bytes(bytes_), self.net.dtype)

    def apply_gradients(self) -> float:
        norm = c_double()
        _call("carousel_trainer_apply_gradients", self.handle, byref(norm))
        return norm.value

    def evaluate(self, x: Any, y: Any, batch_size: int = 32, **data: Any) -> c.StepResult:
        result, held = c.StepResult(), Data(x, y, **data)
        _call(
            "carousel_trainer_evaluate",
            self.handle,
            byref(held.struct),
            c_int64(batch_size),
            byref(result),
        )
        return result

    def fit(
        self,
        x: Any,
        y: Any,
        validation: Data | None = None,
        callback: Callable[[c.FitEvent], bool] | None = None,
        data: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """``callback`` returns whether to stop."""
        held, fit = Data(x, y, **(data or {})), c.FitOptions(**options)
        if callback is not None:
            fit.callback = c.FitCallback(lambda event, _: int(bool(callback(event.contents))))
        _call(
            "carousel_trainer_fit",
            self.handle,
            byref(held.struct),
            byref(validation.struct) if validation else None,
            byref(fit),
        )

    @property
    def info(self) -> c.TrainerInfo:
        info = c.TrainerInfo()
        _call("carousel_trainer_get_info", self.handle, byref(info))
        return info

    @property
    def history(self) -> dict[str, list[float]]:
        result = {}
        for index in range(self.info.history_count):
            name, count = c_char_p(), c_size_t()
            read = ("carousel_trainer_get_history", self.handle, c_size_t(index), byref(name))
            _call(*read, None, c_size_t(0), byref(count))
            values = (c_double * count.value)()
            _call(*read, values, count, byref(count))
            result[(name.value or b"").decode()] = list(values)
        return result

    def set_learning_rate(self, rate: float) -> None:
        _call("carousel_trainer_set_learning_rate", self.handle, c_double(rate))

    def set_trainable(self, name: str, value: bool) -> None:
        _call("carousel_trainer_set_trainable", self.handle, name.encode(), c_int32(value))

    def step_size(self, batch: int, time: int) -> int:
        times, size = (c_int64 * 1)(time), c_size_t()
        _call(
            "carousel_trainer_get_step_size",
            self.handle,
            c_int64(batch),
            times,
            c_size_t(1),
            byref(size),
        )
        return size.value

    def save(self, path: Any) -> None:
        _call("carousel_trainer_save", self.handle, str(path).encode())

    def resume(self, path: Any) -> None:
        _call("carousel_trainer_resume", self.handle, str(path).encode())
