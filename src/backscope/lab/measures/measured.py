"""What a measure is: the registries, a mean with its standard error, and what measures have in common."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backscope.lab.registry import LabError, Registry
from backscope.lab.runs import Array, Layers, Run, Steps

OF_RUN = Registry("measure")
OF_RUNS = Registry("measure")


@dataclass(frozen=True)
class Measured:
    """A mean over replicas, one value or several, with its standard error."""

    value: float | Array
    standard_error: float | Array


def over_replicas(values: Array) -> Measured:
    """The mean over the first axis and its standard error.

    >>> over_replicas(np.array([1.0, 3.0]))
    Measured(value=2.0, standard_error=1.0)
    """
    error = (
        values.std(axis=0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else np.full(values.shape[1:], np.nan)
    )
    mean = values.mean(axis=0)
    return Measured(mean, error) if mean.ndim else Measured(float(mean), float(error))


def mean_squares(run: Run, quantity: str, layers: Layers, steps: Steps) -> Array:
    """The mean over replicas (and steps) of a quantity's square, layer by layer."""
    return np.square(run.get(quantity, layers, steps).values).mean(axis=(0, 1))


def fit(x: Array, y: Array) -> tuple[float, float]:
    """Slope and R² of the least-squares line.

    >>> fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    (2.0, 1.0)
    """
    slope = float(np.cov(x, y)[0, 1] / np.var(x, ddof=1))
    return slope, float(np.corrcoef(x, y)[0, 1] ** 2)


def number(run: Run, of: Any) -> float:
    """A measure of one run that gives one number."""
    measured = OF_RUN.call(of)(run)
    value = np.asarray(measured.value if isinstance(measured, Measured) else measured)
    if value.size != 1:
        raise LabError(f"measure {of}: gives {value.size} numbers where one is needed")
    return float(value.item())


def numbers(runs: Sequence[Run], of: Any) -> Array:
    """A measure of each run."""
    return np.array([number(run, of) for run in runs])
