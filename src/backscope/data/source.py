"""A source of data: its size, known without drawing, and the function that draws it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from backscope.nn.domains import Interval

Array = np.ndarray
Task = Literal["classification", "regression"]

Samples = Annotated[int, Interval(2, 100_000, "both", integer=True)]
Features = Annotated[int, Interval(1, 4096, "both", integer=True)]
Classes = Annotated[int, Interval(2, 1000, "both", integer=True)]


@dataclass(frozen=True)
class Source:
    """What draw(rng) → (x, y) will return: x (n_samples, n_in), y (n_samples,) classes or real targets.

    `digest` is that of the arrays, where no registered name stands for them; `whole` keeps no part for a test.
    """

    n_samples: int
    n_in: int
    n_out: int
    draw: Callable[[np.random.Generator], tuple[Array, Array]]
    task: Task = "classification"
    digest: str = ""
    whole: bool = False


def seed(rng: np.random.Generator) -> int:
    """A seed drawn from rng, for the libraries that know only integers."""
    return int(rng.integers(2**31))
