"""The chance that a narrow, deep ReLU network is born dead (Lu, Shin, Su & Karniadakis 2019, "Dying ReLU")."""


def dead_probability(width: int, depth: int) -> float:
    """1 − (1 − 2⁻ᴺ)^(L−1): chance that some hidden layer is all zero for one fixed input, with zero biases.

    `width` is N; `depth` is L, the number of weight layers, of which L − 1 are hidden; the weights are symmetric about
    0. For all inputs of a domain at once it is an upper bound.

    >>> print(round(dead_probability(width=2, depth=10), 4))
    0.9249
    """
    return 1 - (1 - 0.5**width) ** (depth - 1)
