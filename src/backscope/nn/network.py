"""The network: layers one after the other, forward and backward (Rumelhart, Hinton & Williams 1986).

A batch is a matrix with a sample a row, and every array has a leading axis of R replicas: R networks that differ
in their seeds pass through the same lines at once. All parameters are one array `theta` (R, P), all gradients one
array `gradient` (R, P), of which the layers hold views: an optimizer needs to know no layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from backscope.nn.activations import Activation
from backscope.nn.layers import Layer, unit_major
from backscope.nn.losses import LOSSES
from backscope.nn.normalization import BatchNorm
from backscope.nn.sums import total

Array = np.ndarray


@dataclass(frozen=True)
class Architecture:
    """What a network is built of: `depth` hidden layers of `width` units and a linear head.

    From the second hidden layer on, `residual` adds a layer's input to its output: a = a_in + s f(z), with s = 1
    (plain), 1/√(depth − 1) (scaled) or a learned s that starts at 0 (zero; Bachlechner 2020).
    """

    n_in: int
    n_out: int
    depth: int
    width: int
    activation: Activation
    normalization: str = "none"
    residual: str = "none"
    dropout: float = 0.0
    loss: str = "cross_entropy"


@dataclass(frozen=True)
class Hidden:
    """z, a, f(z) and δ of neighbouring hidden layers, one array each, (layers · R, B, n): layers hold views of them."""

    activation: Activation
    z: Array
    a: Array
    f_z: Array
    delta: Array


BLOCK = 2**16  # numbers that go through an elementwise function in one call: more would leave the cache
RESIDUALS = {
    "plain": lambda depth: 1.0,
    "scaled": lambda depth: (depth - 1) ** -0.5,
    "zero": lambda depth: 0.0,
}


class Network:
    """R networks of one architecture, with their parameters, their gradient and the buffers of a pass.

    >>> from backscope.nn.activations import tanh
    >>> network = Network(Architecture(n_in=2, n_out=3, depth=1, width=4, activation=tanh()), replicas=5)
    >>> network.theta.shape, network.layers[0].W.shape
    ((5, 27), (5, 4, 2))
    """

    def __init__(
        self, architecture: Architecture, replicas: int = 1, dtype: np.dtype | type | str = np.float64
    ) -> None:
        self.architecture = architecture
        self.layers = _layers(architecture)
        parameters = sum(sum(layer.sizes.values()) for layer in self.layers)
        self.theta, self.gradient = np.zeros((2, replicas, parameters), dtype)
        start = 0
        for layer in self.layers:
            start = layer.attach(self.theta, self.gradient, start)
        self.Wb_stacks, self.dWb_stacks = (_stacks(flat, self.layers) for flat in (self.theta, self.gradient))
        self.W_stacks, self.dW_stacks = map(_weights, (self.Wb_stacks, self.dWb_stacks))
        self.loss = LOSSES[architecture.loss]()
        self.dropout_rngs: Sequence[np.random.Generator] | None = None
        self.batch = 0

    def forward(self, x: Array, y: Array, training: bool = True) -> Array:
        """The loss of each replica, (R,), on inputs x (R, B, n_in) and targets y (R, B, n_out).

        In training, batch normalization uses the batch's statistics and dropout is on; its masks are drawn from
        `dropout_rngs`, a generator a replica, or stay as they are where there is none.
        """
        outputs = self._outputs(x, training)
        np.copyto(self.y, y)
        return self.loss(outputs, self.y)

    def backward(self, delta: Array | None = None) -> None:
        """∂L/∂θ at the last `forward`, into `gradient`; with `delta` given, that of a loss with δ⁽ᴸ⁾ = delta."""
        head = self.layers[-1]
        if delta is None:
            self.loss.delta(head.z, self.y, out=head.delta)
        else:
            np.copyto(head.delta, delta)
        for block in self.hidden:
            block.activation.f_prime(block.z, block.f_z, block.delta)  # f′(z), where δ will be
        for layer, below in zip(self.layers[:0:-1], self.layers[-2::-1], strict=True):
            layer.backward(below)
        self.layers[0].backward(None)

    def input_gradient(self) -> Array:
        """∂L/∂x (R, B, n_in) after `backward`."""
        first = self.layers[0]
        return first.delta_in @ first.W

    def predict(self, x: Array, size: int | None = None) -> Array:
        """The outputs (R, N, n_out) in evaluation: running statistics, no dropout; in chunks of the training batch."""
        samples, size = x.shape[1], size or self.batch or x.shape[1]
        outputs = np.empty((len(x), samples, self.architecture.n_out), self.theta.dtype)
        for end in (*range(size, samples, size), samples):  # the last chunk reaches back, to be as large as the others
            chunk = slice(max(end - size, 0), end)
            outputs[:, chunk] = self._outputs(x[:, chunk], training=False)
        self._bind(size)
        return outputs

    def statistics(self) -> list[Array]:
        """The means and variances (R, n) that batch normalization keeps for evaluation, which `theta` does not hold."""
        normalizations = [layer.normalization for layer in self.layers]
        return [each for one in normalizations if isinstance(one, BatchNorm) for each in (one.mean, one.variance)]

    def calibrate(self, x: Array, tolerance: float = 0.01, iterations: int = 10) -> None:
        """LSUV: rescale each W, from the first to the last, until Var(z) = 1 on x (Mishkin & Matas 2016, Alg. 1).

        Without dropout, and each replica by itself: what it needs does not depend on the others.
        """
        for layer in self.layers:
            for _ in range(iterations):
                self._outputs(x, training=False)
                variance = _variance(layer.z)
                off = (np.abs(variance - 1) >= tolerance) & (variance > 0)
                if not off.any():
                    break
                layer.W /= np.sqrt(np.where(off, variance, 1))[:, None, None]

    def _outputs(self, x: Array, training: bool) -> Array:
        self._bind(x.shape[1])
        np.copyto(self.x1[..., :-1], x)
        a1 = self.x1
        for layer in self.layers:
            if layer.dropout:
                layer.draw_mask(self.dropout_rngs, training)
            a1 = layer.forward(a1, training)
        return self.layers[-1].z

    def _bind(self, batch: int) -> None:
        """Make the buffers for batches of this size."""
        if batch == self.batch:
            return
        self.batch, replicas, dtype, of = batch, len(self.theta), self.theta.dtype, self.architecture
        *layers, head = self.layers
        self.x1 = np.ones((replicas, batch, of.n_in + 1), dtype)
        self.y, z, delta = (unit_major(np.empty, replicas, batch, of.n_out, dtype) for _ in range(3))
        head.bind(z, z, None, delta, delta)
        size = (len(layers) * replicas, batch, of.width, dtype)
        z, delta = unit_major(np.empty, *size), unit_major(np.empty, *size)
        a1 = unit_major(np.ones, *size[:2], of.width + 1, dtype)
        branched = of.dropout or of.residual != "none"
        f_z = unit_major(np.empty, *size) if branched else a1[..., :-1]
        block = replicas * max(BLOCK // (replicas * batch * of.width), 1)
        parts = [slice(start, start + block) for start in range(0, len(z), block)]
        self.hidden = [Hidden(of.activation, z[p], a1[p][..., :-1], f_z[p], delta[p]) for p in parts]
        back = unit_major(np.empty, replicas, *size[1:])
        for index, layer in enumerate(layers):
            own = slice(index * replicas, (index + 1) * replicas)
            layer.bind(z[own], a1[own], f_z[own] if branched else None, delta[own], back)


def _variance(z: Array) -> Array:
    """The variance of (R, B, n) over samples and units, (R,)."""
    count = z.shape[1] * z.shape[2]
    return total(np.square(z - (total(z) / count)[:, None, None])) / count


def _stacks(flat: Array, layers: Sequence[Layer]) -> list[Array]:
    """Views (R, layers, n_in + 1, n_out) of [Wᵀ; b], neighbours of one shape together, to measure in one call."""
    stacks, start = [], 0
    for sizes, neighbours in groupby(layers, key=lambda layer: layer.sizes):
        count, size, n_out = len(list(neighbours)), sum(sizes.values()), sizes["b"]
        stack = flat[:, start : start + count * size].reshape(len(flat), count, size)
        stacks.append(stack[..., : sizes["W"] + n_out].reshape(len(flat), count, -1, n_out))
        start += count * size
    return stacks


def _weights(stacks: Sequence[Array]) -> list[Array]:
    """The weights alone, one after the other: (R, layers, n_in · n_out)."""
    return [stack[:, :, :-1].reshape(*stack.shape[:2], -1) for stack in stacks]


def _layers(architecture: Architecture) -> list[Layer]:
    hidden = []
    for index in range(architecture.depth):
        n_in = architecture.width if index else architecture.n_in
        residual = index > 0 and architecture.residual != "none"
        layer = Layer(
            n_in,
            architecture.width,
            activation=architecture.activation,
            normalization=architecture.normalization,
            dropout=architecture.dropout,
            skip=RESIDUALS[architecture.residual](architecture.depth) if residual else None,
        )
        hidden.append(layer)
    return [*hidden, Layer(architecture.width, architecture.n_out)]
