"""OpenVINO with its latency hint: float32 forced, and its own choice (bfloat16 where the
processor has it; shown, never counted among the float32 peers)."""

from __future__ import annotations

import numpy as np
import openvino
import oracle

from peers.onnx_model import onnx_model


class Float32:
    precision = "f32"

    def __init__(self, threads: int):
        self.settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(threads),
        }
        if self.precision:
            self.settings["INFERENCE_PRECISION_HINT"] = self.precision
        self.core = openvino.Core()
        self.version = f"OpenVINO {openvino.__version__}, {self.precision or 'own precision'}"

    def build(self, workload, data):
        if workload.kind == "train":
            raise NotImplementedError("inference only")
        model = self.core.read_model(onnx_model(workload, data))
        compiled = self.core.compile_model(model, "CPU", self.settings)
        x = openvino.Tensor(np.ascontiguousarray(data.x))
        if workload.kind == "step":
            return self.step(workload, compiled, x)
        request = compiled.create_infer_request()
        request.set_tensor("x", x)

        def call(count):
            for _ in range(count):
                request.infer(share_outputs=True)

        def outputs():
            call(1)
            return {"y": request.get_output_tensor(0).data.copy()}

        return call, outputs

    @staticmethod
    def step(workload, compiled, x):
        shape = (1, workload.batch, workload.hidden_size)
        h, c = ([openvino.Tensor(np.zeros(shape, np.float32)) for _ in range(2)] for _ in "hc")
        requests = []
        for before, after in ((0, 1), (1, 0)):
            request = compiled.create_infer_request()
            for name, tensor in (
                ("x", x),
                ("h0", h[before]),
                ("c0", c[before]),
                ("hn", h[after]),
                ("cn", c[after]),
            ):
                request.set_tensor(name, tensor)
            requests.append(request)
        taken = 0

        def call(count):
            nonlocal taken
            for number in range(taken, taken + count):
                requests[number & 1].infer(share_outputs=True)
            taken += count

        def outputs():
            call(oracle.CHECKED_STEPS)  # the states are still zero: nothing has run before
            return {"y": h[taken & 1].data.copy()}

        return call, outputs


class OwnPrecision(Float32):
    precision = None


PEERS = {"openvino": Float32, "openvino_bf16": OwnPrecision}
