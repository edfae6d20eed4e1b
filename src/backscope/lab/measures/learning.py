"""Measures of how a run learns: first steps, speed, stability, and backpropagation against differences."""

import math
from dataclasses import replace

import numpy as np

from backscope.lab.measures.measured import OF_RUN, Measured, over_replicas
from backscope.lab.predictions.learning import constant_predictor_loss, least_squares_loss
from backscope.lab.runs import Array, Layers, Missing, Run, Steps


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
    """Steps until the training loss has gained that share of what a linear map can gain over the best constant.

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


@OF_RUN
def least_difference_error(run: Run) -> float:
    """The error of central differences at their best step size."""
    return min(difference_errors(run).values())
