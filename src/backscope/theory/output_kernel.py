"""Where backpropagation starts: the kernel of δ⁽ᴸ⁾ = ∂L/∂z⁽ᴸ⁾ when the outputs are Gaussian and independent of y."""

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from backscope.theory.kernels import correlation
from backscope.theory.moments import ANGLES, PairTable

Array = np.ndarray

DRAWS = 2048  # of logits


def output_kernel(outputs: Array, y: Array, loss: str) -> tuple[Array, Array]:
    """E[δ_a δ_b] (B, B) and E[∂δ/∂z] (B,), per output, of one sample's loss.

    `outputs` is the kernel of z⁽ᴸ⁾ and y (B, K) are the targets. For linear δ = y and for
    squared_error δ = z − y. For cross_entropy δ =
    softmax(z) − y with one-hot y; no class is preferred, so that E[p_a · y_b] = 1/K.
    """
    n_out = y.shape[1]
    targets = y @ y.T / n_out
    if loss == "linear":
        return targets, np.zeros(len(y))
    if loss == "squared_error":
        return outputs + targets, np.ones(len(y))
    if n_out == 1:  # the softmax of a single output is 1
        return np.zeros_like(outputs), np.zeros(len(y))
    pairs, slopes = softmax_tables(n_out)
    q, c = correlation(outputs)
    products = pairs.pairs(pairs.squares(q)[0], q, c)[0]
    return products / n_out + targets - 1 / n_out**2, slopes.squares(q)[0][0]


@lru_cache(maxsize=8)
def softmax_tables(n_out: int) -> tuple[PairTable, PairTable]:
    """Σ_k E[(p_k − 1/K)(p'_k − 1/K)] of two softmax outputs p, p' of K independent logits, and E[p (1 − p)].

    Over fixed draws. For large logits the first becomes constant and the second, the chance of a tie, falls like 1/√q.
    """
    u, v = np.random.default_rng(0).standard_normal((2, DRAWS, n_out))
    u, v = (g * np.sqrt((1 - 1 / n_out) / g.var(axis=1).mean()) for g in (u, v))  # exact for small logits
    angles = np.linspace(0.0, np.pi, 17)

    def products(scale: float) -> list[float]:
        p = _softmax(scale * u) - 1 / n_out
        return [np.vdot(p, _softmax(scale * (np.cos(t) * u + np.sin(t) * v))) / DRAWS for t in angles]

    octaves = np.arange(-8.0, 17.0, 2.0)
    moments = np.array([products(2.0 ** (octave / 2)) for octave in octaves])
    correlations = CubicSpline(angles, moments / moments[:, :1], axis=1)(ANGLES)[:, None]
    squares = moments[:, :1]
    return (
        PairTable(octaves, squares, correlations, end_slope=0.0),
        PairTable(octaves, (1 - 1 / n_out - squares) / n_out, correlations, end_slope=-0.5),
    )


def _softmax(z: Array) -> Array:
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p
