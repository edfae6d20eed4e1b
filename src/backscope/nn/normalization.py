"""Normalization of the pre-activations: ẑ = (Wa − mean)/std, then z = γ ẑ + b, with the layer's own bias b.

`forward` turns W a (in z) into γ ẑ, in place; `backward` turns δ = ∂L/∂z into ∂L/∂(W a) and fills ∂L/∂γ.
Shapes are (R, B, n): batch normalization averages over B, layer normalization over n.
"""

import numpy as np

Array = np.ndarray
EPSILON = 1e-5


class BatchNorm:
    """Batch normalization (Ioffe & Szegedy 2015, Alg. 1): each unit has mean 0 and variance 1 over the batch.

    Evaluation uses running averages of mean and variance over the batches seen, with memory 0.9.
    """

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma[:, None, :], dgamma[:, None, :]
        self.mean, self.variance = np.zeros_like(self.gamma), np.ones_like(self.gamma)
        self.batches = 0

    def forward(self, z: Array, training: bool) -> None:
        batch = z.shape[-2]
        self.training = training
        self.averaging = np.full((1, 1, batch), 1 / batch, z.dtype)
        mean = self.averaging @ z if training else self.mean
        z -= mean
        variance = self.averaging @ np.square(z) if training else self.variance
        self.inverse_std = 1 / np.sqrt(variance + EPSILON)
        z *= self.inverse_std
        self.z_hat = z.copy(order="K")
        z *= self.gamma
        if training:
            self._remember(mean, variance * (batch / (batch - 1)))

    def _remember(self, mean: Array, variance: Array) -> None:
        self.batches += 1
        weight = max(1 / self.batches, 0.1)
        self.mean += weight * (mean - self.mean)
        self.variance += weight * (variance - self.variance)

    def backward(self, delta: Array) -> Array:
        projection = self.averaging @ (delta * self.z_hat)
        np.multiply(projection, delta.shape[-2], out=self.dgamma)
        if not self.training:  # statistics are constants: nothing flows through them
            return delta * (self.gamma * self.inverse_std)
        back = self.z_hat * -projection
        back += delta
        back -= self.averaging @ delta
        back *= self.gamma * self.inverse_std
        return back


class LayerNorm:
    """Layer normalization (Ba, Kiros & Hinton 2016, eq. 4): each sample has mean 0 and variance 1 over the units."""

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma[:, None, :], dgamma[:, None, :]

    def forward(self, z: Array, training: bool) -> None:
        z -= z.mean(axis=-1, keepdims=True)
        variance = np.vecdot(z, z)[..., None] / z.shape[-1]
        self.inverse_std = 1 / np.sqrt(variance + EPSILON)
        z *= self.inverse_std
        self.z_hat = z.copy(order="K")
        z *= self.gamma

    def backward(self, delta: Array) -> Array:
        np.sum(delta * self.z_hat, axis=-2, keepdims=True, out=self.dgamma)
        back = delta * self.gamma
        projection = np.vecdot(back, self.z_hat)[..., None] / delta.shape[-1]
        back -= back.mean(axis=-1, keepdims=True)
        back -= self.z_hat * projection
        back *= self.inverse_std
        return back


NORMALIZATIONS: dict[str, type[BatchNorm] | type[LayerNorm]] = {"batch_norm": BatchNorm, "layer_norm": LayerNorm}
