"""The record of a run: all that was measured, as arrays over steps, replicas and layers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
TIMES = ("seconds/", "summary/seconds_")  # begin the names of quantities and metrics that no two runs share


@dataclass
class Record:
    """What a run measured. T moments, R replicas, L = depth + 1 layers; NaN: not defined, or the replica had diverged.

    `layers[quantity]` is (T, R, L) at `steps` (T,); `scalars[name]` is a pair of steps (S,) and values (S, R).
    `diverged_at` (R,) is the step at which a replica's loss was first not finite, −1 if it never was.
    `seconds` says where the time went; `theta` (R, P) are the parameters at the end, `statistics` (R, S) those of
    batch normalization; `data` describes what was learned, with a digest of all its arrays, and `example` (N, n_in) are
    a few inputs; `theory[quantity]` (L,) is what theory predicts for the initialization.
    """

    config: Any
    steps: Array
    layers: dict[str, Array]
    scalars: dict[str, tuple[Array, Array]]
    diverged_at: Array
    seconds: dict[str, float]
    theta: Array
    statistics: Array = field(default_factory=lambda: np.empty((1, 0)))
    data: dict[str, Any] = field(default_factory=dict)
    example: Array = field(default_factory=lambda: np.empty((0, 1)))
    theory: dict[str, Array] = field(default_factory=dict)

    def final(self, name: str) -> Array:
        """The last values (R,) of a scalar; NaN if it was never measured, as when all replicas diverge at once."""
        values = self.scalars[name][1] if name in self.scalars else np.full((1, len(self.diverged_at)), np.nan)
        return values[-1]


@dataclass
class Series:
    """Values (R,) or (R, L) as they come, with their steps."""

    steps: list[int] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)

    def add(self, step: int, value: Array) -> None:
        self.steps.append(step)
        self.values.append(value)

    def arrays(self, diverged_at: Array) -> tuple[Array, Array]:
        """Steps (S,) and values (S, R, …); NaN from the step on at which a replica diverged, and for infinities."""
        steps, values = np.array(self.steps), np.array(self.values, dtype=float)
        values[(diverged_at >= 0) & (steps[:, None] >= diverged_at)] = np.nan
        values[np.isinf(values)] = np.nan
        return steps, values
