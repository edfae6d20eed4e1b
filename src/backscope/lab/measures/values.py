"""Measures of a run that reduce a quantity to one number: extremes, means, shares."""

import math

import numpy as np

from backscope.lab.bands import Band
from backscope.lab.measures.measured import OF_RUN, Measured, over_replicas
from backscope.lab.registry import LabError
from backscope.lab.runs import Array, Layers, Run, Steps


@OF_RUN
def largest(run: Run, quantity: str, layers: Layers = "all", steps: Steps = "all") -> float:
    """The largest value over replicas, layers and steps."""
    return float(run.get(quantity, layers, steps).values.max())


@OF_RUN
def smallest(run: Run, quantity: str, layers: Layers = "all", steps: Steps = "all") -> float:
    """The smallest value over replicas, layers and steps."""
    return float(run.get(quantity, layers, steps).values.min())


@OF_RUN
def mean(run: Run, quantity: str, layers: Layers = "all", steps: Steps = "last") -> Measured:
    """The mean over layers, steps and replicas; its standard error is over replicas."""
    return over_replicas(run.get(quantity, layers, steps).values.mean(axis=(0, 2)))


@OF_RUN
def median(run: Run, quantity: str, layers: Layers = "all", steps: Steps = "last") -> float:
    """The median over replicas of the mean over layers and steps."""
    return float(np.median(run.get(quantity, layers, steps).values.mean(axis=(0, 2))))


@OF_RUN
def mean_square(run: Run, quantity: str, layers: Layers = "all", steps: Steps = "first") -> Measured:
    """The mean square over layers, steps and replicas."""
    return over_replicas(np.square(run.get(quantity, layers, steps).values).mean(axis=(0, 2)))


@OF_RUN
def share(run: Run, quantity: str, within: str, layers: Layers = "all", steps: Steps = "last") -> Measured:
    """The share of replicas in which the quantity is `within` a band, at all these layers and steps."""
    values, holds = run.get(quantity, layers, steps).values, np.vectorize(Band.parse(within).holds)
    inside = np.where(np.isnan(values).any(axis=(0, 2)), np.nan, holds(values).all(axis=(0, 2)))
    return over_replicas(inside)


@OF_RUN
def layers_above(run: Run, quantity: str, level: float = 0.0, layers: Layers = "all", steps: Steps = "all") -> Array:
    """In how many layers the quantity is above a level, step by step: the fewest over replicas."""
    values = run.get(quantity, layers, steps).values
    return np.where(np.isnan(values).any(axis=2), np.nan, (values > level).sum(axis=2)).min(axis=1)


@OF_RUN
def diverged_share(run: Run) -> float:
    """The share of replicas whose loss was not finite before the last step."""
    return float(1 - run.survived.mean())


@OF_RUN
def ratio(run: Run, above: str, below: str, layers: Layers = "all", steps: Steps = "first") -> float:
    """The mean of one quantity over the mean of another."""
    if above == below:
        raise LabError(f"ratio of {above}: a number would be compared with itself")
    return float(run.get(above, layers, steps).values.mean() / run.get(below, layers, steps).values.mean())


@OF_RUN
def weight_gain(run: Run, layers: Layers = "hidden", steps: Steps = "first") -> Measured:
    """‖W‖/√n of square layers: by how much the weights are larger than those of variance 1/n."""
    return over_replicas(
        run.get("weight_norm", layers, steps).values.mean(axis=(0, 2)) / math.sqrt(run.config.model.width)
    )


@OF_RUN
def fall(run: Run, quantity: str) -> float:
    """The mean over the second half of training relative to the start, of the worst replica."""
    late, first = (run.get(quantity, steps=steps).values.mean(axis=(0, 2)) for steps in ("second half", "first"))
    return float((late / first).max())
