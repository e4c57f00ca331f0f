"""Training: the trainer, what ``Network.fit`` does with it, and what comes of it."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import numpy as np

from . import _arrays as arrays
from . import _library as c
from . import losses as loss_rules
from ._values import integer, real
from .errors import InvalidArgumentError, ShapeError, StoppedError
from .optimizers import ConstantRate, Schedule, optimizer_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .network import Network, Path

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Epoch",
    "History",
    "StepResult",
    "Trainer",
]

_METRICS = {"accuracy": 0, "acc": 0, "mae": 1, "mse": 2}
_LOSSES = {
    loss_rules.MeanSquaredError: 0,
    loss_rules.MeanAbsoluteError: 1,
    loss_rules.Huber: 2,
    loss_rules.BinaryCrossentropy: 3,
    loss_rules.CategoricalCrossentropy: 4,
    loss_rules.SparseCategoricalCrossentropy: 5,
}


# --- what a user gives and gets ----------------------------------------------------------------


class StepResult(NamedTuple):
    """One step: its number, the loss before it, the gradients' norm before clipping, metrics."""

    step: int
    loss: float
    gradient_norm: float
    metrics: dict[str, float]


@dataclass
class Epoch:
    """Where a fit is; what callbacks hear, after each batch and after each epoch."""

    #: Numbers from 0.
    epoch: int
    batch: int
    batch_count: int
    step: int
    is_end: bool
    #: ``loss``, metrics and, at the end of an epoch with validation, ``val_loss`` ...
    values: dict[str, float]
    gradient_norm: float
    learning_rate: float


class Callback:
    """Base of callbacks. Return False to stop.

    A plain function of an :class:`Epoch` will do, too; it is called after each epoch.
    """

    trainer: Trainer

    def on_batch(self, now: Epoch) -> bool | None:
        """After each batch."""
        return None

    def on_epoch(self, now: Epoch) -> bool | None:
        """After each epoch."""
        return None


class _Function(Callback):
    def __init__(self, function: Callable[[Epoch], bool | None]) -> None:
        self._function = function

    def on_epoch(self, now: Epoch) -> bool | None:
        return self._function(now)


@dataclass
class EarlyStopping:
    """Stops when the validation loss (or the loss) no longer falls; as Keras's callback."""

    patience: int = 0
    min_delta: float = 0.0
    #: Ends with the weights of the best epoch.
    restore_best_weights: bool = True


@dataclass
class Checkpoint(Callback):
    """Saves the whole state of training after every ``every`` epochs; ``Trainer.resume`` goes on
    from it as if it had never stopped."""

    path: Any
    every: int = 1

    def on_epoch(self, now: Epoch) -> bool | None:
        if (now.epoch + 1) % self.every == 0:
            self.trainer.save(self.path)
        return None


@dataclass
class History(Mapping[str, "list[float]"]):
    """What a fit has been: ``history["loss"]`` has one value for each epoch."""

    history: dict[str, list[float]] = field(default_factory=dict)
    #: The epoch, from 0, that early stopping held for the best.
    best_epoch: int | None = None
    stopped_early: bool = False
    #: Ctrl-C, or a function that returned False, ended it. The network has the last weights.
    interrupted: bool = False

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs."""
        return list(range(max(map(len, self.history.values()), default=0)))

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def __len__(self) -> int:
        return len(self.history)

    def __repr__(self) -> str:
        ends = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.items() if values)
        return f"<carousel.History: {len(self.epoch)} epochs, {ends}>"

    def plot(self, ax: Any = None) -> Figure:
        """The curves, drawn with matplotlib."""
        from .plot import history

        return history(self, ax)


# --- the trainer -------------------------------------------------------------------------------


class Trainer:
    """Gradients, what the optimiser remembers, and the memory of a step.

    What comes out is a function of the network, the options and the data, to the last bit, at any
    number of threads.

    Args:
        network: what is trained.
        loss: a name (``"mse"``) or an object of ``carousel.losses``; a list for several outputs.
        optimizer: a name or an object such as ``Adam(1e-3)``.
        metrics: any of ``"accuracy"``, ``"mae"``, ``"mse"``.
        schedule: of the learning rate, such as ``CosineDecay(20)``.
        clip_norm: all gradients are scaled by min(1, clip_norm / (norm + 1e-6)).
        clip_value: then each is clipped to this magnitude.
        l1, l2: penalties on the matrices.
        class_weight: factors of the loss by class, as a list or a dict.
        freeze: names of layers or parameters that stay as they are.
        seed: of shuffling and dropout.
        threads: the most to use; 0 for ``carousel.threads()``.
        micro_batch: most rows computed at once.
        segment: most steps kept at once: longer sequences are computed twice, with the same
            gradients bit for bit.
        truncate_every, truncate_through: truncated back-propagation: an update after every so
            many steps, its error flowing back so many.
        eligibility_traces: with ``truncate_every``, error flows back to the beginning all the same:
            the derivatives of the cells by their weights are carried forwards, in memory that does
            not grow with time. With ``truncate_every=1`` the algorithm of 1997, which learns at
            every step. For one LSTM with ``truncate_gates`` and nothing trained before it.
        on_gradients: called with the gradients of every update, flat as ``gradients``, before
            penalties and clipping; may change them in place. Returning False, or raising, ends
            the call without that update.
    """

    def __init__(
        self,
        network: Network,
        loss: Any = "mse",
        optimizer: Any = "adam",
        *,
        metrics: Sequence[str] = (),
        loss_weights: Sequence[float] | None = None,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        class_weight: Any = None,
        freeze: Sequence[str] = (),
        seed: int = 0,
        threads: int = 0,
        micro_batch: int = 0,
        segment: int = 0,
        truncate_every: int = 0,
        truncate_through: int = 0,
        eligibility_traces: bool = False,
        on_gradients: Callable[[np.ndarray], bool | None] | None = None,
    ) -> None:
        self.network = network
        self._lib = lib = c.library()
        network._refresh()
        given = list(loss) if isinstance(loss, (list, tuple)) else [loss]
        self.losses = [loss_rules.loss_named(one) for one in given]
        self.metrics = [metrics] if isinstance(metrics, str) else list(metrics)
        options = c.TrainerOptions(
            optimizer=optimizer_named(optimizer).struct(),
            schedule=(schedule or ConstantRate()).struct(),
            clip_norm=real(clip_norm, "clip_norm"),
            clip_value=real(clip_value, "clip_value"),
            l1=real(l1, "l1"),
            l2=real(l2, "l2"),
            seed=integer(seed, "seed") % 2**64,
            threads=integer(threads, "threads"),
            micro_batch=integer(micro_batch, "micro_batch"),
            segment=integer(segment, "segment"),
            truncate_every=integer(truncate_every, "truncate_every"),
            truncate_through=integer(truncate_through, "truncate_through"),
            eligibility_traces=bool(eligibility_traces),
        )
        kept = self._set_losses(options, loss_weights, class_weight)
        self._handle = c.make(
            lib.carousel_trainer_create,
            lib.carousel_trainer_free,
            network._handle,
            ctypes.byref(options),
        )
        del kept
        for name in freeze:
            self.set_trainable(name, False)
        self._hook = _GradientHook(self, on_gradients) if on_gradients is not None else None

    def _set_losses(
        self, options: c.TrainerOptions, loss_weights: Any, class_weight: Any
    ) -> list[Any]:
        """Fills in the arrays of the options; gives what must live as long as they."""
        weights = [1.0] * len(self.losses) if loss_weights is None else list(loss_weights)
        if len(weights) != len(self.losses):
            raise ShapeError(f"loss_weights: one for each of the {len(self.losses)} losses")
        structs = [
            c.Loss(
                kind=_LOSSES[type(rule)],
                from_logits=bool(getattr(rule, "from_logits", False)),
                delta=real(getattr(rule, "delta", 0.0), "delta"),
                weight=real(weight, "loss_weights"),
            )
            for rule, weight in zip(self.losses, weights)
        ]
        rules = (c.Loss * len(structs))(*structs)
        options.losses, options.loss_count = rules, len(structs)
        for name in self.metrics:
            if name not in _METRICS:
                raise InvalidArgumentError(
                    f"metrics are {', '.join(_METRICS)}; there is no {name!r}"
                )
        numbers = (ctypes.c_int * max(len(self.metrics), 1))(
            *(_METRICS[name] for name in self.metrics)
        )
        options.metrics, options.metric_count = numbers, len(self.metrics)
        kept: list[Any] = [rules, numbers]
        if class_weight is not None:
            if isinstance(class_weight, Mapping):
                count = 1 + max(class_weight, default=-1)
                class_weight = [class_weight.get(index, 1.0) for index in range(count)]
            factors = (ctypes.c_double * len(class_weight))(*class_weight)
            options.class_weights, options.class_weight_count = factors, len(class_weight)
            kept.append(factors)
        return kept

    # Steps.

    def step(self, x: Any, y: Any, **data: Any) -> StepResult:
        """One step, all rows its batch; ``lengths``, ``mask``, ``sample_weight`` as in ``fit``."""
        self.network._refresh()
        batch, result = _Data(self, x, y, **data), c.StepResult()
        with self._update():
            self._lib.carousel_trainer_step(
                self._handle, ctypes.byref(batch.struct), ctypes.byref(result)
            )
        return self._result(result)

    def compute_gradients(
        self, x: Any, y: Any, accumulate: bool = False, **data: Any
    ) -> StepResult:
        """The first half of a step: gradients of a batch, into ``gradients`` or added to them."""
        self.network._refresh()
        batch, result = _Data(self, x, y, **data), c.StepResult()
        self._lib.carousel_trainer_compute_gradients(
            self._handle, ctypes.byref(batch.struct), bool(accumulate), ctypes.byref(result)
        )
        return self._result(result)

    @property
    def gradients(self) -> np.ndarray:
        """All gradients as one flat, writable view, laid out as ``Network.parameter_buffer``: for
        an MPI_Allreduce between the halves of a step."""
        address, size = ctypes.c_void_p(), ctypes.c_size_t()
        self._lib.carousel_trainer_get_gradients(
            self._handle, ctypes.byref(address), ctypes.byref(size)
        )
        return arrays.view(address.value or 0, size.value, self.network.dtype, self._handle)[0]

    def apply_gradients(self) -> float:
        """The second half: a step along ``gradients``. Gives their norm before clipping."""
        self.network._refresh()
        norm = ctypes.c_double()
        with self._update():
            self._lib.carousel_trainer_apply_gradients(self._handle, ctypes.byref(norm))
        return norm.value

    @contextmanager
    def _update(self) -> Iterator[None]:
        """Raises what ``on_gradients`` raised."""
        try:
            yield
        except StoppedError:
            if self._hook is not None:
                self._hook.raise_problem()
            raise

    def evaluate(self, x: Any, y: Any, batch_size: int = 32, **data: Any) -> dict[str, float]:
        """Loss and metrics in inference."""
        self.network._refresh()
        whole, result = _Data(self, x, y, **data), c.StepResult()
        self._lib.carousel_trainer_evaluate(
            self._handle,
            ctypes.byref(whole.struct),
            integer(batch_size, "batch_size"),
            ctypes.byref(result),
        )
        return {"loss": result.loss, **self._named(result.metrics)}

    def _result(self, result: c.StepResult) -> StepResult:
        return StepResult(
            result.step, result.loss, result.gradient_norm, self._named(result.metrics)
        )

    def _named(self, values: Any, prefix: str = "") -> dict[str, float]:
        return {f"{prefix}{name}": float(value) for name, value in zip(self.metrics, values)}

    # Fitting.

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        validation_data: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        lengths: Any = None,
        mask: Any = None,
        sample_weight: Any = None,
        callbacks: Sequence[Any] = (),
        progress: bool = True,
    ) -> History:
        """Goes through the data until ``epochs`` epochs are finished, earlier ones included."""
        self.network._refresh()
        data = _Data(self, x, y, lengths=lengths, mask=mask, sample_weight=sample_weight)
        validation = self._validation(validation_data)
        early = [one for one in callbacks if isinstance(one, EarlyStopping)]
        listeners = _Listeners(
            self, [one for one in callbacks if one not in early], epochs if progress else 0
        )
        options = c.FitOptions(
            epochs=integer(epochs, "epochs"),
            batch_size=integer(batch_size, "batch_size"),
            no_shuffle=not shuffle,
            validation_split=real(validation_split, "validation_split"),
            callback=c.FitCallback(listeners.hear),
        )
        if early:
            options.early_stopping = 1
            options.patience = integer(early[0].patience, "patience")
            options.minimum_delta = real(early[0].min_delta, "min_delta")
            options.keep_last = not early[0].restore_best_weights
        try:
            listeners.watch_for_ctrl_c()
            with self._update():
                self._lib.carousel_trainer_fit(
                    self._handle,
                    ctypes.byref(data.struct),
                    ctypes.byref(validation.struct) if validation is not None else None,
                    ctypes.byref(options),
                )
        except StoppedError:
            if listeners.problem is not None:
                raise listeners.problem from None
            listeners.stopped = True
        finally:
            listeners.close()
        history = self.history
        history.interrupted = listeners.stopped
        return history

    def _validation(self, given: Any) -> _Data | None:
        """``(x, y)``, ``(x, y, sample_weight)``, or a dict with ``lengths`` and ``mask``, too."""
        if given is None:
            return None
        if isinstance(given, Mapping):
            return _Data(self, **given)
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise InvalidArgumentError("validation_data is (x, y) or (x, y, sample_weight)")
        weight = given[2] if len(given) == 3 else None
        return _Data(self, given[0], given[1], sample_weight=weight)

    @property
    def history(self) -> History:
        """All epochs so far, those before a checkpoint included."""
        info = self._info()
        series: dict[str, list[float]] = {}
        for index in range(info.history_count):
            name, count = ctypes.c_char_p(), ctypes.c_size_t()
            read = self._lib.carousel_trainer_get_history
            read(self._handle, index, ctypes.byref(name), None, 0, ctypes.byref(count))
            values = (ctypes.c_double * max(count.value, 1))()
            read(self._handle, index, ctypes.byref(name), values, count.value, ctypes.byref(count))
            series[(name.value or b"").decode()] = list(values[: count.value])
        return History(
            series,
            best_epoch=None if info.best_epoch < 0 else info.best_epoch,
            stopped_early=bool(info.is_stopped_early),
        )

    # State.

    def _info(self) -> c.TrainerInfo:
        info = c.TrainerInfo()
        self._lib.carousel_trainer_get_info(self._handle, ctypes.byref(info))
        return info

    @property
    def steps_done(self) -> int:
        """Steps of the optimiser so far."""
        return int(self._info().step)

    @property
    def epochs_done(self) -> int:
        """Epochs finished so far."""
        return int(self._info().epoch)

    @property
    def learning_rate(self) -> float:
        """Of the next step, with the schedule; setting it sets the rate before the schedule."""
        return float(self._info().learning_rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._lib.carousel_trainer_set_learning_rate(self._handle, real(rate, "learning_rate"))

    def set_trainable(self, name: str, trainable: bool) -> None:
        """Freezes or frees a layer, or a parameter."""
        self._lib.carousel_trainer_set_trainable(
            self._handle, c.encode(name, "name"), bool(trainable)
        )

    def step_size(self, batch: int, time: int) -> int:
        """Bytes that a step for this batch takes beside what the trainer holds, without taking
        them."""
        inputs = self.network.inputs
        times = arrays.int64_array([time if one.has_time else 1 for one in inputs])
        size = ctypes.c_size_t()
        self._lib.carousel_trainer_get_step_size(
            self._handle, integer(batch, "batch"), times, len(inputs), ctypes.byref(size)
        )
        return size.value

    def save(self, path: Path) -> None:
        """Writes a checkpoint: the network, for every reader of networks, and all that training
        depends on. An older file is replaced in one step."""
        self.network._refresh()
        self._lib.carousel_trainer_save(self._handle, c.encode_path(path))

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint of a trainer with the same network and options, bit for bit as
        if it had never stopped."""
        self._lib.carousel_trainer_resume(self._handle, c.encode_path(path))


class _GradientHook:
    """Passes the library's gradients on to a function. No exception may leave the C callback: it is
    kept, and raised when the call has returned."""

    def __init__(self, trainer: Trainer, function: Callable[[np.ndarray], bool | None]) -> None:
        self.function = function
        self.gradients = trainer.gradients
        self.problem: BaseException | None = None
        self._callback = c.GradientCallback(self.hear)
        trainer._lib.carousel_trainer_set_gradient_callback(trainer._handle, self._callback, None)

    def hear(self, _gradients: int, _size: int, _context: Any) -> int:
        try:
            return 1 if self.function(self.gradients) is False else 0
        except BaseException as problem:
            self.problem = problem
            return 1

    def raise_problem(self) -> None:
        problem, self.problem = self.problem, None
        if problem is not None:
            raise problem from None


class _Listeners:
    """Hears what the library tells of a fit, and passes it on to callbacks and the progress bar."""

    def __init__(self, trainer: Trainer, callbacks: Sequence[Any], shown_epochs: int) -> None:
        self.trainer = trainer
        self.callbacks = [self._listener(one) for one in callbacks]
        self.problem: BaseException | None = None
        self.stopped = False
        self.shown_epochs = shown_epochs
        self.bar: Any = None
        self.former_handler: Any = None

    def _listener(self, given: Any) -> Callback:
        if not isinstance(given, Callback) and not callable(given):
            raise InvalidArgumentError(f"a callback is a Callback or a function, not {given!r}")
        listener = given if isinstance(given, Callback) else _Function(given)
        listener.trainer = self.trainer
        return listener

    def hear(self, pointer: Any, _context: Any) -> int:
        """The C callback. No exception may leave it; it is raised when the fit has returned."""
        try:
            now = self._event(pointer.contents)
            self._show(now)
            for one in self.callbacks:
                answer = one.on_epoch(now) if now.is_end else one.on_batch(now)
                if answer is False:
                    self.stopped = True
        except BaseException as problem:
            self.problem = problem
        return 1 if self.stopped or self.problem is not None else 0

    def _event(self, event: c.FitEvent) -> Epoch:
        values = {"loss": event.loss, **self.trainer._named(event.metrics)}
        if event.has_validation:
            values["val_loss"] = event.validation_loss
            values.update(self.trainer._named(event.validation_metrics, "val_"))
        return Epoch(
            event.epoch,
            event.batch,
            event.batch_count,
            event.step,
            bool(event.is_end_of_epoch),
            values,
            event.gradient_norm,
            event.learning_rate,
        )

    def _show(self, now: Epoch) -> None:
        """A bar over all batches of all epochs, where somebody can see it."""
        if not self.shown_epochs:
            return
        if self.bar is None:
            self.bar = _bar(self.shown_epochs * now.batch_count)
            if self.bar is None:
                self.shown_epochs = 0
                return
        if now.is_end:
            self.bar.set_description_str(f"epoch {now.epoch + 1}/{self.shown_epochs}")
        else:
            self.bar.update(now.epoch * now.batch_count + now.batch - self.bar.n)
        self.bar.set_postfix({name: f"{value:.4g}" for name, value in now.values.items()})

    def watch_for_ctrl_c(self) -> None:
        """Ctrl-C stops after the present batch, instead of raising anywhere within a callback."""

        def stop(_number: int, _frame: Any) -> None:
            self.stopped = True

        if threading.current_thread() is threading.main_thread():
            self.former_handler = signal.signal(signal.SIGINT, stop)

    def close(self) -> None:
        if self.former_handler is not None:
            signal.signal(signal.SIGINT, self.former_handler)
        if self.bar is not None:
            self.bar.close()


def _bar(total: int) -> Any:
    """A tqdm bar; None where there is no tqdm, or nobody to look."""
    if not (sys.stderr is not None and sys.stderr.isatty()) and "ipykernel" not in sys.modules:
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="batch")


class _Data:
    """Examples as the library takes them; keeps the arrays alive."""

    def __init__(
        self,
        trainer: Trainer,
        x: Any,
        y: Any,
        lengths: Any = None,
        mask: Any = None,
        sample_weight: Any = None,
    ) -> None:
        from .network import _Call

        network = trainer.network
        self._call = call = _Call(network, x, lengths, None, mask, None, False, 0, 0)
        self._targets = self._read_targets(trainer, y)
        self.struct = c.TrainingData(
            inputs=call.inputs,
            input_count=len(call.held),
            targets=arrays.describe_all(self._targets),
            target_count=len(self._targets),
            lengths=call.options.lengths,
            mask=call.options.mask,
        )
        if sample_weight is not None:
            weights = arrays.numbers(sample_weight, "sample_weight", network.dtype)
            self._weights = arrays.readable(weights)
            self.struct.sample_weights = arrays.describe_all([self._weights])

    def _read_targets(self, trainer: Trainer, y: Any) -> list[np.ndarray]:
        outputs = trainer.network.outputs
        if len(outputs) == 1:
            several = [y]
        elif isinstance(y, (list, tuple)) and len(y) == len(outputs):
            several = list(y)
        else:
            raise ShapeError(f"targets y: a list of {len(outputs)}, one for each output")
        rules = trainer.losses * len(outputs) if len(trainer.losses) == 1 else trainer.losses
        targets = []
        for rule, value in zip(rules, several):
            is_class = isinstance(rule, loss_rules.SparseCategoricalCrossentropy)
            array = arrays.numbers(value, "y", trainer.network.dtype, integral=is_class)
            targets.append(arrays.readable(array))
        return targets


# --- what Network offers -----------------------------------------------------------------------


def predict(network: Network, x: Any, batch_size: int, options: dict[str, Any]) -> Any:
    """``network(x)`` in batches."""
    size = integer(batch_size, "batch_size")
    if size < 1:
        raise InvalidArgumentError(f"batch_size must be at least 1, got {size}")
    inputs = list(x) if len(network.inputs) > 1 and not isinstance(x, dict) else x
    several = list(inputs.values()) if isinstance(inputs, dict) else inputs
    first = np.asarray(several[0] if len(network.inputs) > 1 or isinstance(x, dict) else x)
    rows = len(first) if first.ndim else 0
    parts = []
    for start in range(0, max(rows, 1), size):
        cut = slice(start, start + size)
        parts.append(network(_cut(inputs, cut, network), **_cut_options(options, cut)))
    return _joined(parts)


def _cut(inputs: Any, cut: slice, network: Network) -> Any:
    if isinstance(inputs, dict):
        return {name: np.asarray(value)[cut] for name, value in inputs.items()}
    if len(network.inputs) > 1:
        return [np.asarray(value)[cut] for value in inputs]
    return np.asarray(inputs)[cut]


def _cut_options(options: dict[str, Any], cut: slice) -> dict[str, Any]:
    """The options of a call for some of the rows."""
    mine = dict(options)
    for name in ("lengths", "mask"):
        if mine.get(name) is not None:
            mine[name] = np.asarray(mine[name])[cut]
    if mine.get("initial_state") is not None:
        mine["initial_state"] = [
            tuple(None if part is None else np.asarray(part)[cut] for part in group)
            for group in mine["initial_state"]
        ]
    return mine


def _joined(parts: list[Any]) -> Any:
    """Arrays, or lists and tuples of them, one below the other."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts) if len(parts) > 1 else first
    return type(first)(_joined([part[index] for part in parts]) for index in range(len(first)))
