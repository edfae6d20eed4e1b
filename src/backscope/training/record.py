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
    batch normalization; `theory[quantity]` (L,) is what theory predicts for the initialization.
    """

    config: Any
    steps: Array
    layers: dict[str, Array]
    scalars: dict[str, tuple[Array, Array]]
    diverged_at: Array
    seconds: dict[str, float]
    theta: Array
    statistics: Array
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

    def add(self, step: int, value: Array, alive: Array) -> None:
        """Add a value; replicas that are not alive get NaN, and so does what is not finite."""
        kept = np.array(value, dtype=float)
        kept[~alive] = np.nan
        kept[~np.isfinite(kept)] = np.nan
        self.steps.append(step)
        self.values.append(kept)

    def arrays(self) -> tuple[Array, Array]:
        return np.array(self.steps), np.array(self.values)
