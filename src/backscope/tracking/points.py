"""What of a record becomes MLflow's metrics: medians over replicas at few log-spaced moments, and a summary."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from backscope.training import Record

PREDICTED = {"grad_norm", "delta_rms"}  # what theory predicts and MLflow charts; all of it is in the trace
SERIES_POINTS = 8  # moments of a layer's series: 33 layers of them are 264 points
CURVE_POINTS = 32  # moments of a scalar's curve


class Verdict(Protocol):
    """What the diagnosis says of a run."""

    @property
    def name(self) -> str: ...
    @property
    def evidence(self) -> str: ...
    @property
    def numbers(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Point:
    """One value of one metric at a step, or at a layer where the metric is a depth profile."""

    key: str
    step: int
    value: float


def points(record: "Record", verdict: Verdict, quantities: Sequence[str]) -> list[Point]:
    """All of a run's metrics that are finite; those of `quantities` layer by layer."""
    found = [*summary(record, verdict), *curves(record), *series(record, quantities), *theory(record)]
    return [point for point in found if np.isfinite(point.value)]


def thin(steps: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the sorted steps, log-spaced, with the first and the last.

    >>> [int(i) for i in thin(np.arange(201), 8)]
    [0, 2, 4, 9, 20, 44, 94, 200]
    """
    if len(steps) == 0:
        return np.empty(0, dtype=int)
    wanted = steps[0] - 1 + np.geomspace(1, steps[-1] - steps[0] + 1, count).round(6)
    return np.unique(np.searchsorted(steps, wanted).clip(max=len(steps) - 1))


def median(values: np.ndarray) -> np.ndarray:
    """The median over replicas (axis 1) that are finite; NaN where none is."""
    values = np.where(np.isfinite(values), values, np.nan)
    if values.shape[1] == 1:
        return values[:, 0]
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return np.nanmedian(values, axis=1)


def series(record: "Record", quantities: Iterable[str]) -> Iterator[Point]:
    """Every layer's series in time, and the profile over layers (log10, step = layer) at three moments."""
    for quantity in quantities:
        if quantity not in record.layers:
            continue
        values = median(record.layers[quantity])
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        if len(known) == 0:
            continue
        digits = max(2, len(str(values.shape[1])))
        for moment in known[thin(record.steps[known], SERIES_POINTS)]:
            for layer, value in enumerate(values[moment], 1):
                yield Point(f"{quantity}/layer_{layer:0{digits}d}", int(record.steps[moment]), float(value))
        halfway = known[np.abs(record.steps[known] - record.steps[known[-1]] / 2).argmin()]
        for t in sorted({known[0], halfway, known[-1]}):
            key = f"depth_profile/log10_{quantity}_step_{record.steps[t]:03d}"
            for index in np.flatnonzero(values[t] > 0):
                yield Point(key, int(index) + 1, float(np.log10(values[t, index])))


def theory(record: "Record") -> Iterator[Point]:
    """The depth profiles that theory predicts for the initialization."""
    for quantity in sorted(record.theory.keys() & PREDICTED):
        for layer, value in enumerate(record.theory[quantity], 1):
            if value > 0:
                yield Point(f"theory/log10_{quantity}_step_000", layer, float(np.log10(value)))


def curves(record: "Record") -> Iterator[Point]:
    """The scalars over time, thinned."""
    for name, (steps, values) in record.scalars.items():
        middle = median(values)
        known = np.flatnonzero(np.isfinite(middle))
        for i in known[thin(steps[known], CURVE_POINTS)]:
            yield Point(name, int(steps[i]), float(middle[i]))


def summary(record: "Record", verdict: Verdict) -> Iterator[Point]:
    """One number a run: the verdict's, the last value of each scalar, times, divergence."""
    numbers = dict(verdict.numbers)
    for name, (_, values) in record.scalars.items():
        middle = median(values)
        known = middle[np.isfinite(middle)]
        numbers |= {name.replace("/", "_"): float(known[-1])} if len(known) else {}
    numbers |= {f"seconds_{name}": seconds for name, seconds in record.seconds.items()}
    diverged = record.diverged_at[record.diverged_at >= 0]
    if len(diverged):
        numbers |= {"diverged_at": float(np.median(diverged)), "diverged_replicas": float(len(diverged))}
    for name, value in numbers.items():
        yield Point(f"summary/{name}", 0, float(value))
