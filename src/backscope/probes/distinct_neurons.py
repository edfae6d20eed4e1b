"""The number of distinct neurons of a layer: clusters of (incoming row of W, bias).

One means that symmetry is unbroken: all neurons compute, and learn, the same. Neurons are the same when they differ by
less than 10⁻⁹ of the layer's largest parameter. They are compared along one fixed random direction, in which different
neurons all but surely differ, so that sorting counts them.
"""

from functools import cache

import numpy as np

from backscope.nn.layers import Layer
from backscope.probes.probe import Array, Probe, of_layers

SAME = 1e-9


@cache
def _direction(size: int) -> Array:
    return np.random.default_rng(0).standard_normal(size)


def distinct_neurons(layer: Layer) -> Array:
    """The number of clusters, (R,), between 1 and n_out."""
    position = layer.W @ _direction(layer.n_in) + layer.b * _direction(layer.n_in + 1)[-1]
    largest = np.maximum(np.abs(layer.W_flat).max(axis=-1), np.abs(layer.b).max(axis=-1))
    gaps = np.diff(np.sort(position, axis=-1), axis=-1)
    return 1.0 + (gaps > SAME * largest[:, None]).sum(axis=-1)


PROBE = Probe("distinct_neurons", "distinct neurons", of_layers(distinct_neurons))
