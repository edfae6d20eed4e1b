"""Singular values s of the input–output Jacobian J = ∂a⁽ᵈ⁾/∂x of the d hidden layers, at the batch's first sample.

J is the product of D⁽ˡ⁾W⁽ˡ⁾ over the layers, D = diag f′(z); all s = 1 is dynamical isometry (Saxe 2013; Pennington,
Schoenholz & Ganguli 2017, eq. 2). Not defined with normalization, where samples or units are coupled.
"""

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Instrument, derivative, singular_values


def jacobian(network: Network) -> Array:
    """J (R, width, n_in)."""
    total = np.eye(network.architecture.n_in)
    slopes = np.concatenate([derivative(block)[:, 0] for block in network.hidden])
    slopes = slopes.reshape(-1, len(network.theta), network.architecture.width)
    for layer, slope in zip(network.layers[:-1], slopes, strict=True):
        branch = slope[..., None] * (layer.W @ total)
        total = branch if layer.skip is None else total + layer.branch_scale() * branch
    return total


def measure(network: Network) -> dict[str, Array]:
    """Mean and relative variance of s², the largest and the smallest s."""
    if network.architecture.normalization != "none":
        return {}
    s = singular_values(jacobian(network))
    square = s**2
    mean = square.mean(axis=-1)
    return {
        "jacobian/mean_square": mean,
        "jacobian/relative_variance": square.var(axis=-1) / mean**2,
        "jacobian/largest": s[:, 0],
        "jacobian/smallest": s[:, -1],
    }


INSTRUMENT = Instrument("jacobian", "singular values of the input–output Jacobian", measure)
