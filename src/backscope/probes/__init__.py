"""Probes: what is measured in every layer, one quantity a file. Measuring changes nothing and draws no randomness."""

from typing import get_args

import numpy as np

from backscope.probes import (
    activation_mean,
    activation_std,
    bias_grad_norm,
    dead_units,
    delta_rms,
    distinct_neurons,
    finite_differences,
    grad_norm,
    gradient_autocorrelation,
    input_grad_rms,
    jacobian,
    mean_singular_value,
    neuron_spread,
    pre_activation_std,
    replica_spread,
    saturation,
    sharpness,
    update_ratio,
    weight_norm,
    weight_rank,
)
from backscope.probes.probe import Instrument, Probe, Tier

_MODULES = (
    grad_norm,
    bias_grad_norm,
    delta_rms,
    weight_norm,
    update_ratio,
    activation_mean,
    activation_std,
    pre_activation_std,
    saturation,
    dead_units,
    distinct_neurons,
    neuron_spread,
    weight_rank,
    mean_singular_value,
    input_grad_rms,
    replica_spread,
)
PROBES: dict[str, Probe] = {module.PROBE.name: module.PROBE for module in _MODULES}
INSTRUMENTS: dict[str, Instrument] = {
    module.INSTRUMENT.name: module.INSTRUMENT
    for module in (jacobian, sharpness, gradient_autocorrelation, finite_differences)
}
TIERS: tuple[str, ...] = ("none", *get_args(Tier))


def of_tier(tier: str) -> list[Probe]:
    """The probes of a cost tier and of all cheaper ones.

    >>> [probe.name for probe in of_tier("economy")]
    ['grad_norm', 'bias_grad_norm', 'delta_rms', 'weight_norm', 'update_ratio']
    """
    return [probe for probe in PROBES.values() if TIERS.index(probe.tier) <= TIERS.index(tier)]


def moments(steps: int, schedule: str = "log", points: int = 15, every: int = 1) -> list[int]:
    """The steps at which to measure: 0, the last, and log-spaced (`points` in all) or every `every` steps between.

    >>> moments(200, points=8)
    [0, 1, 2, 6, 14, 34, 83, 200]
    >>> moments(10, "every", every=4)
    [0, 4, 8, 10]
    """
    between = range(0, steps, every) if schedule == "every" else np.geomspace(1, max(steps, 1), points - 1)[:-1]
    return sorted({0, steps, *(round(moment) for moment in between if moment <= steps)})
