"""Normalization of the pre-activations: ẑ = (Wa − mean)/std, then z = γ ẑ + b, with the layer's own bias b.

`forward` turns W a (in z) into γ ẑ, in place; `backward` turns δ = ∂L/∂z and Σδ = ∂L/∂b into ∂L/∂(W a), and fills
∂L/∂γ. Shapes are (R, B, n): batch normalization averages over B, layer normalization over n.
"""

import numpy as np

Array = np.ndarray
EPSILON = 1e-5


def batch_sum(array: Array, out: Array | None = None) -> Array:
    """The sum of (R, B, n) over the batch, (R, n), as a product with a row of ones, the fastest way here."""
    ones = np.ones((1, array.shape[1]), array.dtype)
    return np.matmul(ones, array, out=None if out is None else out[:, None])[:, 0]


class BatchNorm:
    """Batch normalization (Ioffe & Szegedy 2015, Alg. 1): each unit has mean 0 and variance 1 over the batch.

    Evaluation uses running averages of mean and variance over the batches seen, with memory 0.9.
    """

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma, dgamma
        self.mean, self.variance = np.zeros_like(gamma), np.ones_like(gamma)
        self.batches = 0

    def forward(self, z: Array, training: bool) -> None:
        self.training, batch = training, z.shape[1]
        mean = batch_sum(z) / batch if training else self.mean
        self.z_hat = z - mean[:, None]
        variance = np.vecdot(self.z_hat, self.z_hat, axis=1) / batch if training else self.variance
        self.inverse_std = 1 / np.sqrt(variance + EPSILON)
        self.z_hat *= self.inverse_std[:, None]
        np.multiply(self.z_hat, self.gamma[:, None], out=z)
        if training:
            self._remember(mean, variance * (batch / (batch - 1)))

    def _remember(self, mean: Array, variance: Array) -> None:
        self.batches += 1
        weight = max(1 / self.batches, 0.1)
        self.mean += weight * (mean - self.mean)
        self.variance += weight * (variance - self.variance)

    def backward(self, delta: Array, db: Array) -> Array:
        np.vecdot(delta, self.z_hat, axis=1, out=self.dgamma)
        scale = (self.gamma * self.inverse_std)[:, None]
        if not self.training:  # statistics are constants: nothing flows through them
            return delta * scale
        back = self.z_hat * (self.dgamma / -delta.shape[1])[:, None]
        back += delta
        back -= (db / delta.shape[1])[:, None]
        back *= scale
        return back


class LayerNorm:
    """Layer normalization (Ba, Kiros & Hinton 2016, eq. 4): each sample has mean 0 and variance 1 over the units."""

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma, dgamma

    def forward(self, z: Array, training: bool) -> None:
        units = z.shape[2]
        self.z_hat = z - np.add.reduce(z, axis=2, keepdims=True) / units
        variance = np.add.reduce(np.square(self.z_hat), axis=2, keepdims=True) / units
        self.inverse_std = 1 / np.sqrt(variance + EPSILON)
        self.z_hat *= self.inverse_std
        np.multiply(self.z_hat, self.gamma[:, None], out=z)

    def backward(self, delta: Array, db: Array) -> Array:
        np.vecdot(delta, self.z_hat, axis=1, out=self.dgamma)
        units = delta.shape[2]
        back = delta * self.gamma[:, None]
        projection = np.add.reduce(back * self.z_hat, axis=2, keepdims=True) / units
        back -= np.add.reduce(back, axis=2, keepdims=True) / units
        back -= self.z_hat * projection
        back *= self.inverse_std
        return back


NORMALIZATIONS: dict[str, type[BatchNorm] | type[LayerNorm]] = {
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
}
