"""The largest difference between two neurons of a layer in any of their weights or biases.

Exactly 0.0 while symmetry is unbroken; rounding alone can make it grow (see the ablation roundoff_symmetry).
"""

import numpy as np

from backscope.probes.probe import Probe, of_layers

PROBE = Probe(
    "neuron_spread",
    "neuron spread",
    of_layers(lambda layer: np.maximum(np.ptp(layer.W, axis=1).max(axis=-1), np.ptp(layer.b, axis=-1))),
    logarithmic=True,
)
