"""Initializers: how the weights W (n_out, n_in) of a layer are drawn, and the variance each one states.

Mean-field theory speaks of σw² = n_in · Var(W); `variance` is what it needs. `gain` multiplies every W.
LSUV starts from orthogonal weights and then looks at data: `Network.calibrate` rescales them layer by layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from backscope.nn.domains import Finite, Interval, NonNegative
from backscope.nn.network import Network

Array = np.ndarray
StandardDeviation = Annotated[float, Interval(0, 1e100, "left")]  # its square is still a number


@dataclass(frozen=True)
class Initializer:
    """A draw(rng, n_out, n_in, **parameters) → W and the variance(n_out, n_in, **parameters) that it states.

    >>> he = INITIALIZERS["he"]
    >>> he.variance(64, 32)  # 2 / fan_in
    0.0625
    >>> he.draw(np.random.default_rng(0), 64, 32).shape
    (64, 32)
    """

    draw: Callable[..., Array]
    variance: Callable[..., float]


def _normal(variance: Callable[..., float]) -> Initializer:
    """Gaussian weights of mean zero and the given variance."""

    def draw(rng: np.random.Generator, n_out: int, n_in: int, **parameters: Any) -> Array:
        return rng.normal(0.0, np.sqrt(variance(n_out, n_in, **parameters)), (n_out, n_in))

    return Initializer(draw, variance)


def _uniform(variance: Callable[..., float]) -> Initializer:
    """Uniform weights on ±√(3 Var), which have mean zero and the given variance."""

    def draw(rng: np.random.Generator, n_out: int, n_in: int, **parameters: Any) -> Array:
        limit = np.sqrt(3 * variance(n_out, n_in, **parameters))
        return rng.uniform(-limit, limit, (n_out, n_in))

    return Initializer(draw, variance)


def draw_constant(rng: np.random.Generator, n_out: int, n_in: int, value: float = 0.0) -> Array:
    """The same value in every weight: fails to break the symmetry between the neurons of a layer."""
    return np.full((n_out, n_in), value)


def zeros_variance(n_out: int, n_in: int) -> float:
    """W = 0."""
    return 0.0


def constant_variance(n_out: int, n_in: int, value: Finite) -> float:
    """W = value, without variance."""
    return 0.0


def normal_variance(n_out: int, n_in: int, std: StandardDeviation) -> float:
    """Var(W) = std², whatever the layer's size."""
    return std**2


def uniform_variance(n_out: int, n_in: int) -> float:
    """W ~ U(±1/√n_in), so Var(W) = 1/(3 n_in): the 'standard' initialization of Glorot & Bengio 2010, eq. 1."""
    return 1 / (3 * n_in)


def lecun_variance(n_out: int, n_in: int) -> float:
    """Var(W) = 1/n_in (LeCun 1998, §4.6)."""
    return 1 / n_in


def xavier_variance(n_out: int, n_in: int) -> float:
    """Var(W) = 2/(n_in + n_out) (Glorot & Bengio 2010, eq. 12)."""
    return 2 / (n_in + n_out)


def he_variance(n_out: int, n_in: int) -> float:
    """Var(W) = 2/n_in (He 2015, eq. 10)."""
    return 2 / n_in


def orthogonal_variance(n_out: int, n_in: int) -> float:
    """Var(W) = 1/max(n_out, n_in): rows or columns are orthonormal (Saxe 2013)."""
    return 1 / max(n_out, n_in)


def mean_field_variance(n_out: int, n_in: int, sigma_w2: NonNegative, sigma_b2: NonNegative = 0.0) -> float:
    """Var(W) = σw²/n_in, with biases of variance σb² (Poole 2016)."""
    return sigma_w2 / n_in


def draw_orthogonal(rng: np.random.Generator, n_out: int, n_in: int) -> Array:
    """Orthonormal rows or columns, uniformly drawn: QR of a Gaussian, with the signs of R put right (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.normal(size=(max(n_out, n_in), min(n_out, n_in))))
    q *= np.sign(np.diag(r))
    return np.ascontiguousarray(q if n_out >= n_in else q.T)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": Initializer(draw_constant, zeros_variance),
    "constant": Initializer(draw_constant, constant_variance),
    "normal": _normal(normal_variance),
    "uniform": _uniform(uniform_variance),
    "lecun": _normal(lecun_variance),
    "lecun_uniform": _uniform(lecun_variance),
    "xavier": _normal(xavier_variance),
    "xavier_uniform": _uniform(xavier_variance),
    "he": _normal(he_variance),
    "he_uniform": _uniform(he_variance),
    "orthogonal": Initializer(draw_orthogonal, orthogonal_variance),
    "lsuv": Initializer(draw_orthogonal, orthogonal_variance),
    "mean_field": _normal(mean_field_variance),
}


def sigma_w2(
    n_out: int,
    n_in: int,
    name: str,
    *,
    gain: float = 1.0,
    bias_std: float = 0.0,
    zero_layers: Sequence[int] = (),
    **parameters: Any,
) -> float:
    """σw² = n_in · Var(W) of a layer that `initialize` draws with the same arguments and does not set to zero.

    >>> sigma_w2(64, 32, "he", gain=0.5)
    0.5
    """
    return n_in * gain**2 * INITIALIZERS[name].variance(n_out, n_in, **parameters)


def initialize(
    network: Network,
    rngs: Sequence[np.random.Generator],
    name: str,
    *,
    gain: float = 1.0,
    bias_std: float = 0.0,
    zero_layers: Sequence[int] = (),
    **parameters: Any,
) -> None:
    """Draw every layer's W and b in place, replica r from the generator rngs[r].

    W is multiplied by `gain`; b ~ N(0, bias_std²), or N(0, σb²) for mean_field; the weights of `zero_layers`
    (1 = nearest the input) are set to zero after the draw.
    """
    bias_std = parameters["sigma_b2"] ** 0.5 if "sigma_b2" in parameters else bias_std
    for replica, rng in enumerate(rngs):
        for index, layer in enumerate(network.layers, start=1):
            layer.W[replica] = gain * INITIALIZERS[name].draw(rng, layer.n_out, layer.n_in, **parameters)
            layer.b[replica] = rng.normal(0.0, bias_std, layer.n_out) if bias_std else 0.0
            if index in zero_layers:
                layer.W[replica] = 0.0
