"""Backpropagation against numerical differentiation: how exact, and how much cheaper (Baur & Strassen 1983).

Along one random direction d, g·d is compared with the central difference (L(θ+hd) − L(θ−hd))/2h for many h, whose error
has a V shape: truncation ∝ h² on the right, rounding ∝ 1/h on the left; and with the complex step Im L(θ+ihd)/h, which
has no rounding error (Squire & Trapp 1998), for activations that are analytic. Cost is counted in multiply–adds.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Instrument, copy

STEPS = [10.0**-k for k in range(1, 13)]
COMPLEX_STEP = 1e-30
SAMPLED = 20


def errors(network: Network) -> dict[str, Array]:
    """The relative error (R,) of each step size."""
    twin, x, y = copy(network), network.x1[..., :-1], network.y
    twin.forward(x, y)
    twin.backward()
    drawn = np.random.default_rng(0).standard_normal((1, network.theta.shape[1]))
    direction = drawn[0] / np.sqrt(np.vecdot(drawn, drawn))
    exact = twin.gradient @ direction
    sides = {h: [_loss(twin, network.theta + sign * h * direction, x, y) for sign in (1, -1)] for h in STEPS}
    found = {f"finite_differences/error_h{h:.0e}": (plus - minus) / (2 * h) for h, (plus, minus) in sides.items()}
    if network.architecture.activation.analytic and network.architecture.normalization == "none":
        twin = copy(network, np.complex128)
        loss = _loss(twin, network.theta + 1j * COMPLEX_STEP * direction, x, y)
        found["finite_differences/error_complex_step"] = loss.imag / COMPLEX_STEP
    return {name: np.abs(value / exact - 1) for name, value in found.items()}


def _loss(network: Network, theta: Array, x: Array, y: Array) -> Array:
    np.copyto(network.theta, theta)
    return network.forward(x, y)


def costs(network: Network) -> dict[str, Array]:
    """Seconds of one gradient, by backpropagation and by central differences (from a sample of coordinates), (R,)."""
    twin, x, y = copy(network), network.x1[..., :-1], network.y
    replicas, parameters = network.theta.shape

    def backpropagate() -> None:
        twin.forward(x, y)
        twin.backward()

    def differentiate() -> None:
        for coordinate in range(SAMPLED):
            for sign in (1, -1):
                twin.theta[:, coordinate] += sign * 1e-5
                twin.forward(x, y)

    back, differences = _seconds(backpropagate), _seconds(differentiate) * parameters / SAMPLED
    return {
        "seconds/backpropagation": np.full(replicas, back),
        "seconds/finite_differences": np.full(replicas, differences),
        "finite_differences/parameters": np.full(replicas, float(parameters)),
    }


def _seconds(work: Callable[[], None], repeats: int = 7) -> float:
    """The median time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return float(np.median(times))


def multiply_adds(network: Network) -> dict[str, Array]:
    """Multiply–adds of the matrix products of a forward pass, and of it with the backward pass, as they happen."""
    twin, x, y = copy(network), network.x1[..., :-1], network.y
    replicas, matmul, counted = len(network.theta), np.matmul, [0]

    def counting(a: Array, b: Array, **keywords: Any) -> Array:
        counted[0] += a.shape[-2] * a.shape[-1] * b.shape[-1]
        return matmul(a, b, **keywords)

    twin.forward(x, y)
    with patch.object(np, "matmul", counting):
        twin.forward(x, y)
        forward = counted[0]
        twin.backward()
    return {
        "multiply_adds/forward": np.full(replicas, float(forward)),
        "multiply_adds/gradient": np.full(replicas, float(counted[0])),
    }


INSTRUMENT = Instrument(
    "finite_differences",
    "backpropagation against finite differences",
    lambda network: errors(network) | costs(network) | multiply_adds(network),
)
