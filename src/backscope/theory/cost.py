"""What a gradient costs: the cheap-gradient principle for a dense network (Griewank & Walther 2008)."""

from collections.abc import Sequence
from itertools import pairwise


def flop_ratio(widths: Sequence[int]) -> float:
    """Matrix-multiplication FLOPs of forward and backward pass, relative to the forward pass alone.

    `widths` are n₀ … n_L. Every layer multiplies three times (a Wᵀ, δᵀa, δW), but the first needs no δW:
    3 − n₀n₁/Σ nᵢnᵢ₊₁, whatever the number of parameters.

    >>> flop_ratio([64, 64, 64, 64])
    2.6666666666666665
    """
    products = [fan_in * fan_out for fan_in, fan_out in pairwise(widths)]
    return 3 - products[0] / sum(products)
