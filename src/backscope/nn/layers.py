"""One layer, forward and backward: the equations of backpropagation stand in `forward` and `backward` below.

Shapes: R replicas, B samples; a_in (R, B, n_in), z, a, delta (R, B, n_out), W (R, n_out, n_in), b (R, n_out).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backscope.nn.activations import Activation
from backscope.nn.normalization import NORMALIZATIONS

Array = np.ndarray


class Layer:
    """A dense layer, with views into the network's flat parameters and gradient, and what the last pass left in it.

    `normalization` sits on W a; `dropout` and the residual connection sit on f(z). The head has no activation.
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
        self.sizes = {"W": n_out * n_in, "b": n_out}
        if normalization != "none":
            self.sizes["gamma"] = n_out
        if skip == 0.0:  # the branch is scaled by a parameter that starts at zero
            self.sizes["scale"] = 1

    def attach(self, theta: Array, gradient: Array, start: int) -> int:
        """Take views of this layer's parameters and gradients from `start` on; returns where the next layer begins."""
        for name, size in self.sizes.items():
            setattr(self, name, theta[:, start : start + size])
            setattr(self, f"d{name}", gradient[:, start : start + size])
            start += size
        self.W_flat, self.dW_flat = self.W, self.dW
        self.W, self.dW = (flat.reshape(-1, self.n_out, self.n_in) for flat in (self.W, self.dW))
        self.W_T, self.b_row, self.db_row = self.W.mT, self.b[:, None, :], self.db[:, None, :]
        self.normalization = None
        if self.normalization_name != "none":
            self.gamma.fill(1.0)
            self.normalization = NORMALIZATIONS[self.normalization_name](self.gamma, self.dgamma)
        return start

    def bind(self, batch: int, scratch: Array | None) -> None:
        """Make the buffers for batches of this size; `scratch` is one that all hidden layers share, for f′(z)."""
        shape, dtype = (len(self.W), batch, self.n_out), self.W.dtype
        self.z, self.delta, self.f_prime = np.empty(shape, dtype), np.empty(shape, dtype), scratch
        self.ones = np.ones((1, 1, batch), dtype)
        self.f_z = self.a = self.z if self.activation is None else np.empty(shape, dtype)
        self.back = self.delta  # ∂L/∂a; multiplied by f′ in place it is δ, unless a skip connection still needs it
        self.mask = np.ones(shape, dtype) if self.dropout else None
        if self.mask is not None or self.skip is not None:
            self.a, self.branch = np.empty(shape, dtype), np.empty(shape, dtype)
        if self.skip is not None:
            self.back = np.empty(shape, dtype)

    def forward(self, a_in: Array, training: bool) -> Array:
        """z = a_in Wᵀ + b, a = f(z)."""
        self.a_in = a_in
        z = np.matmul(a_in, self.W_T, out=self.z)
        if self.normalization is not None:
            self.normalization.forward(z, training)
        np.add(z, self.b_row, out=z)
        if self.activation is not None:
            self.activation.f(z, self.f_z)
        if self.a is not self.f_z:
            self._join_branch()
        return self.a

    def backward(self, below: Layer | None) -> None:
        """δ = ∂L/∂a ⊙ f′(z), ∂L/∂W = δᵀ a_in, ∂L/∂b = Σ δ over the batch, and ∂L/∂a_in = δ W for the layer below."""
        if self.a is not self.f_z:
            self._split_branch()
        if self.activation is not None:  # the head's δ comes from the loss
            np.multiply(self.delta, self.activation.f_prime(self.z, self.f_z, self.f_prime), out=self.delta)
        delta = self.delta if self.normalization is None else self.normalization.backward(self.delta)
        self.delta_W = delta  # ∂L/∂(Wa), which is δ itself without normalization
        np.matmul(delta.mT, self.a_in, out=self.dW)
        np.matmul(self.ones, self.delta, out=self.db_row)
        if below is not None:
            np.matmul(delta, self.W, out=below.back)
            if self.skip is not None:
                np.add(below.back, self.back, out=below.back)

    def _join_branch(self) -> None:
        """a = a_in + scale · mask ⊙ f(z): dropout (Srivastava 2014) and the residual connection (He 2016)."""
        branch = self.f_z if self.mask is None else np.multiply(self.f_z, self.mask, out=self.branch)
        if self.skip is None:
            np.copyto(self.a, branch)
        else:
            np.multiply(branch, self._scale(), out=self.a)
            np.add(self.a, self.a_in, out=self.a)

    def _split_branch(self) -> None:
        """∂L/∂f(z) from ∂L/∂a, into delta; the learned scale gets its gradient Σ ∂L/∂a · branch."""
        if self.skip is not None:
            if "scale" in self.sizes:
                branch = self.f_z if self.mask is None else self.branch
                self.dscale[:, 0] = np.vecdot(self.back, branch).sum(axis=-1)
            np.multiply(self.back, self._scale(), out=self.delta)
        if self.mask is not None:
            np.multiply(self.delta, self.mask, out=self.delta)

    def _scale(self) -> float | Array:
        return self.scale[:, :, None] if "scale" in self.sizes else self.skip

    def draw_mask(self, rngs: Sequence[np.random.Generator]) -> None:
        """Draw the inverted dropout mask: 0 with probability `dropout`, else 1/(1 − dropout)."""
        for mask, rng in zip(self.mask, rngs, strict=True):
            np.divide(rng.random(mask.shape) >= self.dropout, 1 - self.dropout, out=mask, casting="same_kind")
