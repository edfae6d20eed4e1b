"""scikit-learn's MLPClassifier, which reports no gradient norms: one partial_fit is `steps` steps."""

from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier

from ..cases import N_OUT, Case, batches


def make(case: Case) -> Callable[[], None]:
    if case.replicas > 1 or case.normalization != "none":
        raise NotImplementedError("no replicas, no normalization")
    x, y = batches(case)
    x, y = x.reshape(-1, x.shape[-1]), y.ravel()
    net = MLPClassifier(
        [case.width] * case.depth,
        activation=case.activation,
        solver=case.optimizer,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=case.lr,
        shuffle=False,
        momentum=0.0,
        nesterovs_momentum=False,
    )
    return lambda: net.partial_fit(x, y, classes=np.arange(N_OUT))
