"""What normalizing pre-activations does to the gradient, a layer, deep in a network: rates of the mean square of δ.

With either normalization the rate does not depend on σw². Batch normalization: Yang, Pennington, Rao, Sohl-Dickstein &
Schoenholz 2019, "A mean field theory of batch normalization"; layer normalization: the rate at unit variance.
"""

import math

from backscope.nn.activations import Activation
from backscope.theory.gains import chi_at_gain
from backscope.theory.gaussian import Function, expectation2


def arc_cosine(c: float) -> float:
    """J(c) = [√(1−c²) + (π − arccos c) c]/π, the correlation of two ReLU outputs (Cho & Saul 2009, eq. 6)."""
    return (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi


def arc_cosine_slope(c: float) -> float:
    """J′(c) = (π − arccos c)/π."""
    return (math.pi - math.acos(c)) / math.pi


def relu_batch_norm_rate(batch: int) -> float:
    """The explosion rate of gradients in deep ReLU networks with batch norm, at least 1.4669 (Yang 2019, Thm 8).

    λ = [J′(c) + B − 1]/[(B − 3)(1 − J(c))] − 1/(B − 3), c = −1/(B − 1), for batches of B > 3.

    >>> print(round(relu_batch_norm_rate(32), 3), round(relu_batch_norm_rate(10**9), 4))
    1.522 1.4669
    """
    _needs_four(batch)
    c = -1 / (batch - 1)
    return (arc_cosine_slope(c) + batch - 1) / ((batch - 3) * (1 - arc_cosine(c))) - 1 / (batch - 3)


def batch_norm_rate(activation: Activation, batch: int) -> float:
    """The same rate for any activation: Theorem 8 for ReLU, and for the others up to a relative error of order 1/B².

    A batch converges to equal correlations c = −1/(B − 1), where the variance over the batch that normalization
    divides by is proportional to V(1) − V(c), with V(c) = E[φ(x)φ(y)]. With D for φ′ and S for xφ′(x) in the place
    of φ, λ = [(B − 1) D(1) + D(c) − S(1) + S(c)]/[(B − 3)(V(1) − V(c))]. The expectations are over a sphere in B − 1
    dimensions: Gaussian ones E(q), less E″(1)/(B − 1) for the length, which does not fluctuate.
    """
    _needs_four(batch)

    def difference(g: Function) -> float:
        return dual(g, 1.0) - dual(g, c)

    def dual(g: Function, c: float) -> float:
        h = 0.05
        below, at, above = (expectation2(g, g, q, q, c, activation.kinks) for q in (1 - h, 1.0, 1 + h))
        return at - (below - 2 * at + above) / (h**2 * (batch - 1))

    c, prime = -1 / (batch - 1), activation.derivative
    gradient = (batch - 1) * dual(prime, 1.0) + dual(prime, c) - difference(lambda x: x * prime(x))
    return gradient / ((batch - 3) * difference(activation))


def layer_norm_rate(activation: Activation) -> float:
    """E[φ′²]/E[φ²] at unit variance, at any σw²: ReLU 1, tanh 1.178, sigmoid 0.153 (vanishing is not cured)."""
    return chi_at_gain(activation)


def _needs_four(batch: int) -> None:
    if batch < 4:
        raise ValueError(f"batch = {batch}: the gradient has a finite variance only for batches of 4 or more")
