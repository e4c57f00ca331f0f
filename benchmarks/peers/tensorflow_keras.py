"""TensorFlow with Keras: keras.layers.LSTM inside tf.function (no fused kernel on processors)."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import oracle
import tensorflow as tf


def assign(weights, direction) -> None:
    kernel, recurrent, bias = weights  # gates i, f, c, o: the same order, transposed
    kernel.assign(direction.input_kernel.T)
    recurrent.assign(direction.recurrent_kernel.T)
    bias.assign(direction.bias)


class Function:
    def __init__(self, threads: int):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.version = f"TensorFlow {tf.__version__}, Keras {keras.__version__}, tf.function"

    def build(self, workload, data):
        x = tf.constant(data.x.transpose(1, 0, 2).copy())
        if workload.kind == "step":
            return self.step(workload, data, x[:, 0])
        layers = []
        for size, directions in zip(workload.layer_input_sizes(), data.layers):
            layer = keras.layers.LSTM(workload.hidden_size, return_sequences=True)
            if workload.bidirectional:
                layer = keras.layers.Bidirectional(layer)
            layer.build((workload.batch, workload.time_steps, size))
            for number, direction in enumerate(directions):
                assign(layer.weights[3 * number : 3 * number + 3], direction)
            layers.append(layer)

        def forward(a):
            for layer in layers:
                a = layer(a)
            return a

        if workload.kind == "seq":
            run = tf.function(forward)

            def call(count):
                for _ in range(count):
                    run(x).numpy()

            return call, lambda: {"y": run(x).numpy().transpose(1, 0, 2)}

        gradient = tf.constant(data.output_gradient.transpose(1, 0, 2).copy())
        variables = [v.value for layer in layers for v in layer.trainable_weights]

        @tf.function
        def train(a):
            with tf.GradientTape() as tape:
                tape.watch(a)
                loss = tf.reduce_sum(forward(a) * gradient)
            return tape.gradient(loss, [a, *variables])

        def call(count):
            for _ in range(count):
                train(x)[0].numpy()

        def outputs():
            dx, kernel, recurrent, bias, *_ = (np.asarray(g) for g in train(x))
            return {
                "dx": dx.transpose(1, 0, 2),
                "dw_ih": kernel.T,
                "dw_hh": recurrent.T,
                "db": bias,
            }

        return call, outputs

    @staticmethod
    def step(workload, data, x):
        cell = keras.layers.LSTMCell(workload.hidden_size)
        cell.build((workload.batch, workload.input_size))
        assign(cell.weights, data.layers[0][0])
        run = tf.function(lambda a, h, c: cell(a, [h, c])[1])
        zero = tf.zeros((workload.batch, workload.hidden_size))
        state = (zero, zero)

        def call(count):
            nonlocal state
            h, c = state
            for _ in range(count):
                h, c = run(x, h, c)
            h.numpy()
            state = h, c

        def outputs():
            nonlocal state
            state = (zero, zero)
            call(oracle.CHECKED_STEPS)
            return {"y": state[0].numpy()[None]}

        return call, outputs


PEERS = {"tensorflow": Function}
