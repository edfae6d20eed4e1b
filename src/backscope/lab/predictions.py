"""What theory predicts for a run. Each function here is a name that claims.yaml can use, with these parameters.

A prediction sees the configuration, never what was measured: so a claim cannot compare a number with itself, and
another width or depth changes the prediction with it. The formulas, and their sources, are in `backscope.theory`.
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from backscope.config import Config
from backscope.data import Dataset, describe, load
from backscope.lab.registry import LabError, Registry, pick
from backscope.lab.runs import Array, Layers, activation, flatten, select_layers
from backscope.nn.initializers import INITIALIZERS
from backscope.probes import moments
from backscope.theory import (
    constant_predictor,
    cost,
    dead_relu,
    finite_width,
    gains,
    jacobian,
    mean_field,
    normalization,
    residual,
    shattering,
)
from backscope.training import Streams
from backscope.training.loop import build
from backscope.training.prediction import predicted

PREDICTIONS = Registry("predict")


def sigma_w2_of(config: Config) -> float:
    """σw² = n_in · Var(W) of the hidden layers that have hidden layers on both sides."""
    init = {key: value for key, value in config.init.items() if key not in ("name", "gain", "bias_std", "zero_layers")}
    width = config.model.width
    return float(width * config.init["gain"] ** 2 * INITIALIZERS[config.init.name].variance(width, width, **init))


def sigma_b2_of(config: Config) -> float:
    """The variance of the biases."""
    return float(config.init.get("sigma_b2", config.init["bias_std"] ** 2))


@cache
def _fixed_point(name: str, parameters: tuple[tuple[str, Any], ...], sigma_w2: float, sigma_b2: float) -> float:
    from backscope.nn.activations import ACTIVATIONS

    return mean_field.fixed_point(ACTIVATIONS[name](**dict(parameters)), sigma_w2, sigma_b2)


def q_of(config: Config) -> float:
    """q*, or the variance 1 that normalization sets (plus that of the biases)."""
    if config.normalization.name != "none":
        return 1.0 + sigma_b2_of(config)
    parameters = tuple((key, value) for key, value in config.activation.items() if key != "name")
    return _fixed_point(config.activation.name, parameters, sigma_w2_of(config), sigma_b2_of(config))


@cache
def _dataset(seed: int, data: tuple[tuple[str, Any], ...]) -> Dataset:
    return load(rng=Streams.of(seed).data, **dict(data))


def dataset(config: Config) -> Dataset:
    """The data of the first replica."""
    return _dataset(config.seed, tuple(config.data.items()))


def steps_between(config: Config, layers: Layers) -> int:
    """How many layers lie between the first and the last of `layers`."""
    return len(select_layers(layers, config.model.depth)) - 1


@PREDICTIONS
def configured(config: Config, key: str, factor: float = 1.0) -> float:
    """A number of the configuration itself, such as `model.width`, times a factor."""
    return factor * float(pick("predict configured: key", key, flatten(config)))


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
    return factor * mean_field.depth_scales(activation(config), sigma_w2_of(config), sigma_b2_of(config)).xi_gradient


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


def batch_size(config: Config) -> int:
    """Samples in a batch."""
    return config.training.batch_size or describe(**config.data).n_train


@PREDICTIONS
def residual_growth(config: Config) -> float:
    """(1 + s²χ)^blocks: the growth of ∂L/∂a's mean square over all blocks of a residual network at constant χ₁."""
    return residual_block_rate(config) ** (config.model.depth - 1)


@PREDICTIONS
def tanh_residual_slope(config: Config, sign: int = 1) -> float:
    """±d log E[(∂L/∂a)²]/d√l → 8σw/(3√(2π)) along a tanh residual stream (Yang & Schoenholz 2017)."""
    return sign * residual.tanh_log_slope(sigma_w2_of(config))


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
def gradient_correlation(config: Config, start: float = 0.0) -> float:
    """Correlation of the gradients at inputs of correlation `start`: ∏(1 − θ/π) for He-ReLU, 2^(−L) with batch norm."""
    if config.normalization.name == "batch_norm":
        return float(shattering.batch_norm_gradient_correlation(config.model.depth)[-1])
    return float(shattering.relu_gradient_correlation(start, config.model.depth)[-1])


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
def jacobian_mean_square(config: Config) -> float:
    """χ₁ᴸ: the mean squared singular value of the input–output Jacobian (Pennington 2017)."""
    q = q_of(config) or 1.0
    return jacobian.mean_squared_singular_value(activation(config), sigma_w2_of(config), q, config.model.depth)


@PREDICTIONS
def residual_block_rate(config: Config) -> float:
    """1 + s²χ₁: the growth of ∂L/∂a's mean square over one residual block."""
    scale = {"plain": 1.0, "scaled": (config.model.depth - 1) ** -0.5, "zero": 0.0}[config.model.residual]
    q = q_of(config)
    chi = mean_field.chi_1(activation(config), sigma_w2_of(config), q if 0 < q < np.inf else 1.0)
    return residual.block_rate(chi, scale)


@PREDICTIONS
def residual_stream_profile(config: Config, layers: Layers) -> Array:
    """log of ∂L/∂a's mean square below each of `layers` of a residual network, up to a constant (Yang & Schoenholz 2017)."""
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
def first_step_over_gradient(config: Config) -> float:
    """The first update over the gradient: lr with SGD and momentum, lr (1 + μ) with Nesterov's."""
    momentum = config.optimizer["momentum"] if config.optimizer.name == "nesterov" else 0.0
    return float(config.optimizer["lr"] * (1 + momentum))


@PREDICTIONS
def normalized_first_step(config: Config, layers: Layers = "hidden") -> Array:
    """lr·√P of each layer with Adam, AdamW and Adagrad; 1/√(1−ρ) times that with RMSprop, a mean from 0 on."""
    bias = (1 - config.optimizer["rho"]) ** -0.5 if config.optimizer.name == "rmsprop" else 1.0
    return bias * adam_first_step(config, layers)


@PREDICTIONS
def gradient_gain(config: Config, factor: float) -> float:
    """factor^(depth/2): ReLU's ∂L/∂W if σw² is `factor` times as large, as in `depth` other matrices."""
    return float(factor ** (config.model.depth / 2))


def predict_one(config: Config, node: Any) -> float:
    """A prediction that gives one number, by its YAML node."""
    value = np.asarray(PREDICTIONS.call(node)(config))
    if value.size != 1:
        raise LabError(f"predict {node}: gives {value.size} numbers where one is needed")
    return float(value.item())


@PREDICTIONS
def jacobian_relative_variance_from_inputs(config: Config) -> float:
    """That relative variance with each layer's own q, on the way of a signal of variance 1 to q*: the layers' terms add up."""
    f, kind = activation(config), "orthogonal" if config.init.name == "orthogonal" else "gaussian"
    q, total = sigma_w2_of(config) + sigma_b2_of(config), 0.0
    for _ in range(config.model.depth):
        total += jacobian.relative_variance(f, q, 1, kind)  # type: ignore[arg-type]
        q = mean_field.variance_map(f, q, sigma_w2_of(config), sigma_b2_of(config))
    return total


@PREDICTIONS
def finite_width_rate(config: Config, quantity: str, layers: Layers, towards: str = "input") -> float:
    """The factor a layer by the full theory of kernels, with the gradient's alignment at finite width, for this batch size."""
    data = dataset(config)
    y = np.eye(data.n_out)[data.y_train] if data.task == "classification" else data.y_train
    network = build(replace(config, replicas=1), [data], [Streams.of(config.seed)])
    profile = predicted(config, network, data.x_train[: batch_size(config)], y[: batch_size(config)])[quantity]
    chosen = profile[np.array(select_layers(layers, config.model.depth)) - 1]
    growth = chosen[0] / chosen[-1] if towards == "input" else chosen[-1] / chosen[0]
    return float(growth ** (2 / (len(chosen) - 1)))
