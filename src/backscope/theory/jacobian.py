"""Singular values s of random Jacobians: of one layer, and of the whole network from input to output.

Saxe, McClelland & Ganguli 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
networks"; Pennington, Schoenholz & Ganguli 2017, "Resurrecting the sigmoid in deep learning through dynamical
isometry".
"""

import math
from typing import Literal

from backscope.nn.activations import Activation
from backscope.theory.gaussian import expectation


def mean_singular_value(sigma_w2: float) -> float:
    """E[s] = 8σw/(3π) for a wide square W of independent entries: the mean of the quarter-circle law on [0, 2σw].

    This is what Glorot & Bengio 2010, §4.2, measure near linearity: 0.49 at U(±1/√n) (σw² = 1/3), 0.85 normalized.

    >>> print(round(mean_singular_value(1 / 3), 4), round(mean_singular_value(1.0), 4))
    0.4901 0.8488
    """
    return 8 * math.sqrt(sigma_w2) / (3 * math.pi)


def largest_squared_singular_value(layers: int) -> float:
    """s²max = (L+1)^(L+1)/L^L of a product of L wide Gaussian matrices with σw² = 1, ≈ e(L + 1/2) (Saxe 2013).

    >>> print(round(largest_squared_singular_value(4), 1))
    12.2
    """
    return (layers + 1) * (1 + 1 / layers) ** layers


def mean_squared_singular_value(activation: Activation, sigma_w2: float, q: float, layers: int) -> float:
    """E[s²] = (σw² μ₁)^L = χ₁^L with μ₁ = E[φ′²] at pre-activation variance q (Pennington 2017)."""
    return (sigma_w2 * _mu(activation, q, 1)) ** layers


def relative_variance(
    activation: Activation, q: float, layers: int, weights: Literal["gaussian", "orthogonal"]
) -> float:
    """Var(s²)/E[s²]² = L (μ₂/μ₁² − 1 − s₁), μ_k = E[φ′^2k]; s₁ = −1 Gaussian, 0 orthogonal (Pennington 2017).

    0 is dynamical isometry, to which only orthogonal weights come.

    >>> from backscope.nn.activations import relu
    >>> relative_variance(relu(), 1.0, 16, "gaussian"), relative_variance(relu(), 1.0, 16, "orthogonal")
    (32.0, 16.0)
    """
    s_1 = {"gaussian": -1.0, "orthogonal": 0.0}[weights]
    return layers * (_mu(activation, q, 2) / _mu(activation, q, 1) ** 2 - 1 - s_1)


def _mu(activation: Activation, q: float, k: int) -> float:
    return expectation(lambda x: activation.derivative(x) ** (2 * k), q, activation.kinks)
