"""backscope's own step: forward, backward, the probe `grad_norm`, update."""

from collections.abc import Callable

import numpy as np

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.network import Architecture, Network
from backscope.nn.optimizers import OPTIMIZERS, Optimizer
from backscope.probes import PROBES

from ..cases import N_IN, N_OUT, Case, batches, weights


def build(case: Case) -> tuple[Network, Optimizer, np.ndarray, np.ndarray]:
    """Network, optimizer, and the batches x (steps, R, B, 64) and y (steps, R, B, 10), one-hot."""
    activation = ACTIVATIONS[case.activation]()
    architecture = Architecture(N_IN, N_OUT, case.depth, case.width, activation, case.normalization)
    network = Network(architecture, case.replicas, case.dtype)
    for layer, weight in zip(network.layers, weights(case), strict=True):
        layer.W[...] = weight
    x, classes = batches(case)
    return network, OPTIMIZERS[case.optimizer](), x, np.eye(N_OUT, dtype=case.dtype)[classes]


def make(case: Case, *, norms: bool) -> Callable[[], None]:
    network, optimizer, x, y = build(case)
    grad_norm = PROBES["grad_norm"].measure

    def block() -> None:
        for step in range(case.steps):
            network.forward(x[step], y[step])
            network.backward()
            if norms:
                grad_norm(network)
            optimizer.update(network.theta, network.gradient, case.lr)

    return block
