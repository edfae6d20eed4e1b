"""What a claim can measure. Each function here is a name that claims.yaml can use, with these parameters.

A measure of one run (`OF_RUN`) is taken of every run that a claim is about, and the claim must hold for each; a measure
of runs (`OF_RUNS`) compares them with each other and gives one number for all. `quantity` is a probe or a scalar of
the trace (`train/loss`), `layers` and `steps` are what `runs.select_layers` and `Run.get` allow. A result with several
values must hold in each. Where it is a mean over replicas, it comes with its standard error, for a tolerance in SE.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backscope.lab.bands import Band
from backscope.lab.matching import matching
from backscope.lab.predictions import constant_predictor_loss, least_squares_loss
from backscope.lab.registry import LabError, Registry
from backscope.lab.runs import Array, Layers, Missing, Run, Steps

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
def profile(run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first") -> Array:
    """Layer by layer the root mean square over replicas, which is what mean-field theory predicts."""
    return np.sqrt(mean_squares(run, quantity, layers, steps))


@OF_RUN
def rate(
    run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first", towards: str = "input", power: float = 2
) -> float:
    """The factor by which a layer multiplies the mean square, from the first to the last of `layers`, geometrically.

    Towards the input, as δ goes, or towards the output, as the signal does. With power 1 that of the root mean square.
    """
    squares = mean_squares(run, quantity, layers, steps)
    ratio = squares[0] / squares[-1] if _towards(towards) else squares[-1] / squares[0]
    return float(ratio ** (power / 2 / (len(squares) - 1)))


@OF_RUN
def mean_square_ratio(
    run: Run, quantity: str, layers: list[int], steps: Steps = "first", towards: str = "input"
) -> float:
    """The mean square in the first of `layers` over that in the last; its inverse towards the output."""
    squares = mean_squares(run, quantity, layers, steps)
    return float(squares[0] / squares[-1] if _towards(towards) else squares[-1] / squares[0])


@OF_RUN
def log_variance(
    run: Run, quantity: str, layers: list[int], towards: str = "output", steps: Steps = "first"
) -> Measured:
    """Variance over replicas of log(x²/x₀²), x₀ being the value where the way over `layers` begins."""
    logs = log_squares(run, quantity, layers, towards, steps)
    return over_replicas((logs - logs.mean()) ** 2 * len(logs) / (len(logs) - 1))


@OF_RUN
def log_mean(run: Run, quantity: str, layers: list[int], towards: str = "output", steps: Steps = "first") -> Measured:
    """Mean over replicas of log(x²/x₀²), x₀ being the value where the way over `layers` begins."""
    return over_replicas(log_squares(run, quantity, layers, towards, steps))


@OF_RUN
def log_median(run: Run, quantity: str, layers: list[int], towards: str = "output", steps: Steps = "first") -> float:
    """Median over replicas of log(x²/x₀²)."""
    return float(np.median(log_squares(run, quantity, layers, towards, steps)))


@OF_RUN
def relative_moment(
    run: Run,
    quantity: str,
    layers: list[int],
    power: float = 1,
    towards: str = "output",
    steps: Steps = "first",
) -> Measured:
    """Mean over replicas of (x²/x₀²)^power, x₀ being the value where the way over `layers` begins."""
    return over_replicas(np.exp(power * log_squares(run, quantity, layers, towards, steps)))


def log_squares(run: Run, quantity: str, layers: list[int], towards: str, steps: Steps) -> Array:
    """log(x²/x₀²) of every replica."""
    with np.errstate(divide="ignore"):
        logs = 2 * np.log(np.abs(run.get(quantity, layers, steps).values[0]))
    return logs[:, 0] - logs[:, -1] if _towards(towards) else logs[:, -1] - logs[:, 0]


def _towards(side: str) -> bool:
    if side not in ("input", "output"):
        raise LabError(f"towards {side}: allowed are input and output")
    return side == "input"


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
def unevenness(run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first") -> float:
    """The largest over the smallest root mean square among the layers: 1 where the quantity is the same in all."""
    values = profile(run, quantity, layers, steps)
    return float(values.max() / values.min())


@OF_RUN
def growth_exponent(
    run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first", along: str = "layer"
) -> float:
    """Slope of log(mean square) against `along`: layer, sqrt_layer or log_layer."""
    return _line_through_layers(run, quantity, layers, steps, along)[0]


@OF_RUN
def growth_fit(
    run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first", along: str = "layer"
) -> float:
    """R² of the straight line whose slope is `growth_exponent`."""
    return _line_through_layers(run, quantity, layers, steps, along)[1]


SCALES: dict[str, Callable[[Array], Array]] = {
    "layer": lambda x: x,
    "sqrt_layer": np.sqrt,
    "log_layer": np.log,
}


def _line_through_layers(run: Run, quantity: str, layers: Layers, steps: Steps, along: str) -> tuple[float, float]:
    if along not in SCALES:
        raise LabError(f"along {along}: allowed are {', '.join(SCALES)}")
    x = SCALES[along](run.get(quantity, layers, steps).layers.astype(float))
    return fit(x, np.log(mean_squares(run, quantity, layers, steps)))


def fit(x: Array, y: Array) -> tuple[float, float]:
    """Slope and R² of the least-squares line.

    >>> fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    (2.0, 1.0)
    """
    slope = float(np.cov(x, y)[0, 1] / np.var(x, ddof=1))
    return slope, float(np.corrcoef(x, y)[0, 1] ** 2)


def _first_steps(run: Run, layers: Layers) -> Array:
    """‖ΔW‖ of the first update (1, R, N): ‖ΔW‖/‖W‖ times the norm after it."""
    return run.get("update_ratio", layers, 0).values * run.get("weight_norm", layers, 1).values


@OF_RUN
def first_step(run: Run, layers: Layers = "hidden") -> Array:
    """‖ΔW‖ of the first update layer by layer, the root mean square over replicas."""
    return np.sqrt(np.square(_first_steps(run, layers)).mean(axis=(0, 1)))


@OF_RUN
def first_step_over_gradient(run: Run, layers: Layers = "hidden") -> Array:
    """‖ΔW‖ of the first update over ‖∂L/∂W‖, in each replica and layer."""
    return (_first_steps(run, layers) / run.get("grad_norm", layers, 0).values).ravel()


@OF_RUN
def diverged_share(run: Run) -> float:
    """The share of replicas whose loss was not finite before the last step."""
    return float(1 - run.survived.mean())


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


@OF_RUN
def ratio(run: Run, above: str, below: str, layers: Layers = "all", steps: Steps = "first") -> float:
    """The mean of one quantity over the mean of another."""
    return float(run.get(above, layers, steps).values.mean() / run.get(below, layers, steps).values.mean())


@OF_RUN
def best_difference_step(run: Run) -> float:
    """The step size h at which central differences err least from backpropagation, geometric mean over replicas."""
    errors = difference_errors(run)
    return min(errors, key=lambda h: errors[h])


def difference_errors(run: Run) -> dict[float, float]:
    """By step size h the relative error of central differences at the first step, geometric mean over replicas."""
    prefix = "finite_differences/error_h"
    names = [name for name in run.quantities if name.startswith(prefix)]
    if not names:
        raise Missing(f"{prefix}… was not measured")
    errors = {float(name.removeprefix(prefix)): run.get(name, steps="first").values for name in names}
    return {h: float(np.exp(np.log(values).mean())) for h, values in sorted(errors.items())}


@OF_RUN
def steps_to_learn(run: Run, share: float = 0.95) -> float:
    """Steps until the loss has gained that share of what a linear map can gain over the best constant, on the training set.

    The median over replicas; one that never does, or diverges, counts as the number of steps that it had.
    """
    loss, most = run.quantities["train/loss"], run.config.training.steps
    taken = []
    for replica in range(run.config.replicas):
        config = replace(run.config, seed=run.config.seed + replica)
        floor = least_squares_loss(config)
        below = loss.values[:, replica, 0] <= floor + (1 - share) * (constant_predictor_loss(config) - floor)
        taken.append(int(loss.steps[below.argmax()]) if below.any() else most)
    return float(np.median(taken))


@OF_RUN
def stability(run: Run, steps: Steps = "second half") -> Measured:
    """λ·lr/2 with the sharpness λ: gradient descent on a quadratic diverges above 1 (Cohen 2021)."""
    return over_replicas(run.get("sharpness", steps=steps).values.mean(axis=(0, 2)) * run.config.optimizer["lr"] / 2)


@OF_RUN
def stability_crossing(run: Run) -> float:
    """The first measured step at which λ·lr/2 exceeds 1, of the last replica to get there; NaN if one never does."""
    found = run.get("sharpness")
    over = found.values[:, :, 0] * run.config.optimizer["lr"] / 2 > 1
    return float(found.steps[over.argmax(axis=0)].max()) if over.any(axis=0).all() else math.nan


@OF_RUNS
def best_ratio_between(runs: Sequence[Run], of: Any, above: Mapping[str, Any], below: Mapping[str, Any]) -> float:
    """The smallest of a measure over the runs that match `above` over that of `below`: each side with its best tuning."""
    upper, lower = _sides(runs, above, below)
    return float(numbers(upper, of).min() / numbers(lower, of).min())


@OF_RUNS
def slope_of_best(runs: Sequence[Run], of: Any, tuned: str, key: str) -> float:
    """Log-log slope against `key` of the value of `tuned` that makes a measure smallest (the mean of log if several do)."""
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


@OF_RUN
def weight_gain(run: Run, layers: Layers = "hidden", steps: Steps = "first") -> Measured:
    """‖W‖/√n of square layers: by how much the weights are larger than those of variance 1/n."""
    return over_replicas(run.get("weight_norm", layers, steps).values.mean(axis=(0, 2)) / math.sqrt(run.config.model.width))


@OF_RUN
def least_difference_error(run: Run) -> float:
    """The error of central differences at their best step size."""
    return min(difference_errors(run).values())


@OF_RUN
def variance_profile(run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first") -> Array:
    """Layer by layer the mean square over replicas."""
    return mean_squares(run, quantity, layers, steps)


@OF_RUN
def fall(run: Run, quantity: str) -> float:
    """The mean over the second half of training relative to the start, of the worst replica."""
    late, first = (run.get(quantity, steps=steps).values.mean(axis=(0, 2)) for steps in ("second half", "first"))
    return float((late / first).max())
