"""The forward pass of kernels: what theory says of the signals of a batch in every layer of a wide random network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backscope.nn.activations import Activation
from backscope.theory.kernel_normalization import Normalized, normalize
from backscope.theory.kernels import correlation, total_fluctuation, total_variance
from backscope.theory.moments import Moments, table_of

Array = np.ndarray


@dataclass(frozen=True)
class Wide:
    """A wide random network and the size of its batch."""

    activation: Activation
    sigma_w2: Sequence[float] | None  # n_in·Var(W) of every layer; None: what makes Var(z) = 1 (LSUV)
    sigma_b2: float
    widths: Sequence[int]  # n_0 … n_L
    normalization: str
    scale: float | None  # of residual branches; None without residual connections
    dropout: float
    orthogonal: bool
    batch: int


@dataclass(frozen=True)
class Layer:
    """What the forward pass leaves of a layer: its input, kernel and mean over units, and its pre-activations."""

    a_in: Array
    mean_in: Array
    sigma_w2: float
    normalized: Normalized
    z: Array
    moments: Moments | None  # None for the head


def forward(network: Wide, a: Array) -> list[Layer]:
    """The layers, the head being the last, from the kernel E[x_a x_b] of the inputs (Lee 2018).

    Raises OverflowError where the signal is not finite.
    """
    layers: list[Layer] = []
    mean = np.zeros(len(a))
    for index, width in enumerate(network.widths[1:]):
        is_head = index == len(network.widths) - 2
        sigma_w2, expected_sigma_w2 = _sigma_w2(network, index, a)
        if not np.isfinite(sigma_w2 * a).all():
            raise OverflowError(f"the signal overflows in layer {index + 1}")
        normalization = "none" if is_head else network.normalization
        normalized = normalize(sigma_w2 * a, normalization, network.batch, width)
        z = normalized.kernel + network.sigma_b2
        moments = None if is_head else _activate(network, z)
        layers.append(Layer(a, mean, expected_sigma_w2, normalized, z, moments))
        if moments is None:
            break
        if index == 0 or network.scale is None:
            a, mean = moments.second[0], moments.mean
        else:
            cross = network.scale * np.multiply.outer(mean, moments.mean)
            a = a + network.scale**2 * moments.second[0] + cross + cross.T
            mean = mean + network.scale * moments.mean
    return layers


def signal_profile(network: Wide, layers: Sequence[Layer]) -> dict[str, Array]:
    """Standard deviations over samples and units, and means, of every layer, (L,); NaN for a of the head."""

    def deviations(signals: Sequence[Array], widths: Sequence[int]) -> list[float]:
        pairs = zip(signals, widths, strict=True)
        return [np.sqrt(total_variance(kernel, network.batch, width)) for kernel, width in pairs]

    means = [layer.mean_in.mean() for layer in layers[1:]]
    outputs = [layer.a_in - mean**2 for layer, mean in zip(layers[1:], means, strict=True)]
    return {
        "pre_activation_std": np.array(deviations([layer.z for layer in layers], network.widths[1:])),
        "activation_mean": np.array([*means, np.nan]),
        "activation_std": np.array([*deviations(outputs, network.widths[1:-1]), np.nan]),
    }


def _sigma_w2(network: Wide, index: int, a: Array) -> tuple[float, float]:
    """σw² for the forward pass and its expectation, which differs when LSUV sets σw² by data (Mishkin & Matas 2016)."""
    if network.sigma_w2 is not None:
        return network.sigma_w2[index], network.sigma_w2[index]
    of_layer = a, network.batch, network.widths[index + 1]
    sigma_w2 = 1 / np.float64(total_variance(*of_layer))
    return sigma_w2, sigma_w2 * total_fluctuation(*of_layer)


def _activate(network: Wide, z: Array) -> Moments:
    moments = table_of(network.activation).at(*correlation(z))
    if network.dropout:
        keep = 1 - network.dropout
        moments.second[3] /= keep**2
        np.einsum("kbb->kb", moments.second)[:] /= keep  # a sample shares its mask with itself only
        np.divide(moments.growth, keep, out=moments.growth)
    return moments
