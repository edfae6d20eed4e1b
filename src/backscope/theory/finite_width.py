"""How much one random ReLU network differs from the next: exact laws at finite width (Hanin 2018; Hanin & Nica 2020).

The squared norm of a He-initialized ReLU signal keeps its mean from layer to layer, but its logarithm fluctuates
with variance ≈ β = 5 Σ 1/n_j and drifts to −β/2, so that the typical network sees its signal shrink. The same holds
for the gradient.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import digamma, polygamma
from scipy.stats import binom


def beta(widths: Sequence[int]) -> float:
    """β = 5 Σ 1/n_j over hidden layers of widths n_j: log‖a⁽ᴸ⁾‖² ≈ N(−β/2, β) (Hanin & Nica 2020)."""
    return 5 * sum(1 / n for n in widths)


def log_norm_variance(widths: Sequence[int]) -> float:
    """Var log(‖a⁽ᴸ⁾‖²/‖x‖²) of a ReLU network with Gaussian weights, exactly, given that no layer is all zero.

    K ~ Bin(n, 1/2) of a layer's n units are active, and their squared norm is χ² with K degrees of freedom: each
    layer adds E[ψ₁(K/2)] + Var[ψ(K/2)], K > 0. For the gradient the same sum applies.

    >>> print(round(log_norm_variance([50] * 10), 3))
    1.082
    """
    return float(sum(variance for _, variance in map(_layer_moments, widths)))


def log_norm_mean(widths: Sequence[int], sigma_w2: float = 2.0) -> float:
    """E log(‖a⁽ᴸ⁾‖²/‖x‖²), per unit, of a ReLU network with Var(W) = σw²/n_in: Σ E[ψ(K/2)] + log(2σw²/n_j).

    Norms are divided by the layer's width, so that 0 would be a signal of constant size; He's σw² = 2 gives ≈ −β/2.
    """
    return float(sum(_layer_moments(n)[0] + np.log(2 * sigma_w2 / n) for n in widths))


def squared_ratio_moment(n: int) -> float:
    """E[(‖a⁽ˡ⁾‖²/‖a⁽ˡ⁻¹⁾‖²)²] = 1 + 5/n for one He-initialized ReLU layer of n units (Hanin 2018)."""
    return 1 + 5 / n


def _layer_moments(n: int) -> tuple[float, float]:
    """Mean of ψ(K/2) and E[ψ₁(K/2)] + Var[ψ(K/2)] for K ~ Bin(n, 1/2) given K > 0."""
    active = np.arange(1, n + 1)
    p = binom.pmf(active, n, 0.5)
    p /= p.sum()
    log_mean = digamma(active / 2)
    mean = p @ log_mean
    return mean, p @ polygamma(1, active / 2) + p @ (log_mean - mean) ** 2
