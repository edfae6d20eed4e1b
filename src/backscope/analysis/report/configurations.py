"""The configurations of a sweep, with what each came to: verdicts, numbers with intervals, and curves to draw.

Medians are over a configuration's networks (replicas and seeds). Bands are quartiles; intervals of numbers are those of
`analysis.intervals`.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from backscope.analysis.frames import Cube, cube, spread
from backscope.analysis.intervals import Estimate, estimate, scores, values
from backscope.analysis.report.study import Axis, Study, text
from backscope.tracking.points import thin

POINTS = 33  # of a curve over the steps, or of a profile over the layers


class Curve(NamedTuple):
    """Quartiles over the networks (n,) at x: steps or layers."""

    x: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Configuration:
    """What was chosen (an index into the values of each axis), and its runs, one a seed."""

    study: Study
    at: tuple[int, ...]
    rows: list[int]

    def of(self, column: str) -> list[Any]:
        """What its runs have in a column; empty where there is no such column."""
        values = self.study.columns.get(column)
        return [] if values is None else [values[row] for row in self.rows]

    @cached_property
    def finished(self) -> list[pd.DataFrame]:
        """The traces of the runs that finished."""
        names = [str(self.study.runs.index[row]) for row in self.rows]
        return [self.study.traces[name] for name in names if name in self.study.traces]

    @cached_property
    def networks(self) -> int:
        """How many networks were trained: replicas and seeds."""
        return sum(map(int, self.of("replicas"))) or len(self.rows)

    @property
    def verdicts(self) -> dict[str, int]:
        """The verdicts of its runs, the most frequent first."""
        return dict(Counter(self.of("verdict")).most_common())

    @property
    def said(self) -> str:
        """The verdict, or how often each was given."""
        found = self.verdicts
        return next(iter(found)) if len(found) == 1 else ", ".join(f"{name} {count}" for name, count in found.items())

    @property
    def evidence(self) -> str:
        """What the rules saw, of its first run."""
        return str(self.of("evidence")[0])

    def name(self, axes: Sequence[int]) -> str:
        """Its choices on these axes in words."""
        chosen = [(self.study.axes[axis], self.at[axis]) for axis in axes]
        return " ".join(f"{axis.label} {text(axis.values[at])}" for axis, at in chosen)

    def number(self, name: str) -> Estimate | None:
        """The median of a number over the networks, with its interval; None where it is not known."""
        known = [not math.isnan(value) for value in self.of(f"summary/{name}")]
        if not any(known):
            return None
        if self.networks == 1:
            return Estimate(*3 * (float(self.of(f"summary/{name}")[0]),), level=0.0, seeds=1)
        if self.networks > len(self.rows):
            of_networks = self.samples[name].dropna()
            return estimate(of_networks) if len(of_networks) else None
        runs = self.study.runs.iloc[list(compress(self.rows, known))]
        return estimate(values(runs, name, lambda run_id: self.study.traces[run_id]))

    @cached_property
    def samples(self) -> pd.DataFrame:
        """What its networks came to, one a row."""
        return pd.concat([scores(trace, int(self.of("training.steps")[0])) for trace in self.finished])

    def profile(self, moment: int) -> Curve | None:
        """Gradient norms by layer at the first (0) or the last (-1) measured step; None without one."""
        cubes = [cube(trace, "grad_norm") for trace in self.finished if _has(trace, "grad_norm")]
        if not cubes or (moment and len(cubes[0].steps) == 1):
            return None
        return _pooled(cubes[0].layers, [measured.values[moment] for measured in cubes])

    def prediction(self) -> Curve | None:
        """What theory predicts of the gradient norms at the first step; None where it says nothing."""
        trace = next((trace for trace in self.finished if _has(trace, "theory/grad_norm")), None)
        if trace is None:
            return None
        predicted = cube(trace, "theory/grad_norm")
        return _pooled(predicted.layers, [predicted.values[0]])

    def losses(self) -> Curve | None:
        """The loss of each step's batch."""
        cubes = [cube(trace, "train/loss") for trace in self.finished if _has(trace, "train/loss")]
        if not cubes:
            return None
        steps = cubes[0].steps[thin(cubes[0].steps, POINTS)]
        return _pooled(steps, [_at(measured, steps) for measured in cubes])


def configurations(study: Study) -> list[Configuration]:
    """The configurations of a sweep, in the order of their first runs."""
    index = [{value: i for i, value in enumerate(axis.values)} for axis in study.axes]
    columns = [study.runs[axis.key].tolist() for axis in study.axes]
    found: dict[tuple[int, ...], list[int]] = {}
    for row, point in enumerate(zip(*columns, strict=True)):
        found.setdefault(tuple(at[value] for at, value in zip(index, point, strict=True)), []).append(row)
    return [Configuration(study, at, rows) for at, rows in found.items()]


def full(axes: Sequence[Axis], found: Sequence[Configuration]) -> bool:
    """Whether most combinations of choices are there, as in a grid and unlike in a search."""
    return math.prod(len(axis.values) for axis in axes) <= 4 * len(found)


def _has(trace: pd.DataFrame, quantity: str) -> bool:
    return bool((trace["quantity"] == quantity).any())


def _at(measured: Cube, steps: np.ndarray) -> np.ndarray:
    """A scalar's values (R, T) at these steps; NaN where a run was over before."""
    where = np.searchsorted(measured.steps, steps).clip(max=len(measured.steps) - 1)
    return np.where(measured.steps[where] == steps, measured.values[where, :, 0].T, np.nan)


def _pooled(x: np.ndarray, networks: list[np.ndarray]) -> Curve:
    """Quartiles over all networks of runs' values (R, n), at not too many of x."""
    low, middle, high = spread(np.concatenate(networks), 0)
    few = np.unique(np.linspace(0, len(x) - 1, min(POINTS, len(x))).round().astype(int))
    return Curve(x[few], low[few], middle[few], high[few])
