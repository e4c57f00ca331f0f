// Contract between the engine and the kernels.
