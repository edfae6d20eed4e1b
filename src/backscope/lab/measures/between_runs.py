"""Measures across runs: slopes against what was swept, crossings, ratios, agreement."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backscope.lab.matching import matching
from backscope.lab.measures.measured import OF_RUNS, fit, numbers
from backscope.lab.registry import LabError
from backscope.lab.runs import Array, Layers, Missing, Run, Steps


def against(runs: Sequence[Run], key: str) -> Array:
    """What was swept, of each run, as numbers.

    Raises Missing if it takes fewer than two values.
    """
    values = np.array([run.choices.get(key, np.nan) for run in runs], dtype=float)
    if len(np.unique(values)) < 2:
        raise Missing(f"{key} takes one value only; a slope needs two")
    return values


@OF_RUNS
def slope(runs: Sequence[Run], of: Any, key: str, log: str = "both") -> float:
    """Slope of a measure `of` each run against what was swept (`key`); `log` axes: both, x, y or none."""
    if log not in ("both", "x", "y", "none"):
        raise LabError(f"log {log}: allowed are both, x, y and none")
    x, y = against(runs, key), numbers(runs, of)
    return fit(np.log(x) if log in ("both", "x") else x, np.log(y) if log in ("both", "y") else y)[0]


@OF_RUNS
def crossing(runs: Sequence[Run], of: Any, key: str, level: float = 1.0) -> float:
    """Where along what was swept (`key`) a measure `of` each run crosses a level, by straight lines between runs."""
    order = np.argsort(against(runs, key))
    x, y = against(runs, key)[order], numbers(runs, of)[order] - level
    changes = np.flatnonzero(np.sign(y[:-1]) * np.sign(y[1:]) <= 0)
    if len(changes) != 1:
        raise Missing(f"{level} is crossed {len(changes)} times along {key}, not once")
    i = changes[0]
    return float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))


@OF_RUNS
def ratio_between(runs: Sequence[Run], of: Any, above: Mapping[str, Any], below: Mapping[str, Any]) -> float:
    """The median of a measure over the runs that match `above`, over that of those that match `below`."""
    upper, lower = _sides(runs, above, below)
    return float(np.median(numbers(upper, of)) / np.median(numbers(lower, of)))


@OF_RUNS
def difference_between(runs: Sequence[Run], of: Any, above: Mapping[str, Any], below: Mapping[str, Any]) -> float:
    """The median of a measure over the runs that match `above`, less that of those that match `below`."""
    upper, lower = _sides(runs, above, below)
    return float(np.median(numbers(upper, of)) - np.median(numbers(lower, of)))


@OF_RUNS
def worst_over_best(runs: Sequence[Run], of: Any) -> float:
    """The largest value of a measure among the runs over the smallest: 1 if what was swept does not matter."""
    values = numbers(runs, of)
    if len(values) < 2:
        raise Missing("one run only; a comparison needs two")
    return float(values.max() / values.min())


@OF_RUNS
def disagreement(runs: Sequence[Run], quantity: str, layers: Layers = "all", steps: Steps = "all") -> float:
    """The largest difference between any two runs in any replica, layer and step; 0: equal to the last bit."""
    if len(runs) < 2:
        raise Missing("one run only; a comparison needs two")
    return float(np.ptp([run.get(quantity, layers, steps).values for run in runs], axis=0).max())


@OF_RUNS
def ratio_by_layer(
    runs: Sequence[Run], quantity: str, above: Mapping[str, Any], below: Mapping[str, Any],
    layers: Layers = "all", steps: Steps = "first",
) -> Array:  # fmt: skip
    """A quantity of the run that matches `above` over that of the run that matches `below`, layer by layer."""
    upper, lower = _sides(runs, above, below)
    if len(upper) > 1 or len(lower) > 1:
        raise LabError(f"above {above}, below {below}: {len(upper)} and {len(lower)} runs match where one each must")
    return (upper[0].get(quantity, layers, steps).values / lower[0].get(quantity, layers, steps).values).ravel()


def _sides(runs: Sequence[Run], above: Mapping[str, Any], below: Mapping[str, Any]) -> tuple[list[Run], list[Run]]:
    """The runs on both sides of a comparison.

    Raises Missing if a side has none, or if a run would be compared with itself.
    """
    upper, lower = matching(runs, above), matching(runs, below)
    if not upper or not lower:
        raise Missing("missing runs: one side of the comparison has none")
    if any(run is other for run in upper for other in lower):
        raise LabError(f"above {above}, below {below}: a run would be compared with itself")
    return upper, lower


@OF_RUNS
def best_ratio_between(runs: Sequence[Run], of: Any, above: Mapping[str, Any], below: Mapping[str, Any]) -> float:
    """The smallest of a measure over the runs that match `above` over that of `below`: both at their best tuning."""
    upper, lower = _sides(runs, above, below)
    return float(numbers(upper, of).min() / numbers(lower, of).min())


@OF_RUNS
def slope_of_best(runs: Sequence[Run], of: Any, tuned: str, key: str) -> float:
    """Log-log slope against `key` of the value of `tuned` at which a measure is smallest (of several, the mean log)."""
    values = sorted(set(against(runs, key).tolist()))
    best = []
    for value in values:
        group = [run for run in runs if run.choices[key] == value]
        measured = numbers(group, of)
        winners = [run.choices[tuned] for run, each in zip(group, measured, strict=True) if each == measured.min()]
        best.append(float(np.log(winners).mean()))
    return fit(np.log(values), np.array(best))[0]


@OF_RUNS
def slope_between(runs: Sequence[Run], of: Any, along: Any) -> float:
    """Log-log slope of one measure of each run against another."""
    return fit(np.log(numbers(runs, along)), np.log(numbers(runs, of)))[0]


@OF_RUNS
def best(runs: Sequence[Run], of: Any) -> float:
    """The smallest of a measure over the runs: with the best tuning of what was swept."""
    return float(numbers(runs, of).min())
