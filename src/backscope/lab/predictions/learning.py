"""Predictions of losses, first steps, stability and cost."""

import numpy as np

from backscope.config import Config
from backscope.data import describe
from backscope.lab.predictions.configured import PREDICTIONS, dataset
from backscope.lab.runs import Array, Layers, select_layers
from backscope.probes import moments
from backscope.theory import (
    constant_predictor,
    cost,
)


@PREDICTIONS
def flop_ratio(config: Config) -> float:
    """3 − n₀n₁/Σ nᵢnᵢ₊₁: multiply–adds of a gradient relative to a forward pass."""
    shape = describe(**config.data)
    return cost.flop_ratio([shape.n_in, *[config.model.width] * config.model.depth, shape.n_out])


@PREDICTIONS
def constant_predictor_loss(config: Config) -> float:
    """The loss of the best predictor that ignores its input: H(y), or ½ Σ Var(y) with the squared error."""
    data = dataset(config)
    if config.loss.name == "cross_entropy":
        return constant_predictor.label_entropy(data.y_train)
    y = np.eye(data.n_out)[data.y_train] if data.task == "classification" else data.y_train
    return constant_predictor.label_variance(y)


@PREDICTIONS
def majority_share(config: Config) -> float:
    """The share of the most frequent class in the training set: the accuracy of that predictor."""
    counts = np.bincount(dataset(config).y_train)
    return float(counts.max() / counts.sum())


@PREDICTIONS
def layers_reached(config: Config) -> Array:
    """min(t, L) at every measured step t: from zero weights, t updates move the top t of the L layers."""
    probes, steps = config.probes, config.training.steps
    return np.minimum(moments(steps, probes.schedule, probes.points, probes.every), config.model.depth + 1).astype(
        float
    )


@PREDICTIONS
def adam_first_step(config: Config, layers: Layers = "hidden") -> Array:
    """lr·√P of each layer: the length of Adam's first step with ε = 0, whatever the gradient is."""
    shape, model = describe(**config.data), config.model
    widths = [shape.n_in, *[model.width] * model.depth, shape.n_out]
    chosen = select_layers(layers, model.depth)
    return config.optimizer["lr"] * np.sqrt([widths[layer - 1] * widths[layer] for layer in chosen])


@PREDICTIONS
def least_squares_loss(config: Config) -> float:
    """The least squared error ½ Σ (ŷ − y)²/N that a linear map with biases can reach on the training set."""
    data = dataset(config)
    y = np.eye(data.n_out)[data.y_train] if data.task == "classification" else data.y_train
    x = np.column_stack([data.x_train, np.ones(len(y))])
    return float(0.5 * np.square(y - x @ np.linalg.lstsq(x, y, rcond=None)[0]).sum() / len(y))


@PREDICTIONS
def flop_ratio_with_biases(config: Config) -> float:
    """That ratio with the bias as one more weight, as our products have it: 2 + Σ_{i>0} nᵢnᵢ₊₁ / Σ (nᵢ + 1)nᵢ₊₁."""
    shape = describe(**config.data)
    widths = np.array([shape.n_in, *[config.model.width] * config.model.depth, shape.n_out])
    return float(2 + (widths[1:-1] @ widths[2:]) / ((widths[:-1] + 1) @ widths[1:]))


@PREDICTIONS
def stability_threshold(config: Config) -> float:
    """2/lr: the sharpness above which gradient descent on a quadratic diverges."""
    return float(2 / config.optimizer["lr"])


@PREDICTIONS
def first_step_over_gradient(config: Config) -> float:
    """The first update over the gradient: lr with SGD and momentum, lr (1 + μ) with Nesterov's."""
    momentum = config.optimizer["momentum"] if config.optimizer.name == "nesterov" else 0.0
    return float(config.optimizer["lr"] * (1 + momentum))


@PREDICTIONS
def normalized_first_step(config: Config, layers: Layers = "hidden") -> Array:
    """lr·√P of each layer with Adam, AdamW and Adagrad; 1/√(1−ρ) times that with RMSprop, a mean from 0 on."""
    bias = (1 - config.optimizer["rho"]) ** -0.5 if config.optimizer.name == "rmsprop" else 1.0
    return bias * adam_first_step(config, layers)
