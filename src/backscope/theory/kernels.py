"""Kernels of a batch: what two samples have in common, (B, B), per unit, in a wide random network.

The forward kernel E[z_a z_b] is that of neural network Gaussian processes (Lee 2018, Matthews 2018), the backward
kernel E[δ_a δ_b] its mirror image; together they make the neural tangent kernel (Jacot 2018). A large batch is
represented by a part of its samples, so that a mean over pairs is made of the diagonal and of the other entries.
"""

import numpy as np

Array = np.ndarray


def batch_mean(kernel: Array, batch: int) -> float:
    """The mean over all B² pairs of a batch, of which `kernel` shows some samples.

    >>> batch_mean(np.eye(4), 4), batch_mean(np.eye(4), 100)
    (0.25, 0.01)
    """
    return float(_row_means(kernel, batch).mean())


def size(kernel: Array) -> float:
    """The mean square, the mean of the diagonal."""
    return float(np.diagonal(kernel).mean())


def centred(kernel: Array, batch: int) -> Array:
    """The kernel after the mean over the batch is taken from every unit: G K G with G = 1 − 11ᵀ/B."""
    means = _row_means(kernel, batch)
    return kernel - means[:, None] - means + means.mean()


def _row_means(kernel: Array, batch: int) -> Array:
    own = np.diagonal(kernel)
    if len(kernel) == 1:
        return own
    others = (kernel.sum(axis=1) - own) / (len(kernel) - 1)
    return own / batch + others * (1 - 1 / batch)


def correlation(kernel: Array) -> tuple[Array, Array]:
    """The variances q (B,), not quite 0, and the correlations (B, B), exactly 1 on the diagonal."""
    q = np.maximum(np.diagonal(kernel), np.finfo(float).tiny)
    root = np.sqrt(q)
    c = kernel / root / root[:, None]
    np.fill_diagonal(c, 1.0)
    return q, c


def fluctuation(freedom: float) -> float:
    """E[1/s²] E[s²] = ν/(ν − 2) of a variance s² of ν degrees of freedom, like χ²; NaN where it is infinite."""
    return freedom / (freedom - 2) if freedom > 2 else np.nan


def total_variance(kernel: Array, batch: int, width: int) -> float:
    """The expected variance s² over samples and units, in a layer of `width` units of this kernel.

    The mean over samples and units is taken away: one direction among the units is centred, the others are not.
    """
    return ((width - 1) * size(kernel) + size(centred(kernel, batch))) / width


def total_fluctuation(kernel: Array, batch: int, width: int) -> float:
    """E[1/s²] E[s²] of that variance: it has as many degrees of freedom as its eigenvalues are alike."""
    total = width * total_variance(kernel, batch, width)
    squares = (width - 1) * batch_mean(kernel**2, batch) + batch_mean(centred(kernel, batch) ** 2, batch)
    return fluctuation(total**2 / squares) if squares > 0 else np.nan
