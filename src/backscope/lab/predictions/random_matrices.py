"""Predictions at finite width and of Jacobians: fluctuations, singular values, dead networks."""

from typing import Any

from backscope.config import Config
from backscope.lab.predictions.configured import PREDICTIONS, q_of, sigma_b2_of, sigma_w2_of, steps_between
from backscope.lab.runs import Layers, activation
from backscope.theory import (
    dead_relu,
    finite_width,
    jacobian,
    mean_field,
)


@PREDICTIONS
def log_norm_variance(config: Config, layers: Layers) -> float:
    """Var log‖·‖² over `layers` of a He-ReLU network, exactly at finite width (Hanin & Nica 2020)."""
    return finite_width.log_norm_variance([config.model.width] * steps_between(config, layers))


@PREDICTIONS
def log_norm_mean(config: Config, layers: Layers) -> float:
    """E log‖·‖² over `layers` of a ReLU network, exactly at finite width; about −β/2 for He."""
    return finite_width.log_norm_mean([config.model.width] * steps_between(config, layers), sigma_w2_of(config))


@PREDICTIONS
def beta(config: Config, layers: Layers = "hidden", factor: float = 1.0) -> float:
    """β = 5 Σ 1/n over `layers`, the wide limit of that variance, times a factor (Hanin & Nica 2020)."""
    return factor * finite_width.beta([config.model.width] * steps_between(config, layers))


@PREDICTIONS
def squared_ratio_moment(config: Config) -> float:
    """1 + 5/n: the mean square of one He-ReLU layer's ratio of squared norms (Hanin 2018)."""
    return finite_width.squared_ratio_moment(config.model.width)


@PREDICTIONS
def dead_probability(config: Config) -> float:
    """1 − (1 − 2⁻ⁿ)^depth: the chance that some hidden layer is all zero for one input (Lu 2019)."""
    return dead_relu.dead_probability(config.model.width, config.model.depth + 1)


@PREDICTIONS
def mean_singular_value(config: Config) -> float:
    """8σw/(3π): the mean singular value of a square weight matrix, a linear layer's Jacobian."""
    return jacobian.mean_singular_value(sigma_w2_of(config))


@PREDICTIONS
def jacobian_largest_square(config: Config) -> float:
    """(L+1)^(L+1)/L^L: the largest squared singular value of a product of L Gaussian matrices (Saxe 2013)."""
    return jacobian.largest_squared_singular_value(config.model.depth)


@PREDICTIONS
def jacobian_relative_variance(config: Config) -> float:
    """L(μ₂/μ₁² − 1 − s₁): the relative variance of the squared singular values (Pennington 2017)."""
    kind: Any = "orthogonal" if config.init.name == "orthogonal" else "gaussian"
    q = q_of(config) or 1.0  # of a linear or ReLU network the derivative's moments are the same at every q
    return jacobian.relative_variance(activation(config), q, config.model.depth, kind)


@PREDICTIONS
def jacobian_mean_square(config: Config) -> float:
    """χ₁ᴸ: the mean squared singular value of the input–output Jacobian (Pennington 2017)."""
    q = q_of(config) or 1.0
    return jacobian.mean_squared_singular_value(activation(config), sigma_w2_of(config), q, config.model.depth)


@PREDICTIONS
def jacobian_relative_variance_from_inputs(config: Config) -> float:
    """That relative variance with each layer's own q on the way from variance 1 to q*: the layers' terms add up."""
    f, kind = activation(config), "orthogonal" if config.init.name == "orthogonal" else "gaussian"
    q, total = sigma_w2_of(config) + sigma_b2_of(config), 0.0
    for _ in range(config.model.depth):
        total += jacobian.relative_variance(f, q, 1, kind)  # type: ignore[arg-type]
        q = mean_field.variance_map(f, q, sigma_w2_of(config), sigma_b2_of(config))
    return total
