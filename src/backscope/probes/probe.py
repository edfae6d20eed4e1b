"""What a probe is, one quantity of every layer, and what an instrument is, a few numbers of a whole network."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from backscope.nn.layers import Layer
from backscope.nn.network import Hidden, Network
from backscope.nn.sums import dot, total

Array = np.ndarray
Tier = Literal["economy", "standard", "full"]


@dataclass(frozen=True)
class Probe:
    """A quantity and how to measure it: measure(network) → (R, L), NaN where it is not defined for a layer.

    A "gradient" probe reads the network between backward and update, before clipping; an "update" probe reads it after
    the update, when `network.gradient` holds the step taken. The tier says what it costs.
    """

    name: str
    title: str
    measure: Callable[[Network], Array]
    tier: Tier = "standard"
    moment: Literal["gradient", "update"] = "gradient"
    logarithmic: bool = False


@dataclass(frozen=True)
class Instrument:
    """A measurement too dear to make unasked: measure(network) → {name: (R,)}, read like a "gradient" probe.

    It may compute with a `copy` of the network, never with the network itself.
    """

    name: str
    title: str
    measure: Callable[[Network], dict[str, Array]]


def copy(network: Network, dtype: np.dtype | type | str | None = None) -> Network:
    """A network of the same parameters and dropout-free, to compute with while the original rests."""
    twin = Network(replace(network.architecture, dropout=0.0), len(network.theta), dtype or network.theta.dtype)
    np.copyto(twin.theta, network.theta)
    return twin


def of_layers(measure: Callable[[Layer], Array]) -> Callable[[Network], Array]:
    """Measure every layer by itself: (R,) each, stacked to (R, L)."""
    return lambda network: np.stack([measure(layer) for layer in network.layers], axis=-1)


def of_signals(measure: Callable[[Hidden | Layer], Array]) -> Callable[[Network], Array]:
    """Measure what passes through the layers, (R, L): hidden layers in few calls, and the head."""
    return lambda network: _joined([*map(measure, network.hidden), measure(network.layers[-1])], network)


def of_hidden_signals(measure: Callable[[Hidden], Array]) -> Callable[[Network], Array]:
    """Measure what passes through the hidden layers, in few calls; NaN for the head."""
    return lambda network: _joined([*map(measure, network.hidden), np.full(len(network.theta), np.nan)], network)


def _joined(values: Sequence[Array], network: Network) -> Array:
    """(R, L) from values (layers · R,) of neighbouring layers."""
    return np.concatenate(values).reshape(-1, len(network.theta)).T


def derivative(hidden: Hidden) -> Array:
    """f′(z) (layers · R, B, n)."""
    return hidden.activation.f_prime(hidden.z, hidden.f_z, np.empty_like(hidden.z))


def finite_only(function: Callable[[Array], Array], matrices: Array) -> Array:
    """A decomposition of matrices (R, m, n), which refuses what is not finite; NaN for those replicas."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    values = function(np.where(finite[:, None, None], matrices, 0.0)).astype(float)
    values[~finite] = np.nan
    return values


def singular_values(matrices: Array) -> Array:
    """The singular values of (R, m, n), from the largest to the smallest."""
    return finite_only(lambda matrices: np.linalg.svd(matrices, compute_uv=False), matrices)


def of_stacks(measure: Callable[[Array], Array], stacks: Iterable[Array]) -> Array:
    """Measure a network's stacks (R, layers, …) of layers of one shape, (R, layers) each, joined to (R, L)."""
    return np.concatenate([measure(stack) for stack in stacks], axis=-1)


def norms(stacks: Iterable[Array]) -> Array:
    """Euclidean norms over the last axis of a network's stacks, joined to (R, L)."""
    return np.sqrt(of_stacks(lambda flat: np.vecdot(flat, flat), stacks))


def mean(array: Array) -> Array:
    """The mean of (R, B, n) over samples and units, (R,)."""
    return total(array) / (array.shape[1] * array.shape[2])


def std(array: Array) -> Array:
    """The standard deviation of (R, B, n) over samples and units, (R,)."""
    return rms(array - mean(array)[:, None, None])


def rms(array: Array) -> Array:
    """The root mean square of (R, B, n) over samples and units, (R,)."""
    return np.sqrt(dot(array, array) / (array.shape[1] * array.shape[2]))
