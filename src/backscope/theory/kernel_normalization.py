"""Batch and layer normalization of kernels, forward and backward (Yang 2019 for batch norm).

Both divide by a variance that is estimated from few numbers and so fluctuates: from width − 1 for layer norm, and
for batch norm from the batch, in which there are few directions with large eigenvalues.
"""

from dataclasses import dataclass

import numpy as np

from backscope.theory.kernels import batch_mean, centred, fluctuation, size

Array = np.ndarray

EPSILON = 1e-5  # added to the variance
_LOG_STEP = 0.5
_T = np.exp(np.arange(-15.0, 30.0, _LOG_STEP))


@dataclass(frozen=True)
class Normalized:
    """The kernel of the normalized pre-activations ẑ, and E[1/(s_a s_b)] of the deviations divided by."""

    kernel: Array
    inverse_variance: Array | float


def normalize(kernel: Array, normalization: str, batch: int, width: int) -> Normalized:
    """Pre-activations of a layer of `width` units after batch_norm, layer_norm or none."""
    if normalization == "batch_norm":
        return _batch_norm(centred(kernel, batch))
    if normalization == "layer_norm":
        deviation = np.sqrt(np.diagonal(kernel) + EPSILON)
        inverse_variance = 1 / np.multiply.outer(deviation, deviation)
        return Normalized(kernel * inverse_variance, inverse_variance * width / (width - 1) * fluctuation(width - 1))
    return Normalized(kernel, 1.0)


def _batch_norm(kernel: Array) -> Normalized:
    """E[hhᵀ/s²] and E[1/s²] for h ~ N(0, K) and s² = |h|²/B, from the eigenvalues λ of the centred kernel K.

    1/s² = ∫ e^(−ts²) dt turns both into integrals over ∏(1 + 2tλ)^(−1/2), the first with λ/(1 + 2tλ).
    """
    variance = size(kernel)
    if variance == 0:
        return Normalized(kernel, 1 / EPSILON)
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0.0) / (len(kernel) * variance)
    factors = 1 + 2 * _T[:, None] * values
    density = _T * np.exp(-0.5 * np.log(factors).sum(axis=1)) * _LOG_STEP
    spread = (vectors * (values * (density @ (1 / factors)))) @ vectors.T
    inverse_variance = density.sum() if (values > 1e-9).sum() > 2 else np.nan  # infinite in two dimensions
    kept = variance / (variance + EPSILON)
    return Normalized(spread * len(kernel) * kept, inverse_variance * kept / variance)


def through_normalization(
    delta: Array, radial: Array, normalized: Normalized, normalization: str, batch: int, width: int
) -> Array:
    """The kernel of ∂L/∂(Wa) from that of δ = ∂L/∂z.

    The gradient of a normalization is centred, loses its part along ẑ, of which `radial` is the kernel E[ẑδ ẑδ], and
    is divided by s. Deep in a network with batch norm this becomes Theorem 8 of Yang 2019 (`normalization`).
    """
    if normalization == "none" or size(delta) == 0:
        return delta
    if normalization == "layer_norm":
        lost = (1 + size(radial) / size(delta)) / width
    else:
        delta = centred(delta, batch)
        lost = batch_mean(radial, batch) / size(delta)
    return delta * (1 - lost) * normalized.inverse_variance
