"""Measures of a run that compare its layers: profiles, rates a layer, random walks of the logarithm, growth."""

from collections.abc import Callable

import numpy as np

from backscope.lab.measures.measured import OF_RUN, Measured, fit, mean_squares, over_replicas
from backscope.lab.registry import LabError
from backscope.lab.runs import Array, Layers, Run, Steps


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


@OF_RUN
def variance_profile(run: Run, quantity: str, layers: Layers = "hidden", steps: Steps = "first") -> Array:
    """Layer by layer the mean square over replicas."""
    return mean_squares(run, quantity, layers, steps)
