"""backscope's own step: forward, backward, the probe `grad_norm`, update."""

from collections.abc import Callable

import numpy as np

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.network import Architecture, Network
from backscope.nn.optimizers import OPTIMIZERS
from backscope.probes import PROBES

from ..cases import N_IN, N_OUT, Case, batches, weights


def make(case: Case, *, norms: bool) -> Callable[[], None]:
    activation = ACTIVATIONS[case.activation]()
    architecture = Architecture(N_IN, N_OUT, case.depth, case.width, activation, case.normalization)
    network = Network(architecture, case.replicas, case.dtype)
    for layer, weight in zip(network.layers, weights(case), strict=True):
        layer.W[...] = weight
    optimizer = OPTIMIZERS[case.optimizer]()
    x, classes = batches(case)
    y = np.eye(N_OUT, dtype=case.dtype)[classes]
    grad_norm = PROBES["grad_norm"].measure

    def block() -> None:
        for step in range(case.steps):
            network.forward(x[step], y[step])
            network.backward()
            if norms:
                grad_norm(network)
            optimizer.update(network.theta, network.gradient, case.lr)

    return block
