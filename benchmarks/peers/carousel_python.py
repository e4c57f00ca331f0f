"""Carousel through its Python package; native/carousel_lstm.c is the same through C."""

from __future__ import annotations

import carousel
import numpy as np
import oracle


class Package:
    def __init__(self, threads: int):
        carousel.set_threads(threads)
        version = carousel.library_version()
        self.version = f"Carousel {version} from Python, {carousel.instruction_set()}"

    def build(self, workload, data):
        net = carousel.Network(
            [self.layer(workload, number) for number in range(workload.layers)],
            input_size=workload.input_size,
            seed=0,
        )
        parameters = net.parameters()
        for number, layer in enumerate(data.layers):
            for part, d in zip(("forward/", "backward/"), layer):
                prefix = f"lstm_{number}/" + (part if workload.bidirectional else "")
                parameters[prefix + "kernel"][:] = d.input_kernel.T
                parameters[prefix + "recurrent_kernel"][:] = d.recurrent_kernel.T
                parameters[prefix + "bias"][:] = d.bias
        return getattr(self, workload.kind)(workload, data, net)

    @staticmethod
    def layer(workload, number: int):
        name = f"lstm_{number}"
        if not workload.bidirectional:
            return carousel.LSTM(workload.hidden_size, return_sequences=True, name=name)
        inner = carousel.LSTM(workload.hidden_size, return_sequences=True)
        return carousel.Bidirectional(inner, name=name)

    @staticmethod
    def step(workload, data, net):
        stream, x = net.stream(workload.batch), np.ascontiguousarray(data.x[0])
        y = None

        def call(count):
            nonlocal y
            for _ in range(count):
                y = stream.step(x)

        def outputs():
            stream.reset()
            call(oracle.CHECKED_STEPS)
            return {"y": y[None]}

        return call, outputs

    @staticmethod
    def seq(workload, data, net):
        x = data.x.transpose(1, 0, 2)  # a view: the library reads any strides

        def call(count):
            for _ in range(count):
                net(x)

        return call, lambda: {"y": net(x).transpose(1, 0, 2)}

    @staticmethod
    def train(workload, data, net):
        x, gradient = data.x.transpose(1, 0, 2), data.output_gradient.transpose(1, 0, 2)
        result = None

        def call(count):
            nonlocal result
            for _ in range(count):
                result = net.backpropagate(x, gradient)

        def outputs():
            call(1)
            prefix = "lstm_0/forward/" if workload.bidirectional else "lstm_0/"
            return {
                "dx": result.input.transpose(1, 0, 2),
                "dw_ih": result.parameters[prefix + "kernel"].T,
                "dw_hh": result.parameters[prefix + "recurrent_kernel"].T,
                "db": result.parameters[prefix + "bias"],
            }

        return call, outputs


PEERS = {"carousel_python": Package}
