"""Gaussian moments of an activation, tabulated once over the variance q, so that a profile costs no quadrature.

For pre-activations x, y of variance q and correlation c: E[φ], and E[g(x)g(y)] for g = φ, φ′, xφ′ and φφ′. The
dependence on c is Mehler's: E[g(x)g(y)] = Σ a_k² c^k with Hermite coefficients a_k = E[g(√q z) h_k(z)] (Daniely,
Frostig & Singer 2016, the dual activation).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import binom

from backscope.nn.activations import Activation
from backscope.theory.gaussian import nodes

Array = np.ndarray

ORDER = 80  # of the Hermite series
OCTAVES = np.arange(-32.0, 33.0)  # log2 q of the table; beyond it moments are power laws
ANGLES = np.linspace(0.0, np.pi, 257)  # arccos c: even at a kink, moments are smooth in it
_C = np.cos(ANGLES)
_POWERS = _C ** np.arange(ORDER)[:, None]


def _tail() -> Array:
    """How the terms beyond ORDER add up, as a function of c, 1 at c = 1: as those of a step, (2/π) arcsin c."""
    j = np.arange(ORDER // 2)
    tail = np.arcsin(_C) - (binom(2 * j, j) / (4.0**j * (2 * j + 1))) @ _POWERS[2 * j + 1]
    return tail / tail[0]


_SHAPES = np.vstack([_POWERS, _tail()])


class PairTable:
    """E[g(x)g(y)] of K functions g for Gaussian x, y of any variances q and correlation c, interpolated in both."""

    def __init__(self, octaves: Array, squares: Array, correlations: Array, end_slope: float | None = None) -> None:
        """E[g²] at log2 q = `octaves` (Q, K), and E[g(x)g(y)]/E[g²] there at ANGLES (Q, K, n).

        Beyond the table E[g²] is a power of q, at its upper end with the exponent `end_slope`, if that is known.
        """
        self.octaves, self.correlations = octaves, correlations
        self.vanishes = (squares == 0).any(axis=0)  # e.g. the derivative of a step
        log_squares = np.log2(np.where(self.vanishes, 1.0, squares))
        self.log_squares = CubicSpline(octaves, log_squares, bc_type="natural")
        if end_slope is not None:
            ends = (2, np.zeros(squares.shape[1])), (1, np.full(squares.shape[1], end_slope))
            self.log_squares = CubicSpline(octaves, log_squares, bc_type=ends)

    def squares(self, q: Array) -> tuple[Array, Array]:
        """E[g²] at variances q (B,), and d log E[g²]/d log q: (K, B) each."""
        octave = np.log2(q)
        inside = np.clip(octave, self.octaves[0], self.octaves[-1])
        slopes = self.log_squares(inside, 1)
        squares = 2.0 ** (self.log_squares(inside) + slopes * (octave - inside)[:, None])
        squares[:, self.vanishes] = 0.0
        return squares.T, slopes.T

    def pairs(self, squares: Array, q: Array, c: Array) -> Array:
        """E[g(x_a)g(x_b)] in a batch with correlations c (B, B) and E[g²] = `squares` (K, B) at q (B,): (K, B, B).

        Correlations of g are taken at the geometric mean of the variances.
        """
        octave = np.clip(np.log2(q), self.octaves[0], self.octaves[-1]).mean()
        row = min(np.searchsorted(self.octaves, octave, side="right"), len(self.octaves) - 1)
        left, right = self.octaves[row - 1 : row + 1]
        weight = (octave - left) / (right - left)
        table = (1 - weight) * self.correlations[row - 1] + weight * self.correlations[row]
        position = np.arccos(np.clip(c, -1, 1)) * ((len(ANGLES) - 1) / np.pi)
        index = np.minimum(position.astype(np.intp), len(ANGLES) - 2)
        pairs = np.take(np.diff(table, axis=1), index, axis=1)  # much faster than indexing
        pairs *= position - index
        pairs += np.take(table, index, axis=1)
        root = np.sqrt(squares)
        pairs *= root[:, :, None]
        pairs *= root[:, None, :]
        return pairs


class Moments(NamedTuple):
    """Gaussian moments of φ at the pre-activations of a batch."""

    mean: Array  # E[φ] (B,)
    second: Array  # E[g(z_a)g(z_b)] (4, B, B) for g = φ, φ′, zφ′ and φφ′
    growth: Array  # dE[φ²]/dq = E[φ′² + φφ″] (B,), the slope of the variance map per σw²
    curvature: Array  # E[φ″] = E[zφ′]/q (B,)


class ActivationTable(PairTable):
    """The moments of an activation, K = 4."""

    def __init__(self, activation: Activation) -> None:
        squares, means, correlations = zip(*(_moments(activation, 2.0**k) for k in OCTAVES), strict=True)
        super().__init__(OCTAVES, np.array(squares), np.array(correlations))
        self.relative_means = np.array(means)

    def at(self, q: Array, c: Array) -> Moments:
        """The moments at variances q (B,) and correlations c (B, B)."""
        squares, slopes = self.squares(q)
        mean, radial = (np.sqrt(squares[k]) * np.interp(np.log2(q), OCTAVES, self.relative_means[:, k]) for k in (0, 2))
        return Moments(mean, self.pairs(squares, q, c), squares[0] / q * slopes[0], radial / q)


@lru_cache
def table_of(activation: Activation) -> ActivationTable:
    """The table of an activation, made once."""
    return ActivationTable(activation)


def _moments(activation: Activation, q: float) -> tuple[Array, Array, Array]:
    """At one q: mean squares (4,), E[g]/√E[g²] (4,), and correlations at ANGLES (4, n) of φ, φ′, xφ′ and φφ′."""
    x, w = nodes(q, kinks=activation.kinks)
    phi, prime = activation(x), activation.derivative(x)
    values = np.stack([phi, prime, x * prime, phi * prime])
    squares = values**2 @ w
    root = np.sqrt(np.where(squares > 0, squares, 1.0))
    coefficients = (values / root[:, None]) @ (w * _hermite(x / np.sqrt(q))).T
    kept = coefficients**2
    rest = np.maximum(0.0, 1 - kept.sum(axis=1, keepdims=True))
    return squares, coefficients[:, 0], np.hstack([kept, rest]) @ _SHAPES


def _hermite(z: Array) -> Array:
    """The first ORDER orthonormal Hermite polynomials: √(k+1) h_{k+1} = z h_k − √k h_{k−1}."""
    h = np.empty((ORDER, len(z)))
    h[0], h[1] = 1.0, z
    for k in range(1, ORDER - 1):
        h[k + 1] = (z * h[k] - np.sqrt(k) * h[k - 1]) / np.sqrt(k + 1)
    return h
