"""The backward pass of kernels: what theory says of the gradients of a batch in every layer of a wide random network.

A layer multiplies E[∂L/∂a_a ∂L/∂a_b] by n_out·Var(W) E[φ′_a φ′_b] (Schoenholz 2017), if gradients are independent of
the weights they pass. They are not quite: see `Alignment`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backscope.theory.forward import Layer, Wide
from backscope.theory.kernel_normalization import through_normalization
from backscope.theory.kernels import batch_mean, size
from backscope.theory.moments import Moments

Array = np.ndarray

QUANTITIES = ("delta_rms", "grad_norm", "bias_grad_norm")


@dataclass(frozen=True)
class Step:
    """A layer on the way down."""

    fan_in: int
    fan_out: int
    back: float  # n_out·Var(W)
    skip: bool  # a residual connection passes it
    scale: float  # of the branch


@dataclass(frozen=True)
class Alignment:
    """The part t·a of ∂L/∂a along the signal a, and the mean m of ∂L/∂a over units: E[u_a u_b] of u = (t, m).

    Both are of order 1/n and have no place in mean-field theory, but they are alike in all samples and add up over
    layers, so that they show in ‖∂L/∂W‖. By Stein's lemma E[Wᵀg(Wa)] = n_out·Var(W) E[g′] a: the loss pushes against
    the outputs (t = n_out·Var(W) E[∂δ/∂z] below the head), φφ′ passes t on, and φ′ turns m into t, by E[φ″].
    """

    covariance: Array  # (2, 2, B, B)

    @property
    def t(self) -> Array:
        """E[t_a t_b] (B, B)."""
        return self.covariance[0, 0]

    @classmethod
    def below_head(cls, t: Array, mean_in: Array, by_chance: Array) -> "Alignment":
        """With t (B,), and a mean t times that of the signal plus one by chance, of which the kernel is given."""
        covariance = _outer(np.stack([t, t * mean_in]), np.ones_like(by_chance))
        covariance[1, 1] += by_chance
        return cls(covariance)

    def through(self, layer: Layer, moments: Moments, step: Step, own: Array, by_chance: Array) -> "Alignment":
        """One layer down; `own` is what a unit does to itself, which the independent gradient holds, not t."""
        t_t = step.back * step.scale**2 * (moments.growth - moments.curvature * moments.mean)
        t_m = step.back * step.scale * moments.curvature
        matrix = np.array([[t_t + step.skip, t_m], [layer.mean_in * t_t, layer.mean_in * t_m + step.skip]])
        half = np.einsum("ija,jkab->ikab", matrix, self.covariance)
        covariance = np.einsum("ikab,lkb->ilab", half, matrix)
        covariance -= _outer(np.stack([t_m, layer.mean_in * t_m]), own)
        covariance[1, 1] += by_chance
        return Alignment(covariance)


def _outer(factors: Array, kernel: Array) -> Array:
    return factors[:, None, :, None] * kernel * factors[None, :, None, :]


def backward(network: Wide, layers: Sequence[Layer], delta: Array, slope: Array) -> dict[str, Array]:
    """The norms of every layer, (L,), from the kernel of the head's δ (B, B) and its E[∂δ/∂z] (B,)."""
    *hidden, head = layers
    step = _step(network, len(hidden), head)
    profile = [_norms(network, step, delta, delta * head.a_in)]
    a = step.back * delta  # the kernel of ∂L/∂a, as far as it is independent of what lies below
    along = network.normalization == "none"  # a normalization lets nothing along the signal pass
    alignment = Alignment.below_head(along * step.back * slope, head.mean_in, along * a / step.fan_in)
    for index in reversed(range(len(hidden))):
        layer, step = hidden[index], _step(network, index, hidden[index])
        norms, a, alignment = _through(network, layer, step, a, alignment)
        profile.append(norms)
    return {name: np.array(column[::-1]) for name, column in zip(QUANTITIES, zip(*profile, strict=True), strict=True)}


def _step(network: Wide, index: int, layer: Layer) -> Step:
    fan_in, fan_out = network.widths[index : index + 2]
    skip = network.scale is not None and layer.moments is not None and index > 0
    scale = network.scale if skip and network.scale is not None else 1.0
    return Step(fan_in, fan_out, layer.sigma_w2 * fan_out / fan_in, skip, scale)


def _through(
    network: Wide, layer: Layer, step: Step, a: Array, alignment: Alignment
) -> tuple[list[float], Array, Alignment]:
    """One hidden layer down: its norms, and ∂L/∂a below it."""
    assert layer.moments is not None  # a hidden layer
    signal, derivative, radial, along = layer.moments.second
    t, s2 = alignment.t, step.scale**2
    branch = s2 * (a + step.skip * t * layer.a_in)
    delta = branch * derivative + s2**2 * t * along
    delta_w = through_normalization(
        delta, branch * radial, layer.normalized, network.normalization, network.batch, step.fan_out
    )
    norms = _norms(network, step, delta, delta_w * layer.a_in)
    below = step.back * delta_w
    if network.normalization == "none":
        own = (a + t * (step.skip * layer.a_in + s2 * signal)) / step.fan_out
        alignment = alignment.through(layer, layer.moments, step, own, below / step.fan_in)
    if step.skip:
        below = below + a + s2 * t * signal
    elif network.orthogonal:  # keeps |Wᵀδ|: the part along the signal is not added to it
        below = below - alignment.t * layer.a_in
    return norms, below, alignment


def _norms(network: Wide, step: Step, delta: Array, delta_a: Array) -> list[float]:
    """‖∂L/∂W‖² = Σ_ab (δ_a·δ_b)(a_a·a_b) and ‖∂L/∂b‖² = Σ_ab δ_a·δ_b over all pairs of samples."""
    pairs = step.fan_out * network.batch**2
    squares = (
        size(delta),
        step.fan_in * pairs * batch_mean(delta_a, network.batch),
        pairs * batch_mean(delta, network.batch),
    )
    return [float(np.sqrt(np.maximum(square, 0.0))) for square in squares]  # a zero may be negative by rounding
