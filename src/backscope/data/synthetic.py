"""Data drawn from a formula: shapes in the plane, pure noise, and the labels of a random teacher network."""

from typing import Annotated

import numpy as np

from backscope.data.source import Array, Classes, Features, Samples, Source, seed
from backscope.nn.domains import Decay, Interval, NonNegative, Positive


def moons(n_samples: Samples = 1000, noise: NonNegative = 0.2) -> Source:
    """Two interleaving half circles in the plane, with Gaussian noise."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        from sklearn.datasets import make_moons

        x, y = make_moons(n_samples, noise=noise, random_state=seed(rng))
        return x, y

    return Source(n_samples, 2, 2, draw)


def circles(n_samples: Samples = 1000, noise: NonNegative = 0.1, factor: Decay = 0.5) -> Source:
    """A circle within a circle of radius 1, with Gaussian noise; `factor` is the inner radius."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        from sklearn.datasets import make_circles

        x, y = make_circles(n_samples, noise=noise, factor=factor, random_state=seed(rng))
        return x, y

    return Source(n_samples, 2, 2, draw)


def spirals(
    n_samples: Samples = 1000, n_classes: Classes = 3, turns: Positive = 1.0, noise: NonNegative = 0.03
) -> Source:
    """Spiral arms in the unit disc, a class an arm, with Gaussian noise."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        y = np.arange(n_samples) % n_classes
        radius = rng.uniform(0, 1, n_samples)
        angle = 2 * np.pi * (turns * radius + y / n_classes)
        x = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        return x + rng.normal(0, noise, x.shape), y

    return Source(n_samples, 2, n_classes, draw)


def gaussian(n_samples: Samples = 1000, n_in: Features = 64, n_classes: Classes = 10) -> Source:
    """Standard normal inputs with labels drawn at random: nothing to learn, only to memorise."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        return rng.standard_normal((n_samples, n_in)), rng.integers(n_classes, size=n_samples)

    return Source(n_samples, n_in, n_classes, draw)


def teacher(
    n_samples: Samples = 2000,
    n_in: Features = 32,
    n_classes: Classes = 10,
    depth: Annotated[int, Interval(1, 100, "both", integer=True)] = 2,
    width: Features = 64,
) -> Source:
    """Standard normal inputs, labelled with the largest output of a random tanh network (σw² = 2)."""

    def draw(rng: np.random.Generator) -> tuple[Array, Array]:
        x = a = rng.standard_normal((n_samples, n_in))
        for n_out in [width] * depth:
            a = np.tanh(a @ _weights(rng, n_out, a.shape[1]).mT)
        return x, np.argmax(a @ _weights(rng, n_classes, a.shape[1]).mT, axis=1)

    return Source(n_samples, n_in, n_classes, draw)


def _weights(rng: np.random.Generator, n_out: int, n_in: int) -> Array:
    return rng.normal(0, np.sqrt(2 / n_in), (n_out, n_in))
