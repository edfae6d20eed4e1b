"""Predictions of wide networks: variances, rates of the gradient a layer, depth scales, criticality."""

import math
from dataclasses import replace

import numpy as np

from backscope.config import Config
from backscope.lab.predictions.configured import (
    PREDICTIONS,
    batch_size,
    dataset,
    q_of,
    sigma_b2_of,
    sigma_w2_of,
    steps_between,
)
from backscope.lab.runs import Array, Layers, activation, select_layers
from backscope.theory import (
    gains,
    mean_field,
    normalization,
    residual,
    shattering,
)
from backscope.training import Streams
from backscope.training.loop import build
from backscope.training.prediction import predicted


@PREDICTIONS
def sigma_w2(config: Config, factor: float = 1.0) -> float:
    """σw² = n_in·Var(W), times a factor: a linear layer multiplies the mean square by σw², a ReLU layer by σw²/2."""
    return factor * sigma_w2_of(config)


@PREDICTIONS
def q_star(config: Config) -> float:
    """q*, to which the variance of a pre-activation converges with depth (Poole 2016)."""
    return q_of(config)


@PREDICTIONS
def first_variance(config: Config) -> float:
    """σw² + σb²: the variance of a pre-activation in the first layer, for inputs of variance 1."""
    return sigma_w2_of(config) + sigma_b2_of(config)


@PREDICTIONS
def chi_1(config: Config, power: float = 1.0, layers: Layers | None = None) -> float:
    """χ₁ = σw² E[φ′²] at q*, by which a layer multiplies the mean square of δ; to a power, or over all `layers`."""
    exponent = power if layers is None else steps_between(config, layers)
    return mean_field.chi_1(activation(config), sigma_w2_of(config), q_of(config)) ** exponent


@PREDICTIONS
def depth_scale(config: Config, factor: float = 1.0) -> float:
    """ξ = 1/|ln χ₁|, over how many layers a gradient changes by e (Schoenholz 2017), times a factor."""
    logarithm = abs(math.log(chi_1(config)))
    return factor / logarithm if logarithm else math.inf


@PREDICTIONS
def depth_over_scale(config: Config) -> float:
    """The network's depth in units of ξ."""
    return config.model.depth / depth_scale(config)


@PREDICTIONS
def critical_sigma_w2(config: Config) -> float:
    """The σw² on the edge of chaos at the configured σb² (Poole 2016)."""
    return mean_field.critical_sigma_w2(activation(config), sigma_b2_of(config))


@PREDICTIONS
def variance_preserving_gain(config: Config) -> float:
    """1/√E[φ²] at unit variance."""
    return gains.variance_preserving_gain(activation(config))


@PREDICTIONS
def chi_at_gain(config: Config, power: float = 1.0) -> float:
    """E[φ′²]/E[φ²] at unit variance: the rate of δ's mean square under that gain, under LSUV or under layer norm."""
    return gains.chi_at_gain(activation(config)) ** power


@PREDICTIONS
def batch_norm_rate(config: Config) -> float:
    """The explosion rate of δ's mean square with batch norm at the configured batch size (Yang 2019)."""
    return normalization.batch_norm_rate(activation(config), batch_size(config))


@PREDICTIONS
def relu_batch_norm_rate(config: Config) -> float:
    """Yang 2019, Theorem 8: that rate for ReLU in closed form."""
    return normalization.relu_batch_norm_rate(batch_size(config))


@PREDICTIONS
def residual_growth(config: Config) -> float:
    """(1 + s²χ)^blocks: the growth of ∂L/∂a's mean square over all blocks of a residual network at constant χ₁."""
    return residual_block_rate(config) ** (config.model.depth - 1)


@PREDICTIONS
def tanh_residual_slope(config: Config, sign: int = 1) -> float:
    """±d log E[(∂L/∂a)²]/d√l → 8σw/(3√(2π)) along a tanh residual stream (Yang & Schoenholz 2017)."""
    return sign * residual.tanh_log_slope(sigma_w2_of(config))


@PREDICTIONS
def gradient_correlation(config: Config, start: float = 0.0) -> float:
    """Correlation of the gradients at inputs of correlation `start`: ∏(1 − θ/π) for He-ReLU, 2^(−L) with batch norm."""
    if config.normalization.name == "batch_norm":
        return float(shattering.batch_norm_gradient_correlation(config.model.depth)[-1])
    return float(shattering.relu_gradient_correlation(start, config.model.depth)[-1])


@PREDICTIONS
def residual_block_rate(config: Config) -> float:
    """1 + s²χ₁: the growth of ∂L/∂a's mean square over one residual block."""
    scale = {"plain": 1.0, "scaled": (config.model.depth - 1) ** -0.5, "zero": 0.0}[config.model.residual]
    q = q_of(config)
    chi = mean_field.chi_1(activation(config), sigma_w2_of(config), q if 0 < q < np.inf else 1.0)
    return residual.block_rate(chi, scale)


@PREDICTIONS
def residual_stream_profile(config: Config, layers: Layers) -> Array:
    """log of ∂L/∂a's mean square below each of `layers` of a residual network, up to a constant (Yang 2017)."""
    f, sigma_w2, sigma_b2 = activation(config), sigma_w2_of(config), sigma_b2_of(config)
    start = mean_field.mean_square(f, sigma_w2 + sigma_b2)  # inputs of variance 1
    scale = {"plain": 1.0, "scaled": (config.model.depth - 1) ** -0.5, "zero": 0.0}[config.model.residual]
    stream = residual.stream_profile(f, sigma_w2, sigma_b2, config.model.depth - 1, scale=scale, start=start)
    return np.log(stream[np.array(select_layers(layers, config.model.depth)) - 2])  # below layer 2 is where it starts


@PREDICTIONS
def residual_stream_exponent(config: Config, layers: Layers) -> float:
    """Slope of that profile against √l, at this depth, rather than its limit `tanh_residual_slope`."""
    along = np.sqrt(select_layers(layers, config.model.depth))
    return float(np.polyfit(along, residual_stream_profile(config, layers), 1)[0])


@PREDICTIONS
def gradient_gain(config: Config, factor: float) -> float:
    """factor^(depth/2): ReLU's ∂L/∂W if σw² is `factor` times as large, as in `depth` other matrices."""
    return float(factor ** (config.model.depth / 2))


@PREDICTIONS
def finite_width_rate(config: Config, quantity: str, layers: Layers, towards: str = "input") -> float:
    """The factor a layer by the full theory of kernels, at this batch size, with the gradient's alignment."""
    data = dataset(config)
    y = np.eye(data.n_out)[data.y_train] if data.task == "classification" else data.y_train
    network = build(replace(config, replicas=1), [data], [Streams.of(config.seed)])
    profile = predicted(config, network, data.x_train[: batch_size(config)], y[: batch_size(config)])[quantity]
    chosen = profile[np.array(select_layers(layers, config.model.depth)) - 1]
    growth = chosen[0] / chosen[-1] if towards == "input" else chosen[-1] / chosen[0]
    return float(growth ** (2 / (len(chosen) - 1)))
