"""Random Keras models with their inputs and outputs, written by the real Keras.

Runs in an environment of its own (Keras 3, or the Keras 2 of TensorFlow 2.x), without Carousel:

    python keras_models.py make FOLDER --count 100 --seed 1     models, in every kind of file
    python keras_models.py verify FOLDER                        loads what Carousel wrote there

``make`` leaves ``NNNN.json`` (what there is), ``NNNN.npz`` (inputs and outputs) and the models'
files; ``check.py`` loads them here and writes ``NNNN.back.*``; ``verify`` loads those in Keras
again, compares, and goes on training them.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
if "KERAS_BACKEND" not in os.environ:
    os.environ["KERAS_BACKEND"] = "torch"

import command_line
import numpy as np

try:
    import keras

    if int(keras.__version__.split(".")[0]) < 3:
        raise ImportError
    TF_KERAS = False
    VERSION = keras.__version__
except ImportError:
    import tensorflow
    from tensorflow import keras  # type: ignore[no-redef]

    TF_KERAS = True
    VERSION = tensorflow.__version__

L = keras.layers
#: The Keras of TensorFlow 2.12 and later has the new files; 2.10 has not.
HAS_NEW_FILES = not TF_KERAS or int(VERSION.split(".")[1]) >= 14
TIME = 6
VOCABULARY = 11


class Maker:
    """Grows one random model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.masks = self.chance(0.3)
        self.count = 0

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def units(self) -> int:
        return self.random.choice([1, 2, 3, 4, 5, 6, 8, 9, 16, 17])

    def name(self) -> dict[str, str]:
        """Sometimes a name of the user's own, with the letters that make trouble."""
        if not self.chance(0.3):
            return {}
        self.count += 1
        letters = ["enc", "a b", "λ", "x-1", "layer", "Z", "10"]
        if TF_KERAS:  # names of scopes in TensorFlow 1 and 2
            letters = ["enc", "x-1", "layer", "Z", "w.h5", "B10"]
        return {"name": f"{self.random.choice(letters)}_{self.count}"}

    # --- recurrent layers

    def cell_options(self, kind: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.chance(0.2):
            options["use_bias"] = False
        if self.chance(0.2):
            options["activation"] = self.random.choice(["relu", "linear", "softsign", "elu"])
        if kind != "SimpleRNN" and self.chance(0.2):
            options["recurrent_activation"] = "hard_sigmoid"
        if kind == "GRU" and self.chance(0.4):
            options["reset_after"] = False
        if self.chance(0.1):
            options["dropout"] = 0.2
        if self.chance(0.1):
            options["recurrent_dropout"] = 0.1
        return options

    def kind(self) -> str:
        return self.random.choice(["LSTM", "LSTM", "LSTM", "GRU", "SimpleRNN"])

    def plain_recurrent(self, sequences: bool, units: int | None = None, **options: Any) -> Any:
        kind = options.pop("kind", None) or self.kind()
        options = {**self.cell_options(kind), **self.name(), **options}
        return getattr(L, kind)(units or self.units(), return_sequences=sequences, **options)

    def recurrent(self, sequences: bool) -> Any:
        choice = self.random.random()
        if choice < 0.45:
            if self.chance(0.15):
                return self.plain_recurrent(sequences, go_backwards=True)
            return self.plain_recurrent(sequences)
        if choice < 0.75:
            merge = self.random.choice(["concat", "sum", "mul", "ave"])
            units = self.units()
            forward = self.plain_recurrent(sequences, units)
            if self.chance(0.3):
                other = self.units() if merge == "concat" else units
                backward = self.plain_recurrent(sequences, other, go_backwards=True)
                return L.Bidirectional(forward, merge, backward_layer=backward, **self.name())
            return L.Bidirectional(forward, merge_mode=merge, **self.name())
        cells = []
        for _ in range(self.random.choice([1, 1, 2, 3])):
            kind = self.kind()
            cells.append(getattr(L, kind + "Cell")(self.units(), **self.cell_options(kind)))
        cell = cells[0] if len(cells) == 1 else cells
        if len(cells) > 1 and self.chance(0.5):
            cell = L.StackedRNNCells(cells)
        backwards = {"go_backwards": True} if self.chance(0.15) else {}
        return L.RNN(cell, return_sequences=sequences, **backwards, **self.name())

    # --- other layers

    def activation(self) -> str:
        return self.random.choice(
            ["relu", "tanh", "sigmoid", "elu", "selu", "softplus", "softsign", "gelu", "swish"]
        )

    def anywhere(self) -> Any:
        """A layer for sequences and vectors that leaves masks as they are."""
        r = self.random
        makers = [
            lambda: L.Dense(
                self.units(),
                activation=r.choice([None, self.activation()]),
                use_bias=self.chance(0.8),
                **self.name(),
            ),
            lambda: L.Dense(self.units(), activation="softmax"),
            lambda: L.Dropout(0.3, **self.name()),
            lambda: L.GaussianNoise(0.1),
            lambda: L.Activation(self.activation(), **self.name()),
            lambda: L.LayerNormalization(
                epsilon=r.choice([1e-3, 1e-5]), center=self.chance(0.7), scale=self.chance(0.7)
            ),
            lambda: L.BatchNormalization(scale=self.chance(0.7), center=self.chance(0.7)),
            lambda: L.LeakyReLU(),
            lambda: L.ELU(r.choice([1.0, 0.7])),
            lambda: L.ReLU(max_value=r.choice([None, 4.0]), negative_slope=r.choice([0.0, 0.2])),
        ]
        return r.choice(makers)()

    def on_sequence(self) -> Any:
        r = self.random
        makers = [
            lambda: L.TimeDistributed(L.Dense(self.units(), activation="relu"), **self.name()),
            lambda: L.TimeDistributed(
                keras.Sequential(
                    [
                        L.Dense(self.units(), activation="tanh"),
                        L.Dropout(0.1),
                        L.Dense(self.units()),
                    ]
                )
            ),
            lambda: L.SpatialDropout1D(0.2),
        ]
        if not self.masks:
            makers += [
                lambda: L.Conv1D(
                    self.units(),
                    r.choice([1, 2, 3]),
                    padding=r.choice(["valid", "same", "causal"]),
                    activation=r.choice([None, "relu"]),
                    use_bias=self.chance(0.8),
                    **self.name(),
                ),
                lambda: L.MaxPooling1D(2, padding="same"),
                lambda: L.AveragePooling1D(2, strides=1, padding="same"),
                lambda: L.ZeroPadding1D(r.choice([1, (0, 2)])),
                lambda: L.UpSampling1D(2),
                lambda: L.Permute((2, 1)),
                lambda: L.PReLU(shared_axes=[1]),
            ]
        return r.choice(makers)()

    def to_vector(self) -> list[Any]:
        if self.chance(0.6):
            return [self.recurrent(False)]
        if self.masks:
            return [self.plain_recurrent(False)]
        return [self.random.choice([L.Flatten, L.GlobalMaxPooling1D, L.GlobalAveragePooling1D])()]

    def stack(self, depth: int) -> list[Any]:
        """Layers from a sequence to a sequence."""
        result = [self.recurrent(True)]
        for _ in range(self.random.randrange(depth)):
            maker = self.random.choice(
                [
                    lambda: self.recurrent(True),
                    lambda: self.recurrent(True),
                    self.anywhere,
                    self.on_sequence,
                ]
            )
            result.append(maker())
        self.random.shuffle(result)
        return result

    def head(self) -> list[Any]:
        result = []
        while self.chance(0.4):
            result.append(self.anywhere())
        if self.chance(0.15) and not self.masks:
            result += [L.RepeatVector(3), self.recurrent(True)]
        return result

    def beginning(self) -> tuple[Any, list[Any]]:
        """An input, and the layers that make a sequence of it."""
        time = self.random.choice([TIME, None])
        if not self.masks:
            time = TIME
        if self.chance(0.3):
            given = keras.Input((time,), dtype="int32", **self.name())
            return given, [L.Embedding(VOCABULARY, self.units(), mask_zero=self.masks)]
        given = keras.Input((time, self.random.choice([1, 2, 3, 5, 8])), **self.name())
        return given, [L.Masking(2.0)] if self.masks else []

    # --- models

    def sequential(self) -> Any:
        given, first = self.beginning()
        layers = first + self.stack(4)
        if self.chance(0.25):
            cut = self.random.randrange(len(first), len(layers))
            layers[cut:] = [keras.Sequential(layers[cut:])]
        if self.chance(0.6):
            layers += self.to_vector() + self.head()
        return keras.Sequential([given, *layers])

    @staticmethod
    def apply(layers: list[Any], tensor: Any) -> Any:
        for layer in layers:
            tensor = layer(tensor)
        return tensor

    def branches(self) -> Any:
        given, first = self.beginning()
        start = self.apply(first, given)
        width = self.units()
        ways = []
        for _ in range(self.random.choice([2, 2, 3])):
            way = self.apply(self.stack(2) if self.chance(0.6) else [], start)
            ways.append(self.plain_recurrent(True, width)(way))
        merge = self.random.choice(["Add", "Concatenate", "Average", "Multiply", "Maximum"])
        joined = getattr(L, merge)()(ways)
        if self.chance(0.5):  # a residual
            inner = self.plain_recurrent(True, joined.shape[-1])(joined)
            joined = L.Add(**self.name())([joined, inner])
        outputs = [self.apply(self.to_vector() + self.head(), joined)]
        if self.chance(0.4):
            outputs.append(self.plain_recurrent(True)(joined))
        return keras.Model(given, outputs)

    def several_inputs(self) -> Any:
        ends = [self.beginning() for _ in range(2)]
        vectors = [
            self.apply(first + self.stack(2) + self.to_vector(), given) for given, first in ends
        ]
        extra = keras.Input((self.units(),))
        joined = L.Concatenate()([*vectors, extra])
        output = self.apply([L.Dense(self.units()), *self.head()], joined)
        return keras.Model([*(given for given, _ in ends), extra], output)

    def encoder_decoder(self) -> Any:
        given, first = self.beginning()
        start = self.apply(first, given)
        units, kind = self.units(), self.kind()
        if self.chance(0.4):
            start = self.plain_recurrent(True)(start)
        if self.chance(0.3):
            encoder = L.Bidirectional(
                self.plain_recurrent(True, units, kind=kind, return_state=True)
            )
            _, *states = encoder(start)
            half = len(states) // 2
            states = [L.Concatenate()([a, b]) for a, b in zip(states[:half], states[half:])]
            units *= 2
        else:
            encoder = self.plain_recurrent(self.chance(0.5), units, kind=kind, return_state=True)
            _, *states = encoder(start)
        if self.chance(0.3):
            states = [L.Dense(units, activation="tanh")(state) for state in states]
        target = keras.Input((4, 3))
        if self.chance(0.3):
            outer = L.Bidirectional(self.plain_recurrent(True, units, kind=kind))
            decoded = outer(target, initial_state=[*states, *states])
        else:
            decoder = self.plain_recurrent(True, units, kind=kind, return_state=self.chance(0.5))
            decoded = decoder(target, initial_state=states)
            if isinstance(decoded, (list, tuple)):
                decoded = decoded[0]
        outputs = [L.Dense(self.units())(decoded)]
        if self.chance(0.3):
            outputs.append(states[-1])
        return keras.Model([given, target], outputs)

    def states_as_outputs(self) -> Any:
        given, first = self.beginning()
        start = self.apply(first, given)
        outputs = list(self.plain_recurrent(True, return_state=True)(start))
        self.random.shuffle(outputs)
        return keras.Model(given, outputs[: self.random.randrange(1, 4)])

    def shared(self) -> Any:
        """Siamese: the same layers, or the same model, over two inputs."""
        width = self.units()
        ends = [keras.Input((TIME, width)) for _ in range(2)]
        self.masks = False
        layers = self.stack(2) + self.to_vector()
        if self.chance(0.6):
            inner = keras.Sequential([keras.Input((TIME, width)), *layers])
            if self.chance(0.4):
                point = keras.Input((TIME, width))
                inner = keras.Model(point, self.apply(layers, point), name="tower")
            vectors = [inner(end) for end in ends]
        else:
            vectors = [self.apply(layers, end) for end in ends]
        merge = self.random.choice(["Subtract", "Concatenate", "Multiply"])
        return keras.Model(ends, L.Dense(2)(getattr(L, merge)()(vectors)))

    def nested_encoder_decoder(self) -> Any:
        """Encoder and decoder as models of their own, as the tutorials have it."""
        units = self.units()
        given = keras.Input((TIME, 3))
        _, *states = L.LSTM(units, return_state=True)(given)
        encoder = keras.Model(given, states, name="encoder")
        tokens = keras.Input((4,), dtype="int32")
        entering = [keras.Input((units,)) for _ in range(2)]
        embedded = L.Embedding(VOCABULARY, 3)(tokens)
        decoded = L.LSTM(units, return_sequences=True)(embedded, initial_state=entering)
        decoder = keras.Model([tokens, *entering], L.Dense(2)(decoded), name="decoder")
        source, target = keras.Input((TIME, 3)), keras.Input((4,), dtype="int32")
        return keras.Model([source, target], decoder([target, *encoder(source)]))

    def model(self) -> Any:
        makers = [
            self.sequential,
            self.sequential,
            self.branches,
            self.several_inputs,
            self.encoder_decoder,
            self.encoder_decoder,
            self.states_as_outputs,
            self.shared,
            self.nested_encoder_decoder,
        ]
        return self.random.choice(makers)()


def fill(model: Any, rng: np.random.Generator) -> None:
    """Random numbers for every weight, biases included."""
    for weight in model.weights:
        name = getattr(weight, "path", None) or weight.name
        if "seed" in name:
            continue
        value = rng.normal(size=tuple(weight.shape)) * 0.35
        weight.assign((np.abs(value) + 0.3 if "variance" in name else value).astype("float32"))


def inputs_for(model: Any, rng: np.random.Generator, batch: int = 3) -> list[np.ndarray]:
    arrays = []
    for tensor in model.inputs:
        shape = [batch, *(TIME if extent is None else extent for extent in tensor.shape[1:])]
        if "int" in str(tensor.dtype):
            array = rng.integers(1, VOCABULARY, size=shape).astype("int32")
            array[0, -2:] = 0
        else:
            array = rng.normal(size=shape).astype("float32")
            if len(shape) == 3 and shape[1] > 2:
                array[0, -2:] = 2.0
                array[1, 1] = 2.0
        arrays.append(array)
    return arrays


def run(model: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    given = arrays if len(arrays) > 1 else arrays[0]
    result = model.predict(given, verbose=0)
    flat = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(part, dtype="float32") for part in flat]


def make(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made, failures, attempt = 0, 0, seed * 1_000_000
    while made < count:
        attempt += 1
        keras.backend.clear_session()
        rng = np.random.default_rng(attempt)
        try:
            model = Maker(attempt).model()
            fill(model, rng)
            arrays = inputs_for(model, rng)
            outputs = run(model, arrays)
        except Exception as error:  # Keras itself refuses the combination
            failures += 1
            if failures > 20 * count:
                raise
            if os.environ.get("VERBOSE"):
                print(f"attempt {attempt}: {type(error).__name__}: {str(error)[:300]}")
            continue
        if not all(np.isfinite(part).all() for part in outputs):
            continue
        stem = folder / f"{made:04}"
        named = {f"input{i}": array for i, array in enumerate(arrays)}
        named.update({f"output{i}": array for i, array in enumerate(outputs)})
        np.savez(f"{stem}.npz", **named)
        files = {}
        for suffix, layout in [
            (".h5", "whole"),
            (".keras", "whole"),
            (".weights.h5", "weights"),
            (".wts.h5", "weights"),
        ]:
            try:
                if suffix == ".h5":
                    model.save(f"{stem}{suffix}")
                elif suffix == ".wts.h5":
                    if not TF_KERAS:
                        continue
                    model.save_weights(f"{stem}{suffix}")
                elif not HAS_NEW_FILES:
                    continue
                elif suffix == ".keras":
                    model.save(f"{stem}{suffix}")
                else:
                    model.save_weights(f"{stem}{suffix}")
            except Exception as error:
                print(f"{stem}{suffix}: Keras cannot save it: {str(error)[:200]}")
                continue
            files[stem.name + suffix] = layout
        Path(f"{stem}.config.json").write_text(model.to_json())
        about = {"framework": f"{'tf.keras' if TF_KERAS else 'keras'} {VERSION}", "files": files}
        Path(f"{stem}.json").write_text(json.dumps(about))
        made += 1
    print(f"{made} models; Keras itself refused {failures} more")


def refuses_its_own(file: Path, reason: str) -> bool:
    """Whether Keras cannot load the file that it wrote itself, for the same reason.

    So tf.keras's HDF5 files of a Bidirectional whose halves have different numbers of arrays.
    """
    if not file.exists():
        return False
    keras.backend.clear_session()
    try:
        if file.name.endswith((".weights.h5", ".wts.h5")):
            config = file.with_name(f"{file.name.split('.')[0]}.config.json").read_text()
            keras.models.model_from_json(config).load_weights(str(file))
        else:
            keras.models.load_model(str(file), compile=False)
    except Exception as error:
        return str(error) == reason
    return False


def verify(folder: Path) -> int:
    """Loads what Carousel wrote into Keras: the same numbers, and training goes on."""
    counts = {"loaded": 0, "trained": 0, "for Keras 3 only": 0, "without a form": 0, "own": 0}
    failures = []
    for path in sorted(folder.glob("*.json")):
        if path.name.count(".") > 1:
            continue
        with np.load(path.with_suffix(".npz")) as arrays:
            names = sorted(name for name in arrays if name.startswith("input"))
            given = [arrays[name] for name in names]
        back = path.with_suffix(".back.npz")
        if not back.exists():
            continue
        with np.load(back) as arrays:
            expected = [arrays[name] for name in sorted(arrays)]
        config = path.with_suffix(".back.config.json").read_text()
        if TF_KERAS and '"initial_state"' in config:
            counts["for Keras 3 only"] += 1
            continue
        for file in sorted(folder.glob(f"{path.stem}.back*")):
            if file.suffix not in (".h5", ".keras"):
                continue
            if file.suffix == ".keras" and not HAS_NEW_FILES:
                continue
            if '"class_name"' not in config:  # Keras has no words for it, only arrays
                counts["without a form"] += 1
                continue
            keras.backend.clear_session()
            try:
                if file.name.endswith(".weights.h5"):
                    if not HAS_NEW_FILES:
                        continue
                    model = keras.models.model_from_json(config)
                    model.load_weights(str(file))
                elif file.name.endswith(".wts.h5"):
                    model = keras.models.model_from_json(config)
                    model.load_weights(str(file))
                else:
                    model = keras.models.load_model(str(file), compile=False)
                got = run(model, given)
                worst = max(float(np.abs(a - b).max()) for a, b in zip(got, expected))
                assert len(got) == len(expected)
                assert worst <= 1e-5 * max(1.0, *(float(np.abs(b).max()) for b in expected)), worst
                counts["loaded"] += 1
                if file.suffix != ".keras" and counts["loaded"] % 5 == 0:
                    model.compile(optimizer="sgd", loss="mse")
                    model.fit(
                        given if len(given) > 1 else given[0],
                        expected if len(expected) > 1 else expected[0],
                        epochs=1,
                        verbose=0,
                    )
                    counts["trained"] += 1
            except Exception as error:
                if refuses_its_own(folder / file.name.replace(".back", ""), str(error)):
                    counts["own"] += 1
                    continue
                failures.append(f"{file.name}: {type(error).__name__}: {str(error)[:400]}")
    for failure in failures:
        print(failure)
    print(
        f"{VERSION}: {counts['loaded']} files loaded with the same numbers, "
        f"{counts['trained']} trained on, {len(failures)} failed; "
        f"{counts['for Keras 3 only']} models have a form that only Keras 3 reads; "
        f"{counts['without a form']} files of models without a form in Keras, "
        f"{counts['own']} that it refuses in its own writing, too, were left out"
    )
    return len(failures)


if __name__ == "__main__":
    command_line.run(__doc__, make, verify)
