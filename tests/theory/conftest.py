"""Random networks in plain NumPy, independent of backscope.nn: what the predictions of theory are tested against."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

AXES = {"batch_norm": 1, "layer_norm": 2}


@dataclass
class Pass:
    """What the forward pass leaves of one layer of R networks."""

    a_in: np.ndarray
    w: np.ndarray
    z: np.ndarray
    z_hat: np.ndarray
    deviation: np.ndarray | float
    axis: int | None  # that is normalized over
    mask: np.ndarray
    skip: bool


def normalize(z, axis):
    if axis is None:
        return z, 1.0
    z = z - z.mean(axis, keepdims=True)
    deviation = np.sqrt((z**2).mean(axis, keepdims=True) + 1e-5)
    return z / deviation, deviation


def through_norm(delta, layer):
    if layer.axis is None:
        return delta
    mean, projection = (g.mean(layer.axis, keepdims=True) for g in (delta, delta * layer.z_hat))
    return (delta - mean - layer.z_hat * projection) / layer.deviation


def draw(rng, shape, sigma_w2, orthogonal):
    """Gaussian weights (R, n_out, n_in) with n_in·Var(W) = σw², or scaled orthonormal rows or columns."""
    *_, n_out, n_in = shape
    if not orthogonal:
        return rng.normal(0, np.sqrt(sigma_w2 / n_in), shape)
    q, r = np.linalg.qr(rng.normal(size=(shape[0], max(n_out, n_in), min(n_out, n_in))))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    return np.sqrt(sigma_w2 * max(1, n_out / n_in)) * (q if n_out >= n_in else q.mT)


def forward(rng, activation, sigma_w2, x, widths, replicas, *, sigma_b2, normalization, scale, dropout, orthogonal):
    a, layers, depth = np.broadcast_to(x, (replicas, *x.shape)), [], len(widths) - 2
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        w = draw(rng, (replicas, fan_out, fan_in), sigma_w2, orthogonal)
        axis = AXES.get(normalization) if index < depth else None
        z_hat, deviation = normalize(a @ w.mT, axis)
        z = z_hat + rng.normal(0, np.sqrt(sigma_b2), (replicas, 1, fan_out))
        mask = (rng.random(z.shape) >= dropout) / (1 - dropout)
        layers.append(Pass(a, w, z, z_hat, deviation, axis, mask, scale is not None and 0 < index < depth))
        branch = mask * activation(z)
        a = a + scale * branch if layers[-1].skip else branch
    return layers


def backward(activation, layers, delta, scale):
    """Squares of δ's RMS and of the gradient norms of every layer, from the head down."""
    back = None
    for layer in layers[::-1]:
        if back is not None:
            delta = (scale if layer.skip else 1.0) * back * layer.mask * activation.derivative(layer.z)
        delta_w = through_norm(delta, layer)
        gradient = delta_w.mT @ layer.a_in
        yield (delta**2).mean((1, 2)), (gradient**2).sum((1, 2)), (delta.sum(1) ** 2).sum(1)
        back = delta_w @ layer.w + (back if layer.skip else 0)


def random_networks(
    activation,
    sigma_w2,
    x,
    y,
    *,
    depth,
    width,
    replicas,
    sigma_b2=0.0,
    normalization="none",
    scale=None,
    dropout=0.0,
    loss="cross_entropy",
    orthogonal=False,
):
    """Squares of the quantities of `predict` in each of `replicas` networks, {name: (R, L)}."""
    widths = [x.shape[1], *[width] * depth, y.shape[1]]
    options = {"sigma_b2": sigma_b2, "normalization": normalization, "dropout": dropout, "orthogonal": orthogonal}
    layers = forward(np.random.default_rng(0), activation, sigma_w2, x, widths, replicas, scale=scale, **options)
    outputs = layers[-1].z
    if loss == "cross_entropy":
        outputs = np.exp(outputs - outputs.max(-1, keepdims=True))
        outputs /= outputs.sum(-1, keepdims=True)
    norms = list(backward(activation, layers, (outputs - y) / len(x), scale))[::-1]
    squares = dict(zip(("delta_rms", "grad_norm", "bias_grad_norm"), zip(*norms, strict=True), strict=True))
    squares["pre_activation_std"] = [layer.z.var((1, 2)) for layer in layers]
    return {name: np.stack(columns, axis=-1) for name, columns in squares.items()}


@pytest.fixture
def networks():
    """The function that draws and measures random networks."""
    return random_networks


@pytest.fixture
def batch():
    """Three noisy clusters of samples that differ in their norms, (48, 20), with one-hot targets (48, 3)."""
    rng = np.random.default_rng(7)
    classes = rng.integers(3, size=48)
    x = rng.normal(size=(3, 20))[classes] + 0.7 * rng.normal(size=(48, 20))
    return x * rng.uniform(0.5, 1.5, size=(48, 1)), np.eye(3)[classes]
