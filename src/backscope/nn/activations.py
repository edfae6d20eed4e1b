"""Activations f and their derivatives f′: what a neuron does to its pre-activation z.

Both write into a buffer of the caller's (not z itself). The derivative may use the output a = f(z), which is
often the cheaper way. Every f is finite at any finite z and keeps full relative accuracy for tiny z: a
vanishing signal is the subject here and must not be lost to cancellation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import erf as erf_of
from scipy.special import expit, ndtr

from backscope.nn.domains import Positive, UnitInterval

Array = np.ndarray
SQRT_2_PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class Activation:
    """An activation: f(z, out) → a and f_prime(z, a, out) → f′(z), elementwise, both into `out`.

    `kinks` are the points where f or f′ is not smooth; `bounded` says that f has two asymptotes, so that a unit
    can saturate; `analytic` that f takes complex numbers.

    >>> relu()(np.array([-2.0, 3.0])), relu().derivative(np.array([-2.0, 3.0]))
    (array([0., 3.]), array([0., 1.]))
    """

    f: Callable[[Array, Array], Array]
    f_prime: Callable[[Array, Array, Array], Array]
    kinks: tuple[float, ...] = ()
    bounded: bool = False
    analytic: bool = False

    def __call__(self, z: Array) -> Array:
        with np.errstate(over="ignore"):
            return self.f(z, np.empty_like(z))

    def derivative(self, z: Array) -> Array:
        return self.f_prime(z, self(z), np.empty_like(z))


_ZEROS: dict[tuple, Array] = {}


def _zeros_like(z: Array) -> Array:
    """Zeros laid out as z, shared: np.maximum of two arrays is three times faster than of an array and a number."""
    key = (z.shape, z.strides, z.dtype)
    if key not in _ZEROS:
        _ZEROS[key] = np.zeros_like(z)
        _ZEROS[key].flags.writeable = False
    return _ZEROS[key]


def _one(z: Array, a: Array, out: Array) -> Array:
    out.fill(1.0)
    return out


def identity() -> Activation:
    """f(z) = z."""

    def f(z: Array, out: Array) -> Array:
        np.copyto(out, z)
        return out

    return Activation(f, _one, analytic=True)


def sigmoid() -> Activation:
    """f(z) = 1 / (1 + e^(−z)), f′ = f (1 − f)."""

    def f(z: Array, out: Array) -> Array:
        np.negative(z, out=out)
        np.exp(out, out=out)  # may overflow to infinity, whose reciprocal is the right answer: 0
        out += 1.0
        return np.divide(1.0, out, out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.subtract(1.0, a, out=out)
        return np.multiply(out, a, out=out)

    return Activation(f, f_prime, bounded=True, analytic=True)


def tanh() -> Activation:
    """f(z) = tanh z, f′ = 1 − f²."""

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.square(a, out=out)
        return np.subtract(1.0, out, out=out)

    return Activation(np.tanh, f_prime, bounded=True, analytic=True)


def relu() -> Activation:
    """f(z) = max(z, 0), f′(z) = 1 if z > 0 else 0 (Nair & Hinton 2010)."""

    def f(z: Array, out: Array) -> Array:
        return np.maximum(z, _zeros_like(z), out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        return np.greater(z, 0.0, out=out, casting="unsafe")

    return Activation(f, f_prime, kinks=(0.0,))


def leaky_relu(slope: UnitInterval = 0.01) -> Activation:
    """f(z) = max(z, slope·z), f′(z) = 1 if z > 0 else slope (Maas 2013)."""

    def f(z: Array, out: Array) -> Array:
        np.multiply(z, slope, out=out)
        return np.maximum(z, out, out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.greater(z, 0.0, out=out, casting="unsafe")
        return np.maximum(out, slope, out=out)

    return Activation(f, f_prime, kinks=(0.0,))


def elu(alpha: Positive = 1.0) -> Activation:
    """f(z) = z if z > 0 else α(e^z − 1) (Clevert 2016)."""
    return _scaled_elu(1.0, alpha)


def selu() -> Activation:
    """f(z) = λ·elu(z) with λ, α such that (mean 0, variance 1) is a fixed point (Klambauer 2017, eq. 14)."""
    return _scaled_elu(1.0507009873554805, 1.6732632423543772)


def _scaled_elu(scale: float, alpha: float) -> Activation:
    def f(z: Array, out: Array) -> Array:
        negative = np.expm1(np.minimum(z, 0.0))
        negative *= scale * alpha
        np.maximum(z, 0.0, out=out)
        out *= scale
        out += negative
        return out

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.minimum(z, 0.0, out=out)
        np.exp(out, out=out)
        out *= scale * alpha
        np.copyto(out, scale, where=z > 0)
        return out

    return Activation(f, f_prime, kinks=(0.0,))


def gelu() -> Activation:
    """f(z) = z Φ(z), exactly; f′ = Φ(z) + z φ(z) (Hendrycks & Gimpel 2016)."""

    def f(z: Array, out: Array) -> Array:
        return np.multiply(z, ndtr(z), out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        density = np.exp(-0.5 * np.square(np.clip(z, -1e2, 1e2))) / SQRT_2_PI
        np.multiply(z, density, out=out)
        return np.add(out, ndtr(z), out=out)

    return Activation(f, f_prime)


def silu() -> Activation:
    """f(z) = z σ(z), f′ = σ(z) (1 + z (1 − σ(z))) (Elfwing 2018)."""

    def f(z: Array, out: Array) -> Array:
        return np.multiply(z, expit(z), out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        gate = expit(z)
        np.multiply(z, expit(-z), out=out)
        out += 1.0
        return np.multiply(out, gate, out=out)

    return Activation(f, f_prime)


def softplus() -> Activation:
    """f(z) = log(1 + e^z), f′ = σ(z) (Dugas 2001)."""
    return Activation(lambda z, out: np.logaddexp(0.0, z, out=out), lambda z, a, out: expit(z, out=out))


def softsign() -> Activation:
    """f(z) = z / (1 + |z|), f′ = 1 / (1 + |z|)² (Turian 2009)."""

    def f(z: Array, out: Array) -> Array:
        np.abs(z, out=out)
        out += 1.0
        return np.divide(z, out, out=out)

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.abs(z, out=out)
        out += 1.0
        np.square(out, out=out)
        return np.divide(1.0, out, out=out)

    return Activation(f, f_prime, kinks=(0.0,), bounded=True)


def erf() -> Activation:
    """f(z) = erf z, f′ = 2/√π e^(−z²)."""

    def f_prime(z: Array, a: Array, out: Array) -> Array:
        np.clip(z, -1e2, 1e2, out=out)
        np.square(out, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        return np.multiply(out, 2 / np.sqrt(np.pi), out=out)

    return Activation(erf_of, f_prime, bounded=True)


def step(straight_through: bool = False) -> Activation:
    """f(z) = 1 if z > 0 else 0: its true derivative is 0; straight-through pretends it is 1 (Bengio 2013, §4)."""

    def f(z: Array, out: Array) -> Array:
        return np.greater(z, 0.0, out=out, casting="unsafe")

    def zero(z: Array, a: Array, out: Array) -> Array:
        out.fill(0.0)
        return out

    return Activation(f, _one if straight_through else zero, kinks=(0.0,))


ACTIVATIONS: dict[str, Callable[..., Activation]] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "softsign": softsign,
    "erf": erf,
    "step": step,
}


@cache
def _made(name: str, parameters: tuple[tuple[str, Any], ...]) -> Activation:
    return ACTIVATIONS[name](**dict(parameters))


def activation(name: str, **parameters: Any) -> Activation:
    """The activation of that name; the same object for the same parameters, so that what is known of it can be kept.

    >>> activation("leaky_relu", slope=0.2) is activation("leaky_relu", slope=0.2)
    True
    """
    return _made(name, tuple(sorted(parameters.items())))
