"""Gaussian expectations of activations, by Gauss–Legendre quadrature on panels that end at every kink.

Gauss–Hermite quadrature loses all its digits at a kink (ReLU), and at tanh(√q z) with a large q, which is almost a
step. Here the panels double in size away from the kinks, starting from the activation's own scale, so that both
cases come out to about 1e-13.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Function = Callable[[Array], Array]

REACH = 10.0  # a standard normal variable is beyond it with probability 1.5e-23
_Z_EDGES = REACH * np.array([-1, -0.8, -0.6, -0.45, -0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1])
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def nodes(
    variance: float, mean: float | Array = 0.0, kinks: Sequence[float] = (), finest: float = 1.0
) -> tuple[Array, Array]:
    """Points x and weights w (sum 1) with E[g(x)] ≈ Σ w g(x) for x ~ N(mean, variance).

    An array of means of shape S gives points and weights of shape S + (n,). `kinks` are points x at which g is
    not smooth, or changes within a distance `finest`; g may change at the scale of 1 around x = 0.
    """
    mean = np.asarray(mean, dtype=float)[..., None]
    if variance == 0:
        return mean, np.ones_like(mean)
    scale = math.sqrt(variance)
    span = REACH * scale + np.abs(mean).max() + max(map(abs, kinks), default=0.0)
    octaves = finest * 2.0 ** np.arange(max(1, math.ceil(math.log2(span / finest))))
    marks = np.add.outer([0.0, *kinks], np.concatenate([-octaves, [0.0], octaves])).ravel()
    inner = np.clip((marks - mean) / scale, -REACH, REACH)
    edges = np.concatenate([inner, np.broadcast_to(_Z_EDGES, (*inner.shape[:-1], len(_Z_EDGES)))], axis=-1)
    edges = np.unique(edges) if mean.size == 1 else np.sort(edges, axis=-1)
    half, middle = np.diff(edges)[..., None] / 2, (edges[..., 1:] + edges[..., :-1])[..., None] / 2
    z = middle + half * _POINTS
    w = half * _WEIGHTS * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    shape = (*edges.shape[:-1], -1)
    return mean + scale * z.reshape(shape), w.reshape(shape)


def expectation(g: Function, q: float, kinks: Sequence[float] = ()) -> float:
    """E[g(√q z)] for z ~ N(0, 1), `kinks` being the points x = √q z at which g is not smooth.

    >>> expectation(lambda x: np.maximum(x, 0.0) ** 2, q=3.0, kinks=(0.0,))
    1.5
    """
    x, w = nodes(q, kinks=kinks)
    return float(g(x) @ w)


def expectation2(g: Function, h: Function, q1: float, q2: float, c: float, kinks: Sequence[float] = ()) -> float:
    """E[g(x) h(y)] for Gaussian x and y of mean 0, variances q1 and q2 and correlation c.

    Conditioned on x, y is N(c √(q2/q1) x, (1 − c²) q2): an outer and an inner quadrature.
    """
    spread = math.sqrt(max(0.0, 1 - c * c))
    if q1 == 0 or q2 == 0:
        return expectation(g, q1, kinks) * expectation(h, q2, kinks)
    if spread < 1e-8:
        x, w = nodes(q1, kinks=kinks)
        return float((g(x) * h(math.copysign(math.sqrt(q2 / q1), c) * x)) @ w)
    slope = c * math.sqrt(q2 / q1)
    blurred = [k / slope for k in kinks] if slope else []
    width = spread * math.sqrt(q1) / abs(c) if c else 1.0
    x, w = nodes(q1, kinks=[*kinks, *blurred], finest=min(1.0, width))
    y, v = nodes((1 - c * c) * q2, slope * x, kinks)
    return float((g(x) * (h(y) * v).sum(axis=-1)) @ w)
