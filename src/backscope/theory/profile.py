"""The profile by layer that theory predicts for a configuration at initialization: δ, gradient norms, signals.

Forward kernels are carried up through the layers (`forward`) and backward kernels down again (`backward`), for the
actual batch. A prediction is the square root of an expected square over random networks, and where few networks carry
the mean, in deep and narrow ones (`finite_width`), the typical network lies below it.
"""

from collections.abc import Sequence

import numpy as np

from backscope.nn.activations import Activation
from backscope.nn.network import RESIDUALS
from backscope.theory.backward import backward
from backscope.theory.forward import Wide, forward, signal_profile
from backscope.theory.output_kernel import output_kernel

Array = np.ndarray

SAMPLES = 64  # of a larger batch, evenly spaced, represent it


def predict(
    activation: Activation,
    sigma_w2: Sequence[float] | None,
    x: Array,
    y: Array,
    *,
    depth: int,
    width: int,
    sigma_b2: float = 0.0,
    normalization: str = "none",
    residual: str = "none",
    dropout: float = 0.0,
    loss: str = "cross_entropy",
    orthogonal: bool = False,
) -> dict[str, Array]:
    """Predicted quantities, named like the probes, of layers 1 (nearest the input) to L = depth + 1 (the head): (L,).

    `sigma_w2` holds n_in·Var(W) of the L layers; None stands for LSUV, which makes every Var(z) = 1. Weights are
    independent or `orthogonal` (LSUV's, too). x (B, n_in) and y (B, n_out), one-hot for cross_entropy, are the batch.
    delta_rms, grad_norm and bias_grad_norm are of the batch-mean loss; pre_activation_std, activation_mean and
    activation_std are of the signal.

    Empty where theory is silent: some σw² is 0 (zero or constant weights) or not finite, or the signal overflows. NaN
    where a mean square is infinite: through batch norm of signals in two dimensions or fewer. 0, exactly, in a
    residual branch that starts at scale 0 and below a step.

    >>> from backscope.nn.activations import relu
    >>> x, y = np.eye(4), np.eye(4)
    >>> print(predict(relu(), [2.0, 2.0, 2.0], x, y, depth=2, width=100)["pre_activation_std"].round(3))
    [0.706 0.705 0.65 ]
    """
    if sigma_w2 is not None and not all(0 < value < np.inf for value in sigma_w2):
        return {}
    batch = len(x)
    if batch > SAMPLES:
        shown = np.linspace(0, batch - 1, SAMPLES).astype(int)
        x, y = x[shown], y[shown]
    scale = RESIDUALS[residual](depth) if residual != "none" and depth > 1 else None
    widths = [x.shape[1], *[width] * depth, y.shape[1]]
    network = Wide(activation, sigma_w2, sigma_b2, widths, normalization, scale, dropout, orthogonal, batch)
    with np.errstate(all="ignore"):
        try:
            layers = forward(network, x @ x.T / x.shape[1])
        except OverflowError:
            return {}
        delta, slope = output_kernel(layers[-1].z, y, loss)
        return signal_profile(network, layers) | backward(network, layers, delta / batch**2, slope / batch)
