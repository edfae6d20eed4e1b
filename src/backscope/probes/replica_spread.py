"""How far the replicas' weights lie apart: RMS over entries of their standard deviation, relative to the RMS weight.

One number for all replicas of a run; not defined for a single one, nor where all weights are 0.
"""

import numpy as np

from backscope.nn.layers import Layer
from backscope.probes.probe import Array, Probe, of_layers


def replica_spread(layer: Layer) -> Array:
    """The relative spread, the same for each of the (R,) replicas."""
    replicas = len(layer.W)
    size = np.sqrt(np.square(layer.W).mean())
    spread = np.sqrt(layer.W.var(axis=0).mean())
    return np.full(replicas, spread / size if replicas > 1 and size > 0 else np.nan)


PROBE = Probe("replica_spread", "spread of replicas", of_layers(replica_spread), tier="full")
