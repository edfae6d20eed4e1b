"""Signal propagation in wide random networks: order, chaos, and the depth to which a signal survives.

Weights have variance σw²/n_in, biases σb²; q is the variance of a pre-activation, c the correlation between the
pre-activations of two inputs. [P] Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, "Exponential expressivity
in deep neural networks through transient chaos"; [S] Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, "Deep
information propagation". Activations are taken to be continuous: at a jump (step) φ′ does not tell how φ varies.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from backscope.nn.activations import Activation
from backscope.theory.gaussian import expectation, expectation2

SMALLEST, LARGEST = 1e-12, 1e12  # q outside counts as 0 and as infinity
STEP = 2**0.25  # in which a fixed point is bracketed


class DepthScales(NamedTuple):
    """In layers: of the variance (q), of the correlation between two inputs (c), and of the gradient."""

    xi_q: float
    xi_c: float
    xi_gradient: float


def mean_square(activation: Activation, q: float) -> float:
    """E[φ(√q z)²]."""
    return expectation(lambda x: activation(x) ** 2, q, activation.kinks)


def mean_square_derivative(activation: Activation, q: float) -> float:
    """E[φ′(√q z)²]."""
    return expectation(lambda x: activation.derivative(x) ** 2, q, activation.kinks)


def variance_map(activation: Activation, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """The variance of the next layer's pre-activations, σw² E[φ(√q z)²] + σb² ([P] eq. 3).

    >>> from backscope.nn.activations import relu
    >>> variance_map(relu(), q=1.5, sigma_w2=2.0)
    1.5
    """
    return sigma_w2 * mean_square(activation, q) + sigma_b2


def fixed_point(activation: Activation, sigma_w2: float, sigma_b2: float = 0.0, start: float = 1.0) -> float:
    """q*, the limit of the variance map from `start`; 0 or infinity if the variance vanishes or explodes ([P]).

    The map increases with q, so that the limit is the nearest fixed point on the side to which the first step goes.
    """

    def excess(q: float) -> float:
        return variance_map(activation, q, sigma_w2, sigma_b2) - q

    first = excess(start)
    if abs(first) < 1e-13 * start:
        return start
    step = STEP if first > 0 else 1 / STEP
    q = start
    while SMALLEST < q < LARGEST:
        q, before = q * step, q
        if excess(q) * first <= 0:
            return float(brentq(excess, before, q, xtol=1e-15, rtol=1e-13))
    return math.inf if first > 0 else 0.0


def chi_1(activation: Activation, sigma_w2: float, q: float) -> float:
    """χ₁ = σw² E[φ′(√q z)²], by which a layer multiplies the mean square of δ ([P] eq. 6; [S])."""
    return sigma_w2 * mean_square_derivative(activation, q)


def correlation_map(activation: Activation, c: float, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """The correlation one layer on, (σw² E[φ(x) φ(y)] + σb²)/q, at a fixed point q of the variance ([P] eq. 5)."""
    covariance = expectation2(activation, activation, q, q, c, activation.kinks)
    return (sigma_w2 * covariance + sigma_b2) / q


def chi_c(activation: Activation, c: float, q: float, sigma_w2: float) -> float:
    """The slope of the correlation map, σw² E[φ′(x) φ′(y)]; χ₁ at c = 1 ([S])."""
    return sigma_w2 * expectation2(activation.derivative, activation.derivative, q, q, c, activation.kinks)


def fixed_correlation(activation: Activation, q: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """c*, the stable fixed point of the correlation map: 1 in the ordered phase, less in the chaotic ([P])."""
    if chi_1(activation, sigma_w2, q) <= 1:
        return 1.0

    def excess(c: float) -> float:
        return correlation_map(activation, c, q, sigma_w2, sigma_b2) - c

    gaps = 2.0 ** -np.arange(1, 30)  # c = 1 is a fixed point, too, but an unstable one: look for one below it
    upper = next((1 - gap for gap in gaps if excess(1 - gap) < 0), None)
    if upper is None:
        return 1.0
    return 0.0 if abs(excess(0.0)) < 1e-14 else float(brentq(excess, 0.0, upper, xtol=1e-14))


def depth_scales(activation: Activation, sigma_w2: float, sigma_b2: float = 0.0) -> DepthScales:
    """ξ_q, ξ_c and ξ_∇ = 1/|ln χ₁|: deviations decay as exp(−l/ξ) ([S]); infinite at criticality.

    A network is trainable to a depth of about 6 ξ_∇ ([S]). Raises ValueError if the variance vanishes or explodes.
    """
    q = fixed_point(activation, sigma_w2, sigma_b2)
    if not 0 < q < math.inf:
        raise ValueError(f"the variance has no fixed point with 0 < q* < infinity (q* = {q:g})")
    c = fixed_correlation(activation, q, sigma_w2, sigma_b2)
    slopes = (
        sigma_w2 * _variance_slope(activation, q),
        chi_c(activation, c, q, sigma_w2),
        chi_1(activation, sigma_w2, q),
    )
    return DepthScales(*(_scale(slope) for slope in slopes))


def _variance_slope(activation: Activation, q: float) -> float:
    """dE[φ(√q z)²]/dq = E[φ φ′ x]/q; [S] writes it as E[φ′² + φ φ″], which has no meaning at a kink."""
    return expectation(lambda x: activation(x) * activation.derivative(x) * x, q, activation.kinks) / q


def _scale(slope: float) -> float:
    """1/|ln slope|: infinite at 1, 0 at 0."""
    if slope <= 0:
        return 0.0
    return math.inf if abs(slope - 1) < 1e-12 else 1 / abs(math.log(slope))


def critical_sigma_w2(activation: Activation, sigma_b2: float = 0.0) -> float:
    """The σw² at which χ₁ = 1 for this σb², the border between order and chaos ([P], [S]).

    On that line σw² = 1/E[φ′²] and σb² = q − E[φ²]/E[φ′²]: q is its parameter. Only a q to which the variance map
    converges counts, and the smallest one is taken. Raises ValueError if there is none: ReLU's line is a point, (2, 0).

    >>> from backscope.nn.activations import relu
    >>> critical_sigma_w2(relu())
    2.0
    """
    if mean_square_derivative(activation, 1.0) == 0:
        raise ValueError("the derivative is zero: no σw² is critical")

    def excess(q: float) -> float:
        return q - mean_square(activation, q) / mean_square_derivative(activation, q) - sigma_b2

    def stable(q: float) -> bool:
        return _variance_slope(activation, q) <= mean_square_derivative(activation, q) * (1 + 1e-9)

    vanishing = 1e-30
    if abs(excess(vanishing)) <= vanishing and stable(1e-3):  # critical as q → 0
        return 1 / mean_square_derivative(activation, vanishing)
    grid = np.geomspace(1e-6, 1e6, 121)
    values = [excess(q) for q in grid]
    for low, high, left, right in zip(grid, grid[1:], values, values[1:], strict=False):
        if left * right <= 0 and stable(q := brentq(excess, low, high, xtol=1e-15, rtol=1e-13)):
            return 1 / mean_square_derivative(activation, q)
    raise ValueError(f"no σw² is critical at σb² = {sigma_b2:g}")
