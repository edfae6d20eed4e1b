"""What a prediction is: the registry, and what predictions read off a configuration."""

from functools import cache
from typing import Any

import numpy as np

from backscope.config import Config
from backscope.data import Dataset, describe, load
from backscope.lab.registry import LabError, Registry, pick
from backscope.lab.runs import Layers, flatten, select_layers
from backscope.nn import initializers
from backscope.theory import (
    mean_field,
)
from backscope.training import Streams

PREDICTIONS = Registry("predict")


def sigma_w2_of(config: Config) -> float:
    """σw² = n_in · Var(W) of the hidden layers that have hidden layers on both sides."""
    return float(initializers.sigma_w2(config.model.width, config.model.width, **config.init))


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


def batch_size(config: Config) -> int:
    """Samples in a batch."""
    return config.training.batch_size or describe(**config.data).n_train


def predict_one(config: Config, node: Any) -> float:
    """A prediction that gives one number, by its YAML node."""
    value = np.asarray(PREDICTIONS.call(node)(config))
    if value.size != 1:
        raise LabError(f"predict {node}: gives {value.size} numbers where one is needed")
    return float(value.item())
