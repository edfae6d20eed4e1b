"""One layer, forward and backward: the equations of backpropagation stand in `forward` and `backward` below.

Shapes: R replicas, B samples; a_in (R, B, n_in), z, a, delta (R, B, n_out), W (R, n_out, n_in), b (R, n_out).

Two choices of memory make a step fast and change no equation. The bias is one more weight, on an input that is always
1: `Wb` is the matrix [Wᵀ; b], and `a1` is a with a column of ones, so that z = a Wᵀ + b is the one product a1 @ Wb. And
activations lie in memory unit by unit with the samples contiguous, so that elementwise functions see one long vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from backscope.nn.activations import Activation
from backscope.nn.normalization import NORMALIZATIONS
from backscope.nn.sums import batch_sum, dot

Array = np.ndarray


def unit_major(make: Callable[..., Array], replicas: int, batch: int, units: int, dtype: np.dtype) -> Array:
    """An array (R, B, n) that lies in memory as (R, n, B), made by np.empty or np.ones."""
    return make((replicas, units, batch), dtype).mT


def by_sixteens(a: Array, b: Array, out: Array) -> None:
    """a @ b into out, with the samples beyond the last multiple of 16 in a product of their own.

    Some BLAS kernels (OpenBLAS for AVX-512) round at a ragged edge differently from column to column, and that would
    tell apart neurons that are the same.
    """
    even = a.shape[1] // 16 * 16
    np.matmul(a[:, :even], b, out=out[:, :even])
    np.matmul(a[:, even:], b, out=out[:, even:])


class Layer:
    """A dense layer, with views into the network's flat parameters and gradient, and what the last pass left in it.

    `normalization` sits on a Wᵀ; `dropout` and the residual connection sit on f(z). The head has no activation.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        activation: Activation | None = None,
        normalization: str = "none",
        dropout: float = 0.0,
        skip: float | None = None,
    ) -> None:
        self.n_in, self.n_out, self.activation, self.dropout = n_in, n_out, activation, dropout
        self.normalization_name, self.skip = normalization, skip
        self.sizes = {"W": n_in * n_out, "b": n_out}
        if normalization != "none":
            self.sizes["gamma"] = n_out
        if skip == 0.0:  # the branch is scaled by a parameter that starts at zero
            self.sizes["scale"] = 1

    def attach(self, theta: Array, gradient: Array, start: int) -> int:
        """Take views of this layer's parameters and gradients from `start` on; returns where the next layer begins."""
        end = start + self.sizes["W"] + self.n_out
        self.Wb, self.dWb = (flat[:, start:end].reshape(-1, self.n_in + 1, self.n_out) for flat in (theta, gradient))
        self.W, self.dW = self.Wb[:, :-1].mT, self.dWb[:, :-1].mT
        self.b, self.db = self.Wb[:, -1], self.dWb[:, -1]
        self.normalization = None
        if "gamma" in self.sizes:
            self.gamma, self.dgamma = (flat[:, end : end + self.n_out] for flat in (theta, gradient))
            self.gamma.fill(1.0)
            self.normalization = NORMALIZATIONS[self.normalization_name](self.gamma, self.dgamma)
            end += self.n_out
        if "scale" in self.sizes:
            self.scale, self.dscale = (flat[:, end : end + 1] for flat in (theta, gradient))
            end += 1
        return end

    def bind(self, z: Array, a1: Array, f_z: Array | None, delta: Array, back: Array) -> None:
        """Take the buffers for batches of one size: `f_z` if a differs from f(z), `back` for ∂L/∂a unless it skips."""
        self.z, self.a1, self.delta, self.back = z, a1, delta, back
        self.matmul = by_sixteens if z.shape[1] % 16 else np.matmul
        self.a = z if self.activation is None else a1[..., :-1]
        self.f_z = self.a if f_z is None else f_z
        self.f_prime = delta  # f′(z) lies where δ will
        self.mask = np.ones_like(z) if self.dropout else None
        if self.skip is not None:
            self.back = np.empty_like(z)  # its own, since the layer below needs it too
        if self.normalization is not None:
            self.normalization.bind(self.z)

    def forward(self, a1_in: Array, training: bool) -> Array:
        """z = a_in Wᵀ + b, a = f(z), from and to an activation with its column of ones."""
        self.a1_in = a1_in
        if self.normalization is None:
            self.matmul(a1_in, self.Wb, out=self.z)
        else:
            self.matmul(a1_in[..., :-1], self.W.mT, out=self.z)
            self.normalization.forward(self.z, training)
            np.add(self.z, self.b[:, None], out=self.z)
        if self.activation is not None:
            self.activation.f(self.z, self.f_z)
        if self.f_z is not self.a:
            self._join_branch()
        return self.a1

    def backward(self, below: Layer | None) -> None:
        """δ = ∂L/∂a ⊙ f′(z), ∂L/∂W = δᵀ a_in, ∂L/∂b = Σ δ over the batch, and ∂L/∂a_in = δ W for the layer below.

        `f_prime` holds f′(z) already: the network computes it for many layers in one call.
        """
        delta = self.delta
        if self.activation is not None:  # the head's δ comes from the loss
            np.multiply(self.back, self.f_prime, out=delta)
        if self.f_z is not self.a:
            self._split_branch()
        if self.normalization is None:
            np.matmul(self.a1_in.mT, delta, out=self.dWb)  # ∂L/∂W and ∂L/∂b
        else:
            batch_sum(delta, out=self.db)
            delta = self.normalization.backward(delta, self.db)
            np.matmul(self.a1_in[..., :-1].mT, delta, out=self.dW.mT)
        self.delta_in = delta  # ∂L/∂(a_in Wᵀ), which is δ itself without normalization
        if below is not None:
            self.matmul(delta, self.W, out=below.back)
            if self.skip is not None:
                np.add(below.back, self.back, out=below.back)

    def _join_branch(self) -> None:
        """a = a_in + scale · mask ⊙ f(z): dropout (Srivastava 2014) and the residual connection (He 2016)."""
        np.multiply(self.f_z, self.branch_scale(), out=self.a)
        if self.mask is not None:
            np.multiply(self.a, self.mask, out=self.a)
        if self.skip is not None:
            np.add(self.a, self.a1_in[..., :-1], out=self.a)

    def _split_branch(self) -> None:
        """δ = ∂L/∂a ⊙ scale · mask ⊙ f′(z); the learned scale gets its gradient Σ ∂L/∂a · mask ⊙ f(z)."""
        if "scale" in self.sizes:
            self.dscale[:, 0] = dot(self.back, self.f_z if self.mask is None else self.f_z * self.mask)
        if self.skip is not None:
            np.multiply(self.delta, self.branch_scale(), out=self.delta)
        if self.mask is not None:
            np.multiply(self.delta, self.mask, out=self.delta)

    def branch_scale(self) -> float | Array:
        """What the residual branch is multiplied by: a constant, or the learned scale (R, 1, 1)."""
        if "scale" in self.sizes:
            return self.scale[:, :, None]
        return 1.0 if self.skip is None else self.skip

    def draw_mask(self, rngs: Sequence[np.random.Generator] | None, training: bool) -> None:
        """Draw the inverted dropout mask: 0 with probability `dropout`, else 1/(1 − dropout); 1 in evaluation."""
        assert self.mask is not None
        if not training:
            self.mask.fill(1.0)
        elif rngs is not None:
            for mask, rng in zip(self.mask, rngs, strict=True):
                np.divide(rng.random(mask.shape) >= self.dropout, 1 - self.dropout, out=mask, casting="same_kind")
