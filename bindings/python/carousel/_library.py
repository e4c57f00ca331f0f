"""libcarousel through ctypes: the only module that knows that there is C.

Finds the library, checks its version, and binds every function of ``carousel.h`` once, with its
argument types. A function that returns a status raises the exception of that status instead.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from functools import lru_cache
from typing import Any, Callable

from .errors import InvalidArgumentError, LibraryError, error_for_status

#: The version of carousel.h that this module is written against.
HEADER_VERSION = (1, 0, 0)

FLOAT32, FLOAT64, INT32, INT64 = range(4)

# --- the structs of carousel.h, in its order ---------------------------------------------------


class Options(Structure):
    """A struct that begins with its own size."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.struct_size = ctypes.sizeof(self)


class Array(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("dtype", c_int),
        ("rank", c_int32),
        ("shape", c_int64 * 4),
        ("strides", c_int64 * 4),
    ]


class LoadOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("format", c_char_p),
        ("config_json", c_char_p),
        ("largest_file", c_uint64),
        ("allow_non_finite", c_int32),
        ("precision", c_int),
        ("untrusted", c_int32),
        ("untrusted_seconds", c_int32),
        ("untrusted_memory", c_uint64),
    ]


class WeightsOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("format", c_char_p),
        ("prefix", c_char_p),
        ("forget_bias", POINTER(c_double)),
        ("forget_bias_count", c_size_t),
        ("largest_file", c_uint64),
        ("allow_non_finite", c_int32),
        ("untrusted", c_int32),
        ("untrusted_seconds", c_int32),
        ("reserved", c_int32),
        ("untrusted_memory", c_uint64),
    ]


class SaveOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("format", c_char_p),
        ("prefix", c_char_p),
        ("compression", c_int32),
        ("reserved", c_int32),
    ]


class NetworkInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("dtype", c_int),
        ("is_stateful", c_int32),
        ("input_count", c_size_t),
        ("output_count", c_size_t),
        ("layer_count", c_size_t),
        ("state_count", c_size_t),
        ("parameter_count", c_size_t),
        ("weight_count", c_int64),
        ("precision", c_int),
        ("reserved", c_int32),
    ]


class SignalInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("is_ids", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * 4),
        ("vocabulary", c_int64),
    ]


class LayerInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_char_p),
        ("is_trainable", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * 4),
        ("weight_count", c_int64),
    ]


class StateInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("layer_name", c_char_p),
        ("layer", c_size_t),
        ("name", c_char_p),
        ("direction", c_int32),
        ("reserved", c_int32),
        ("width", c_int64),
    ]


class RunOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("lengths", c_void_p),
        ("mask", c_void_p),
        ("mask_batch_stride", c_int64),
        ("mask_time_stride", c_int64),
        ("padding", c_int),
        ("time_major", c_int32),
        ("initial_states", POINTER(Array)),
        ("initial_state_count", c_size_t),
        ("final_states", POINTER(Array)),
        ("final_state_count", c_size_t),
        ("threads", c_int32),
        ("training", c_int32),
        ("seed", c_uint64),
    ]


class StreamInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("batch", c_int64),
        ("input_count", c_int64),
        ("output_count", c_int64),
        ("state_size", c_size_t),
    ]


class Activation(Structure):
    _fields_ = [
        ("kind", c_int),
        ("has_maximum", c_int32),
        ("slope", c_double),
        ("maximum", c_double),
        ("threshold", c_double),
        ("alpha", c_double),
    ]


class InputOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("features", c_int64),
        ("time", c_int64),
        ("is_ids", c_int32),
        ("reserved", c_int32),
        ("batch", c_int64),
    ]


class DenseOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("units", c_int64),
        ("activation", Activation),
        ("no_bias", c_int32),
        ("reserved", c_int32),
    ]


class EmbeddingOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("vocabulary", c_int64),
        ("dimension", c_int64),
        ("mask_zero", c_int32),
        ("reserved", c_int32),
    ]


class RecurrentOptions(Structure):
    _fields_ = [
        ("return_sequences", c_int32),
        ("go_backwards", c_int32),
        ("stateful", c_int32),
        ("bidirectional", c_int),
        ("padding", c_int),
        ("learn_initial_state", c_int32),
        ("dropout", c_double),
        ("recurrent_dropout", c_double),
    ]


class SimpleRNNOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("units", c_int64),
        ("recurrent", RecurrentOptions),
        ("activation", Activation),
        ("no_bias", c_int32),
        ("reserved", c_int32),
    ]


class LSTMOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("units", c_int64),
        ("recurrent", RecurrentOptions),
        ("activation", Activation),
        ("output_activation", Activation),
        ("recurrent_activation", Activation),
        ("no_bias", c_int32),
        ("no_input_gate", c_int32),
        ("no_forget_gate", c_int32),
        ("no_output_gate", c_int32),
        ("couple_gates", c_int32),
        ("peepholes", c_int32),
        ("dense_peepholes", c_int32),
        ("layer_norm", c_int32),
        ("layer_norm_epsilon", c_double),
        ("projection_size", c_int64),
        ("projection_clip", c_double),
        ("cell_clip", c_double),
        ("gate_clip", c_double),
        ("zoneout", c_double),
        ("truncate_gates", c_int32),
        ("reserved", c_int32),
    ]


class GRUOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("units", c_int64),
        ("recurrent", RecurrentOptions),
        ("activation", Activation),
        ("recurrent_activation", Activation),
        ("no_bias", c_int32),
        ("reset_before", c_int32),
    ]


class NormalizationOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epsilon", c_double),
        ("momentum", c_double),
        ("no_scale", c_int32),
        ("no_center", c_int32),
        ("rms", c_int32),
        ("reserved", c_int32),
    ]


class Conv1DOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("filters", c_int64),
        ("kernel_size", c_int64),
        ("stride", c_int64),
        ("dilation", c_int64),
        ("groups", c_int64),
        ("activation", Activation),
        ("padding", c_int),
        ("no_bias", c_int32),
    ]


class Pooling1DOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int),
        ("pad_to_same", c_int32),
        ("pool_size", c_int64),
        ("stride", c_int64),
    ]


class ParameterInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("layer", c_size_t),
        ("dtype", c_int),
        ("rank", c_int32),
        ("shape", c_int64 * 4),
        ("count", c_int64),
        ("offset", c_int64),
        ("data", c_void_p),
        ("is_trainable", c_int32),
        ("reserved", c_int32),
    ]


class RecordOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("run", POINTER(RunOptions)),
        ("gradient_flow", c_int32),
        ("reserved", c_int32),
    ]


METRICS = 8


class Loss(Structure):
    _fields_ = [
        ("kind", c_int),
        ("from_logits", c_int32),
        ("delta", c_double),
        ("weight", c_double),
    ]


class Optimizer(Structure):
    _fields_ = [
        ("kind", c_int),
        ("nesterov", c_int32),
        ("centered", c_int32),
        ("reserved", c_int32),
        ("learning_rate", c_double),
        ("momentum", c_double),
        ("rho", c_double),
        ("beta_1", c_double),
        ("beta_2", c_double),
        ("epsilon", c_double),
        ("weight_decay", c_double),
    ]


class Schedule(Structure):
    _fields_ = [
        ("kind", c_int),
        ("counts_epochs", c_int32),
        ("warmup", c_int64),
        ("interval", c_int64),
        ("factor", c_double),
        ("minimum", c_double),
        ("patience", c_int64),
        ("cooldown", c_int64),
        ("minimum_delta", c_double),
    ]


class TrainerOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("losses", POINTER(Loss)),
        ("loss_count", c_size_t),
        ("metrics", POINTER(c_int)),
        ("metric_count", c_size_t),
        ("optimizer", Optimizer),
        ("schedule", Schedule),
        ("clip_norm", c_double),
        ("clip_value", c_double),
        ("l1", c_double),
        ("l2", c_double),
        ("class_weights", POINTER(c_double)),
        ("class_weight_count", c_size_t),
        ("seed", c_uint64),
        ("threads", c_int32),
        ("reserved", c_int32),
        ("micro_batch", c_int64),
        ("segment", c_int64),
        ("truncate_every", c_int64),
        ("truncate_through", c_int64),
        ("eligibility_traces", c_int32),
        ("reserved_2", c_int32),
    ]


class TrainingData(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("inputs", POINTER(Array)),
        ("input_count", c_size_t),
        ("targets", POINTER(Array)),
        ("target_count", c_size_t),
        ("lengths", c_void_p),
        ("mask", c_void_p),
        ("sample_weights", POINTER(Array)),
    ]


class StepResult(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_int64),
        ("loss", c_double),
        ("gradient_norm", c_double),
        ("metrics", c_double * METRICS),
    ]


class FitEvent(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epoch", c_int64),
        ("batch", c_int64),
        ("batch_count", c_int64),
        ("step", c_int64),
        ("is_end_of_epoch", c_int32),
        ("has_validation", c_int32),
        ("loss", c_double),
        ("metrics", c_double * METRICS),
        ("validation_loss", c_double),
        ("validation_metrics", c_double * METRICS),
        ("gradient_norm", c_double),
        ("learning_rate", c_double),
    ]


GradientCallback = CFUNCTYPE(c_int32, c_void_p, c_size_t, c_void_p)
FitCallback = CFUNCTYPE(c_int32, POINTER(FitEvent), c_void_p)


class FitOptions(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epochs", c_int64),
        ("batch_size", c_int64),
        ("no_shuffle", c_int32),
        ("early_stopping", c_int32),
        ("patience", c_int64),
        ("minimum_delta", c_double),
        ("keep_last", c_int32),
        ("reserved", c_int32),
        ("validation_split", c_double),
        ("callback", FitCallback),
        ("context", c_void_p),
    ]


class TrainerInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_int64),
        ("epoch", c_int64),
        ("row", c_int64),
        ("learning_rate", c_double),
        ("base_learning_rate", c_double),
        ("best_epoch", c_int64),
        ("is_stopped_early", c_int32),
        ("reserved", c_int32),
        ("held_size", c_size_t),
        ("history_count", c_size_t),
    ]


class QuantizationInfo(Options):
    _fields_ = [
        ("struct_size", c_size_t),
        ("precision", c_int),
        ("reserved", c_int32),
        ("weight_count", c_int64),
        ("size", c_size_t),
        ("max_error", c_double),
        ("rms_error", c_double),
        ("relative_error", c_double),
    ]


class OutputError(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_error", c_double),
        ("rms_error", c_double),
        ("max_reference", c_double),
        ("rms_reference", c_double),
        ("relative_error", c_double),
    ]


# --- the functions -----------------------------------------------------------------------------

_handle = c_void_p
_new_handle = POINTER(c_void_p)
_arrays = POINTER(Array)
_text = (c_void_p, c_size_t, POINTER(c_size_t))
_builder = (_handle, c_char_p)

#: Functions that return a status, with their argument types.
_CHECKED: dict[str, tuple[Any, ...]] = {
    "carousel_build_info": _text,
    "carousel_network_load": (c_char_p, POINTER(LoadOptions), _new_handle),
    "carousel_network_load_weights": (_handle, c_char_p, POINTER(WeightsOptions)),
    "carousel_network_save": (_handle, c_char_p, POINTER(SaveOptions)),
    "carousel_inspect": (c_char_p, POINTER(LoadOptions), *_text),
    "carousel_network_from_json": (c_char_p, c_int, c_uint64, _new_handle),
    "carousel_network_to_json": (_handle, *_text),
    "carousel_network_summary": (_handle, *_text),
    "carousel_network_copy": (_handle, _new_handle),
    "carousel_network_get_info": (_handle, POINTER(NetworkInfo)),
    "carousel_network_get_input": (_handle, c_size_t, POINTER(SignalInfo)),
    "carousel_network_get_output": (_handle, c_size_t, POINTER(SignalInfo)),
    "carousel_network_get_layer": (_handle, c_size_t, POINTER(LayerInfo)),
    "carousel_network_get_state": (_handle, c_size_t, POINTER(StateInfo)),
    "carousel_network_run": (
        *(_handle, _arrays, c_size_t, _arrays, c_size_t),
        POINTER(RunOptions),
    ),
    "carousel_network_get_output_shape": (
        *(_handle, c_size_t, c_int64, POINTER(c_int64), c_size_t),
        _arrays,
    ),
    "carousel_network_reset_states": (_handle,),
    "carousel_stream_create": (_handle, c_int64, _new_handle),
    "carousel_stream_copy": (_handle, _new_handle),
    "carousel_stream_get_info": (_handle, POINTER(StreamInfo)),
    "carousel_stream_step": (_handle, c_void_p, c_void_p),
    "carousel_stream_steps": (_handle, c_void_p, c_int64, c_void_p),
    "carousel_stream_step_arrays": (_handle, _arrays, c_size_t, _arrays, c_size_t),
    "carousel_stream_reset": (_handle,),
    "carousel_stream_set_threads": (_handle, c_int32),
    "carousel_stream_snapshot": (_handle, c_void_p, c_size_t),
    "carousel_stream_restore": (_handle, c_void_p, c_size_t),
    "carousel_stream_update_weights": (_handle,),
    "carousel_stream_save": (_handle, c_char_p, POINTER(SaveOptions)),
    "carousel_stream_load": (_handle, c_char_p),
    "carousel_builder_create": (c_char_p, _new_handle),
    "carousel_builder_read": (_handle, POINTER(c_char_p), c_size_t),
    "carousel_builder_distribute": (_handle,),
    "carousel_builder_share": _builder,
    "carousel_builder_set_backward": _builder,
    "carousel_builder_add_output": _builder,
    "carousel_builder_freeze": _builder,
    "carousel_builder_build": (_handle, c_int, c_uint64, _new_handle),
    "carousel_builder_add_input": (*_builder, POINTER(InputOptions)),
    "carousel_builder_add_dense": (*_builder, POINTER(DenseOptions)),
    "carousel_builder_add_embedding": (*_builder, POINTER(EmbeddingOptions)),
    "carousel_builder_add_simple_rnn": (*_builder, POINTER(SimpleRNNOptions)),
    "carousel_builder_add_lstm": (*_builder, POINTER(LSTMOptions)),
    "carousel_builder_add_gru": (*_builder, POINTER(GRUOptions)),
    "carousel_builder_add_activation": (*_builder, POINTER(Activation)),
    "carousel_builder_add_prelu": (*_builder, c_int32),
    "carousel_builder_add_masking": (*_builder, c_double),
    "carousel_builder_add_dropout": (*_builder, c_int, c_double),
    "carousel_builder_add_batch_normalization": (*_builder, POINTER(NormalizationOptions)),
    "carousel_builder_add_layer_normalization": (*_builder, POINTER(NormalizationOptions)),
    "carousel_builder_add_conv1d": (*_builder, POINTER(Conv1DOptions)),
    "carousel_builder_add_pooling1d": (*_builder, POINTER(Pooling1DOptions)),
    "carousel_builder_add_global_pooling1d": (*_builder, c_int, c_int32),
    "carousel_builder_add_flatten": _builder,
    "carousel_builder_add_reshape": (*_builder, POINTER(c_int64), c_size_t),
    "carousel_builder_add_permute": _builder,
    "carousel_builder_add_repeat_vector": (*_builder, c_int64),
    "carousel_builder_add_zero_padding1d": (*_builder, c_int64, c_int64),
    "carousel_builder_add_up_sampling1d": (*_builder, c_int64),
    "carousel_builder_add_final_state": (*_builder, c_int32),
    "carousel_builder_add_merge": (*_builder, c_int),
    "carousel_network_get_parameter": (_handle, c_size_t, POINTER(ParameterInfo)),
    "carousel_network_find_parameter": (_handle, c_char_p, POINTER(ParameterInfo)),
    "carousel_network_get_parameter_buffer": (_handle, POINTER(c_void_p), POINTER(c_size_t)),
    "carousel_network_parameters_changed": (_handle,),
    "carousel_network_read_parameter": (_handle, c_size_t, c_void_p, c_size_t),
    "carousel_network_initialize": (_handle, c_uint64),
    "carousel_network_record": (
        *(_handle, _arrays, c_size_t, POINTER(RecordOptions)),
        _new_handle,
    ),
    "carousel_network_get_tape_size": (
        *(_handle, c_int64, POINTER(c_int64), c_size_t),
        POINTER(c_size_t),
    ),
    "carousel_tape_get_output": (_handle, c_size_t, _arrays),
    "carousel_tape_get_final_state": (_handle, c_size_t, _arrays),
    "carousel_tape_get_initial_state": (_handle, c_size_t, _arrays),
    "carousel_tape_backward": (_handle, _arrays, c_size_t, _arrays, c_size_t),
    "carousel_tape_get_parameter_gradients": (_handle, POINTER(c_void_p), POINTER(c_size_t)),
    "carousel_tape_get_input_gradient": (_handle, c_size_t, _arrays),
    "carousel_tape_get_initial_state_gradient": (_handle, c_size_t, _arrays),
    "carousel_tape_get_trace_shape": (_handle, c_char_p, c_int, c_int32, _arrays),
    "carousel_tape_get_trace": (_handle, c_char_p, c_int, c_int32, _arrays),
    "carousel_trainer_create": (_handle, POINTER(TrainerOptions), _new_handle),
    "carousel_trainer_step": (_handle, POINTER(TrainingData), POINTER(StepResult)),
    "carousel_trainer_compute_gradients": (
        *(_handle, POINTER(TrainingData), c_int32),
        POINTER(StepResult),
    ),
    "carousel_trainer_get_gradients": (_handle, POINTER(c_void_p), POINTER(c_size_t)),
    "carousel_trainer_apply_gradients": (_handle, POINTER(c_double)),
    "carousel_trainer_evaluate": (
        *(_handle, POINTER(TrainingData), c_int64),
        POINTER(StepResult),
    ),
    "carousel_trainer_fit": (
        *(_handle, POINTER(TrainingData), POINTER(TrainingData)),
        POINTER(FitOptions),
    ),
    "carousel_trainer_get_info": (_handle, POINTER(TrainerInfo)),
    "carousel_trainer_get_history": (
        *(_handle, c_size_t, POINTER(c_char_p), POINTER(c_double), c_size_t),
        POINTER(c_size_t),
    ),
    "carousel_trainer_set_gradient_callback": (_handle, GradientCallback, c_void_p),
    "carousel_trainer_set_learning_rate": (_handle, c_double),
    "carousel_trainer_set_trainable": (_handle, c_char_p, c_int32),
    "carousel_trainer_get_step_size": (
        *(_handle, c_int64, POINTER(c_int64), c_size_t),
        POINTER(c_size_t),
    ),
    "carousel_trainer_save": (_handle, c_char_p),
    "carousel_trainer_resume": (_handle, c_char_p),
    "carousel_set_instruction_set": (c_char_p,),
    "carousel_set_threads": (c_int32,),
    "carousel_network_quantize": (_handle, c_int, _new_handle),
    "carousel_network_get_quantization": (_handle, c_size_t, POINTER(QuantizationInfo)),
    "carousel_network_measure_error": (
        *(_handle, _handle, _arrays, c_size_t, POINTER(RunOptions)),
        *(POINTER(OutputError), c_size_t),
    ),
}

#: The others: result type, then argument types.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "carousel_last_error_message": (c_char_p,),
    "carousel_status_name": (c_char_p, c_int),
    "carousel_status_description": (c_char_p, c_int),
    "carousel_version_number": (c_int32,),
    "carousel_version_string": (c_char_p,),
    "carousel_instruction_set": (c_char_p,),
    "carousel_threads": (c_int32,),
    "carousel_network_free": (None, _handle),
    "carousel_stream_free": (None, _handle),
    "carousel_builder_free": (None, _handle),
    "carousel_tape_free": (None, _handle),
    "carousel_trainer_free": (None, _handle),
}


def file_names() -> tuple[str, ...]:
    """What the library is called on this system."""
    if sys.platform == "darwin":
        return ("libcarousel.dylib",)
    if sys.platform == "win32":
        return ("carousel.dll",)
    return ("libcarousel.so", "libcarousel.so.1")


def candidates() -> list[str]:
    """Where the library may be, best first: $CAROUSEL_LIBRARY alone if it is set; else the
    package's own folder (a wheel), then the build folder of the checkout that holds this file."""
    named = os.environ.get("CAROUSEL_LIBRARY")
    if named:
        is_folder = os.path.isdir(named)
        return [os.path.join(named, name) for name in file_names()] if is_folder else [named]
    package = os.path.dirname(os.path.realpath(__file__))
    checkout = os.path.normpath(os.path.join(package, "..", "..", ".."))
    folders = [package, os.path.join(checkout, "build")]
    return [os.path.join(folder, name) for folder in folders for name in file_names()]


def _open() -> tuple[ctypes.CDLL, str]:
    tried = []
    for path in candidates():
        if not os.path.exists(path):
            tried.append(f"  {path}: not there")
            continue
        try:
            return ctypes.CDLL(path), path
        except OSError as error:
            tried.append(f"  {path}: {error}")
    raise LibraryError(
        "libcarousel was not found. Build it (cmake -S . -B build -G Ninja && cmake --build build) "
        "or let $CAROUSEL_LIBRARY name it. Tried:\n" + "\n".join(tried)
    )


class Library:
    """The functions as attributes under their C names, each bound when it is first used."""

    path: str

    def __init__(self) -> None:
        self._cdll, self.path = _open()
        self._check_version()

    def __getattr__(self, name: str) -> Any:
        """Binds a function; from then on it is an ordinary attribute."""
        if name not in _CHECKED and name not in _PLAIN:
            raise AttributeError(name)
        try:
            function = getattr(self._cdll, name)
        except AttributeError:
            raise LibraryError(f"{self.path} has no function {name}") from None
        if name in _CHECKED:
            function.restype, function.argtypes = c_int, list(_CHECKED[name])
            function.errcheck = self._raise
        else:
            result, *arguments = _PLAIN[name]
            function.restype, function.argtypes = result, arguments
        setattr(self, name, function)
        return function

    def _check_version(self) -> None:
        found = self.carousel_version_number()
        major, minor, patch = HEADER_VERSION
        if found // 10000 != major or found < major * 10000 + minor * 100 + patch:
            raise LibraryError(
                f"{self.path} is version {self.carousel_version_string().decode()}; "
                f"this package needs {major}.{minor}.{patch} or a later {major}.x"
            )

    def _raise(self, status: int, function: Any, arguments: Any) -> int:
        if status != 0:
            message = (self.carousel_last_error_message() or b"").decode("utf-8", "replace")
            raise error_for_status(status, message)
        return status


@lru_cache(maxsize=1)
def library() -> Library:
    """libcarousel, loaded on first use."""
    return Library()


# --- handles and text --------------------------------------------------------------------------


class Handle:
    """Owns an opaque pointer; frees it when nothing refers to it any more."""

    __slots__ = ("__weakref__", "_as_parameter_", "_free", "_keeps")

    def __init__(self, pointer: int | None, free: Callable[[Any], Any], keeps: Any = None) -> None:
        self._as_parameter_ = c_void_p(pointer)
        self._free = free
        self._keeps = keeps

    def __del__(self) -> None:
        # An __init__ that failed has left no attributes.
        free, pointer = getattr(self, "_free", None), getattr(self, "_as_parameter_", None)
        if free is not None and pointer:
            free(pointer)


def make(function: Any, free: Any, *arguments: Any, keeps: Any = None) -> Handle:
    """Calls a function that stores a new handle through its last argument."""
    pointer = c_void_p()
    function(*arguments, byref(pointer))
    return Handle(pointer.value, free, keeps)


def read_text(function: Any, *arguments: Any) -> str:
    """The text of a function that ends with (buffer, capacity, length)."""
    length = c_size_t()
    function(*arguments, None, 0, byref(length))
    buffer = ctypes.create_string_buffer(length.value + 1)
    function(*arguments, buffer, length.value + 1, byref(length))
    return buffer.value.decode("utf-8", "replace")


def encode(text: str | None, what: str) -> bytes | None:
    """A C string; None stays NULL."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{what} must be a str, not {type(text).__name__}")
    if "\0" in text:
        raise InvalidArgumentError(f"{what} contains a NUL character: {text!r}")
    return text.encode("utf-8")


def encode_path(path: Any, what: str = "path") -> bytes:
    """A path as the file system's bytes."""
    try:
        encoded = os.fsencode(path)
    except TypeError:
        raise InvalidArgumentError(
            f"{what} must be a str or a path, not {type(path).__name__}"
        ) from None
    if b"\0" in encoded:
        raise InvalidArgumentError(f"{what} contains a NUL character: {path!r}")
    return encoded
