"""The share of activations in the flat parts of a bounded f: |f′(z)| < 0.05 · f′(0) (LeCun 1998, §4.4)."""

from functools import cache

import numpy as np

from backscope.nn.activations import Activation
from backscope.nn.network import Hidden
from backscope.probes.probe import Array, Probe, derivative, of_hidden_signals

FLAT = 0.05


@cache
def steepest(activation: Activation) -> float:
    """f′(0)."""
    return float(activation.derivative(np.zeros(1))[0])


def saturation(hidden: Hidden) -> Array:
    """The share of saturated (sample, unit) pairs, (layers · R,); NaN where f has no asymptotes."""
    if not hidden.activation.bounded:
        return np.full(len(hidden.z), np.nan)
    flat = np.abs(derivative(hidden)) < FLAT * steepest(hidden.activation)
    return np.count_nonzero(flat, axis=(1, 2)) / flat[0].size


PROBE = Probe("saturation", "saturated share", of_hidden_signals(saturation))
