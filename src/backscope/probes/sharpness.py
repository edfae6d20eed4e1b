"""Sharpness: the largest eigenvalue λ of the loss's Hessian on the batch; gradient descent is stable while λ < 2/lr.

Lanczos (1950) on Hessian-vector products, each a central difference of two gradients along the vector (Pearlmutter
1994, §1; Cohen 2021 for what it is good for). Needs a smooth activation: a kink is not seen by differences.
"""

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Instrument, copy, finite_only

ITERATIONS = 24
RELATIVE_STEP = 1e-4


def hessian_vector(network: Network, x: Array, y: Array, v: Array) -> Array:
    """H v (R, P) for unit vectors v (R, P), by a central difference; the network's parameters are put back."""
    theta = network.theta.copy()
    step = RELATIVE_STEP * (1 + np.sqrt(np.vecdot(theta, theta)))[:, None]
    sides = []
    for sign in (1, -1):
        np.copyto(network.theta, theta + sign * step * v)
        network.forward(x, y)
        network.backward()
        sides.append(network.gradient.copy())
    np.copyto(network.theta, theta)
    return (sides[0] - sides[1]) / (2 * step)


def sharpness(network: Network) -> Array:
    """λ (R,) on the batch of the last forward pass."""
    twin, x, y = copy(network), network.x1[..., :-1], network.y
    replicas, parameters = network.theta.shape
    v = np.random.default_rng(0).standard_normal(parameters)
    basis = [np.tile(v / np.linalg.norm(v), (replicas, 1))]
    diagonal, beside = [], []
    for _ in range(min(ITERATIONS, parameters)):
        w = hessian_vector(twin, x, y, basis[-1])
        diagonal.append(np.vecdot(w, basis[-1]))
        for _ in range(2):  # orthogonalise twice: once is not enough in floating point
            for u in basis:
                w -= np.vecdot(w, u)[:, None] * u
        beside.append(np.sqrt(np.vecdot(w, w)))
        basis.append(w / np.maximum(beside[-1], np.finfo(w.dtype).tiny)[:, None])
    on, off = np.stack(diagonal, axis=-1), np.stack(beside[:-1], axis=-1)
    tridiagonal = np.stack([np.diag(d) + np.diag(o, 1) + np.diag(o, -1) for d, o in zip(on, off, strict=True)])
    return finite_only(np.linalg.eigvalsh, tridiagonal)[:, -1]


INSTRUMENT = Instrument("sharpness", "largest Hessian eigenvalue", lambda network: {"sharpness": sharpness(network)})
