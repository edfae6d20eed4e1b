"""The largest difference between two neurons of a layer in any of their weights or biases.

Exactly 0.0 while symmetry is unbroken; rounding alone can make it grow (see the ablation roundoff_symmetry).
"""

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, of_stacks


def neuron_spread(network: Network) -> Array:
    """The largest range over the neurons of a layer, (R, L)."""
    return of_stacks(lambda stack: np.ptp(stack, axis=-1).max(axis=-1), network.Wb_stacks)


PROBE = Probe("neuron_spread", "neuron spread", neuron_spread, logarithmic=True)
