"""Normalization of the pre-activations: ẑ = (Wa − mean)/std, then z = γ ẑ + b, with the layer's own bias b.

`forward` turns W a (in z) into γ ẑ, in place; `backward` turns δ = ∂L/∂z and Σδ = ∂L/∂b into ∂L/∂(W a), and fills
∂L/∂γ. Shapes are (R, B, n): batch normalization averages over B, layer normalization over n.
"""

import numpy as np

from backscope.nn.sums import batch_sum, unit_sum

Array = np.ndarray
EPSILON = 1e-5


class BatchNorm:
    """Batch normalization (Ioffe & Szegedy 2015, Alg. 1): each unit has mean 0 and variance 1 over the batch.

    Evaluation uses running averages of mean and variance over the batches seen, with memory 0.9. Passes over samples
    are what costs here: what is kept for `backward` is Wa − mean, and 1/std and γ multiply it as one factor a unit.
    """

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma, dgamma
        self.of_batch, self.running = np.zeros((2, 2, *gamma.shape), gamma.dtype)
        self.mean, self.variance = self.running
        self.variance.fill(1.0)
        self.batches = 0

    def bind(self, z: Array) -> None:
        """Make the buffers for pre-activations like z."""
        self.centred, self.back = np.empty_like(z), np.empty_like(z)

    def forward(self, z: Array, training: bool) -> None:
        self.training, batch = training, z.shape[1]
        mean, variance = self.of_batch if training else self.running
        if training:
            batch_sum(z, out=mean)
            mean /= batch
        np.subtract(z, mean[:, None], out=self.centred)
        if training:
            np.vecdot(self.centred, self.centred, axis=1, out=variance)
            variance /= batch
        self.inverse_std = 1 / np.sqrt(variance + EPSILON)
        self.scale = (self.gamma * self.inverse_std)[:, None]
        np.multiply(self.centred, self.scale, out=z)
        if training:
            variance *= batch / (batch - 1)
            self._remember()

    def _remember(self) -> None:
        self.batches += 1
        self.running += max(1 / self.batches, 0.1) * (self.of_batch - self.running)

    def backward(self, delta: Array, db: Array) -> Array:
        """∂L/∂(Wa) = γ/std (δ − mean of δ − ẑ · mean of δ ẑ), the means over the batch."""
        np.vecdot(delta, self.centred, axis=1, out=self.dgamma)
        self.dgamma *= self.inverse_std
        if not self.training:  # statistics are constants: nothing flows through them
            return np.multiply(delta, self.scale, out=self.back)
        batch = delta.shape[1]
        np.multiply(self.centred, (self.dgamma * self.inverse_std / batch)[:, None], out=self.back)
        np.subtract(delta, self.back, out=self.back)
        np.subtract(self.back, (db / batch)[:, None], out=self.back)
        return np.multiply(self.back, self.scale, out=self.back)


class LayerNorm:
    """Layer normalization (Ba, Kiros & Hinton 2016, eq. 4): each sample has mean 0 and variance 1 over the units."""

    def __init__(self, gamma: Array, dgamma: Array) -> None:
        self.gamma, self.dgamma = gamma, dgamma

    def bind(self, z: Array) -> None:
        """Make the buffers for pre-activations like z."""
        self.z_hat, self.back, self.product = np.empty_like(z), np.empty_like(z), np.empty_like(z)

    def forward(self, z: Array, training: bool) -> None:
        units = z.shape[2]
        np.subtract(z, unit_sum(z) / units, out=self.z_hat)
        np.square(self.z_hat, out=self.product)
        self.inverse_std = 1 / np.sqrt(unit_sum(self.product) / units + EPSILON)
        np.multiply(self.z_hat, self.inverse_std, out=self.z_hat)
        np.multiply(self.z_hat, self.gamma[:, None], out=z)

    def backward(self, delta: Array, db: Array) -> Array:
        """∂L/∂(Wa) = (g − mean of g − ẑ · mean of g ẑ)/std with g = γ δ, the means over the units."""
        np.vecdot(delta, self.z_hat, axis=1, out=self.dgamma)
        units = delta.shape[2]
        back = np.multiply(delta, self.gamma[:, None], out=self.back)
        projection = unit_sum(np.multiply(back, self.z_hat, out=self.product)) / units
        back -= unit_sum(back) / units
        back -= np.multiply(self.z_hat, projection, out=self.product)
        back *= self.inverse_std
        return back


NORMALIZATIONS: dict[str, type[BatchNorm] | type[LayerNorm]] = {
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
}
