"""Optimizers: what gradient descent does with the gradients that backpropagation computed. They know no layers.

`update(theta, gradient, lr)` moves the flat parameters (R, P) in place, θ ← θ − step, and leaves the step it took
in `gradient`: that saves a pass over memory, and whoever measures updates finds them there.
"""

from collections.abc import Callable

import numpy as np

from backscope.nn.domains import Decay, NonNegative

Array = np.ndarray


class Optimizer:
    """The part that all share: weight decay as an L2 penalty, ½ weight_decay ‖θ‖², and arrays of state made once."""

    def __init__(self, weight_decay: NonNegative = 0.0) -> None:
        self.weight_decay = weight_decay
        self.step = 0
        self.state: list[Array] = []

    def update(self, theta: Array, gradient: Array, lr: float) -> None:
        """θ ← θ − step, and gradient ← step."""
        if not self.state:
            self.state = [np.zeros_like(theta) for _ in range(self.arrays)]
        self.step += 1
        if self.weight_decay:
            gradient += self.weight_decay * theta
        self.direction(gradient, lr, *self.state)
        np.subtract(theta, gradient, out=theta)

    arrays = 0

    direction: Callable[..., None]  # direction(g, lr, *state) turns the gradient g into the step, in place


class SGD(Optimizer):
    """step = lr · g (Robbins & Monro 1951)."""

    def direction(self, g: Array, lr: float) -> None:
        np.multiply(g, lr, out=g)


class Momentum(Optimizer):
    """v ← μ v + g, step = lr · v (Polyak 1964)."""

    arrays = 1

    def __init__(self, momentum: Decay = 0.9, weight_decay: NonNegative = 0.0) -> None:
        super().__init__(weight_decay)
        self.momentum = momentum

    def direction(self, g: Array, lr: float, v: Array) -> None:
        v *= self.momentum
        v += g
        np.multiply(v, lr, out=g)


class Nesterov(Momentum):
    """v ← μ v + g, step = lr · (g + μ v) (Nesterov 1983; Sutskever 2013)."""

    def direction(self, g: Array, lr: float, v: Array) -> None:
        v *= self.momentum
        v += g
        g += self.momentum * v
        g *= lr


class Adagrad(Optimizer):
    """s ← s + g², step = lr · g / (√s + ε) (Duchi 2011)."""

    arrays = 1

    def __init__(self, eps: NonNegative = 1e-10, weight_decay: NonNegative = 0.0) -> None:
        super().__init__(weight_decay)
        self.eps = eps

    def direction(self, g: Array, lr: float, s: Array) -> None:
        s += g * g
        _divide_by_root(g, g, s, self.eps)
        g *= lr


class RMSprop(Optimizer):
    """s ← ρ s + (1 − ρ) g², step = lr · g / (√s + ε) (Hinton 2012, lecture 6e)."""

    arrays = 1

    def __init__(self, rho: Decay = 0.99, eps: NonNegative = 1e-8, weight_decay: NonNegative = 0.0) -> None:
        super().__init__(weight_decay)
        self.rho, self.eps = rho, eps

    def direction(self, g: Array, lr: float, s: Array) -> None:
        s *= self.rho
        s += (1 - self.rho) * (g * g)
        _divide_by_root(g, g, s, self.eps)
        g *= lr


class Adam(Optimizer):
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², step = lr · m̂ / (√v̂ + ε), hats without bias (Kingma & Ba 2015, Alg. 1).

    The state holds m/(1−β₁) and v/(1−β₂): with all scalars folded into one at the end, that is three passes less.
    """

    arrays = 2

    def __init__(
        self,
        beta1: Decay = 0.9,
        beta2: Decay = 0.999,
        eps: NonNegative = 1e-8,
        weight_decay: NonNegative = 0.0,
    ) -> None:
        super().__init__(weight_decay)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def direction(self, g: Array, lr: float, m: Array, v: Array) -> None:
        unbias_m = (1 - self.beta1) / (1 - self.beta1**self.step)
        unbias_v = ((1 - self.beta2) / (1 - self.beta2**self.step)) ** 0.5
        m *= self.beta1
        m += g
        np.multiply(g, g, out=g)
        v *= self.beta2
        v += g
        _divide_by_root(g, m, v, self.eps / unbias_v)
        np.multiply(g, lr * unbias_m / unbias_v, out=g)


class AdamW(Adam):
    """Adam with decoupled weight decay: step = Adam's + lr · weight_decay · θ (Loshchilov & Hutter 2019, Alg. 2)."""

    def update(self, theta: Array, gradient: Array, lr: float) -> None:
        decay, self.weight_decay = self.weight_decay, 0.0
        shrink = lr * decay * theta
        super().update(theta, gradient, lr)
        self.weight_decay = decay
        theta -= shrink
        gradient += shrink


def _divide_by_root(out: Array, numerator: Array, square: Array, eps: float) -> None:
    """out ← numerator / (√square + eps), where 0/0 is no step."""
    if out is numerator:
        numerator = numerator.copy()
    np.sqrt(square, out=out)
    if eps:
        out += eps
    else:
        out[out == 0] = 1.0
    np.divide(numerator, out, out=out)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def clip_by_global_norm(gradient: Array, limit: float) -> None:
    """Scale each replica's gradient to a norm of at most `limit`, in place (Pascanu, Mikolov & Bengio 2013)."""
    norm = np.sqrt(np.vecdot(gradient, gradient))
    for replica in np.flatnonzero(norm > limit):
        gradient[replica] *= limit / norm[replica]
