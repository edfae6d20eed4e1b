"""The floor: the matrix products of one step and one call of the activation's own ufunc a hidden layer."""

from collections.abc import Callable

import numpy as np

from ..cases import Case, batches, weights


def make(case: Case) -> Callable[[], None]:
    rows = (case.replicas, case.batch) if case.replicas > 1 else (case.batch,)
    W = [w if case.replicas > 1 else w[0] for w in weights(case)]
    x = batches(case)[0].reshape(case.steps, *rows, -1)
    z = [np.empty((*rows, n_out), case.dtype) for n_out, _ in case.shapes]
    delta = [np.full_like(layer_z, 1e-3) for layer_z in z]
    zeros = np.zeros_like(z[0])  # np.maximum of two arrays is faster than of an array and a number
    f = {"tanh": np.tanh, "relu": lambda z, out: np.maximum(z, zeros, out=out)}[case.activation]
    dW = [np.empty_like(w) for w in W]

    def block() -> None:
        for a in x:
            inputs = [a]
            for k, w in enumerate(W):
                np.matmul(inputs[k], w.mT, out=z[k])
                if k < case.depth:
                    inputs.append(f(z[k], out=z[k]))
            for k in range(case.depth, -1, -1):
                np.matmul(delta[k].mT, inputs[k], out=dW[k])
                if k:
                    np.matmul(delta[k], W[k], out=delta[k - 1])

    return block
