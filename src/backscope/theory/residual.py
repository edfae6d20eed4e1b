"""How gradients grow along a residual stream a⁽ˡ⁾ = a⁽ˡ⁻¹⁾ + s φ(z⁽ˡ⁾).

One block multiplies the mean square of ∂L/∂a by 1 + s² χ₁: the skip path and the branch add up (Yang & Schoenholz
2017, "Mean field residual networks: on the edge of chaos").
"""

import math

import numpy as np

from backscope.nn.activations import Activation
from backscope.theory.gaussian import expectation
from backscope.theory.mean_field import chi_1, mean_square

Array = np.ndarray


def block_rate(chi: float, scale: float = 1.0) -> float:
    """1 + s²χ₁, the growth of the mean square of ∂L/∂a over one block; 2 for He-ReLU, 1 at s = 0 (Fixup, ReZero)."""
    return 1 + scale**2 * chi


def scaled_growth(blocks: int, chi: float = 1.0) -> float:
    """(1 + χ/L)^L over L blocks scaled by 1/√L: at most e^χ, at any depth.

    >>> print(round(scaled_growth(32), 2))
    2.68
    """
    return block_rate(chi, blocks**-0.5) ** blocks


def stream_profile(
    activation: Activation,
    sigma_w2: float,
    sigma_b2: float,
    blocks: int,
    *,
    scale: float = 1.0,
    start: float = 1.0,
) -> Array:
    """Mean square of ∂L/∂a at each of the `blocks` + 1 points of the stream, relative to its end (1).

    The stream's mean square p grows from `start` by s² E[φ²] a block, plus 2 s E[φ] times the stream's mean, which
    itself grows by s E[φ]; the branch sees q = σw² p + σb² (Yang & Schoenholz 2017).
    """
    rates, p, mean = [], start, 0.0
    for _ in range(blocks):
        q = sigma_w2 * p + sigma_b2
        rates.append(block_rate(chi_1(activation, sigma_w2, q), scale))
        branch_mean = expectation(activation, q, activation.kinks)
        p += scale**2 * mean_square(activation, q) + 2 * scale * branch_mean * mean
        mean += scale * branch_mean
    return np.append(np.cumprod(rates[::-1])[::-1], 1.0)


def tanh_log_slope(sigma_w2: float) -> float:
    """d log E[(∂L/∂a)²]/d√l → 8σw/(3√(2π)) for tanh: sub-exponential growth (Yang & Schoenholz 2017).

    The stream's mean square grows like l, where E[φ′²] ≈ 4/(3√(2πq)); the limit is approached slowly from above.
    """
    return 8 * math.sqrt(sigma_w2) / (3 * math.sqrt(2 * math.pi))
