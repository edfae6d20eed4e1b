"""The loss of the best predictor that ignores its input: where a network ends that fails to break symmetry at zero."""

import numpy as np

Array = np.ndarray


def label_entropy(labels: Array) -> float:
    """H(y) = −Σ f_k log f_k in nats, f_k being the frequency of class k: the least cross-entropy of a constant.

    >>> print(round(label_entropy(np.array([0, 0, 1, 1])), 4))
    0.6931
    """
    _, counts = np.unique(labels, return_counts=True)
    frequency = counts / counts.sum()
    return float(-(frequency @ np.log(frequency)))


def label_variance(y: Array) -> float:
    """½ Σ_k Var(y_k) for targets (N, K) or (N,): the least squared error ½‖ŷ − y‖² of a constant, the mean.

    >>> label_variance(np.array([0.0, 2.0]))
    0.5
    """
    return float(0.5 * np.var(y, axis=0).sum())
