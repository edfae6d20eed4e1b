"""How fast the gradients of two nearby inputs lose their correlation with depth (Balduzzi 2017, "Shattered gradients").

Angles follow He-ReLU's correlation map c ↦ J(c); the gradients keep the fraction J′(c) = 1 − θ/π a layer.
"""

import math

import numpy as np

from backscope.theory.normalization import arc_cosine, arc_cosine_slope

Array = np.ndarray


def relu_gradient_correlation(c: float, layers: int) -> Array:
    """Correlation of the gradients of two inputs of correlation c after 1 … `layers` ReLU layers: ∏(1 − θ_l/π).

    A power law in depth, since the angles θ_l shrink like 1/l; not the 2^(−L) of `batch_norm_gradient_correlation`.

    >>> print(relu_gradient_correlation(0.0, 3).round(3))
    [0.5   0.302 0.2  ]
    """
    slopes = []
    for _ in range(layers):
        slopes.append(arc_cosine_slope(c))
        c = min(arc_cosine(c), math.nextafter(1.0, 0.0))
    return np.cumprod(slopes)


def batch_norm_gradient_correlation(layers: int) -> Array:
    """2^(−l) after l = 1 … `layers` ReLU layers with batch norm of frozen statistics (Balduzzi 2017).

    Centring makes the inputs of every layer uncorrelated, where J′(0) = 1/2.
    """
    return 0.5 ** np.arange(1, layers + 1)
