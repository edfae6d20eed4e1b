"""Gains that keep the variance of a unit-variance signal, what they do to the gradient, and the SELU fixed point."""

import math

from scipy.special import erfc

from backscope.nn.activations import Activation
from backscope.theory.mean_field import chi_1, mean_square


def variance_preserving_gain(activation: Activation) -> float:
    """1/√E[φ(z)²], z ~ N(0, 1): with W ~ N(0, gain²/n_in) every layer's pre-activations keep variance 1.

    √2 for ReLU (He 2015, eq. 10). For tanh it is 1.5925; the 5/3 in use is a convention.

    >>> from backscope.nn.activations import tanh
    >>> print(round(variance_preserving_gain(tanh()), 4))
    1.5925
    """
    return 1 / math.sqrt(mean_square(activation, 1.0))


def chi_at_gain(activation: Activation) -> float:
    """E[φ′²]/E[φ²] at unit variance: the ratio a layer of the mean square of δ under the variance-preserving gain."""
    return chi_1(activation, variance_preserving_gain(activation) ** 2, 1.0)


def selu_constants() -> tuple[float, float]:
    """λ and α with which (mean 0, variance 1) is a fixed point of λ·elu_α (Klambauer 2017, eq. 14).

    >>> "%.8f %.8f" % selu_constants()
    '1.05070099 1.67326324'
    """
    tail = erfc(math.sqrt(0.5)) * math.exp(0.5)
    alpha = -math.sqrt(2 / math.pi) / (tail - 1)
    second_moment = 0.5 + 0.5 * alpha**2 * (math.exp(2) * erfc(math.sqrt(2)) - 2 * tail + 1)
    return 1 / math.sqrt(second_moment), alpha
