"""Losses L(y, ŷ), averaged over the batch, and δ⁽ᴸ⁾ = ∂L/∂z⁽ᴸ⁾, with which backpropagation starts.

Outputs z and targets y are (R, B, K): R replicas, B samples, K outputs; classes are one-hot.
"""

import numpy as np

from backscope.nn.sums import dot, unit_sum

Array = np.ndarray


class CrossEntropy:
    """Softmax cross-entropy L = −(1/B) Σ y·log softmax(z), with δ⁽ᴸ⁾ = (softmax(z) − y)/B."""

    def __call__(self, z: Array, y: Array) -> Array:
        """The loss of each replica, (R,); keeps softmax(z) for `delta`."""
        z = z - np.maximum.reduce(z, axis=-1, keepdims=True)
        self.p = np.exp(z)
        sums = unit_sum(self.p)
        self.p /= sums
        return (np.add.reduce(np.log(sums[..., 0]), axis=-1) - dot(y, z)) / z.shape[-2]

    def delta(self, z: Array, y: Array, out: Array) -> None:
        np.subtract(self.p, y, out=out)
        out /= y.shape[-2]


class SquaredError:
    """Squared error L = (1/2B) Σ‖z − y‖², with δ⁽ᴸ⁾ = (z − y)/B."""

    def __call__(self, z: Array, y: Array) -> Array:
        """The loss of each replica, (R,)."""
        error = z - y
        return 0.5 * dot(error, error) / z.shape[-2]

    def delta(self, z: Array, y: Array, out: Array) -> None:
        np.subtract(z, y, out=out)
        out /= y.shape[-2]


class Linear:
    """Linear loss L = (1/B) Σ y·z, with δ⁽ᴸ⁾ = y/B whatever the outputs are: to study gradients at initialization."""

    def __call__(self, z: Array, y: Array) -> Array:
        """The loss of each replica, (R,)."""
        return dot(y, z) / z.shape[-2]

    def delta(self, z: Array, y: Array, out: Array) -> None:
        np.divide(y, y.shape[-2], out=out)


LOSSES: dict[str, type[CrossEntropy | SquaredError | Linear]] = {
    "cross_entropy": CrossEntropy,
    "squared_error": SquaredError,
    "linear": Linear,
}
