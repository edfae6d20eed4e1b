"""The number of distinct neurons of a layer: clusters of (incoming row of W, bias).

One means that symmetry is unbroken: all neurons compute, and learn, the same. Neurons are the same when they differ by
less than 10⁻⁹ of the layer's largest parameter. They are compared along one fixed random direction, in which different
neurons all but surely differ, so that sorting counts them.
"""

from functools import cache

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, of_stacks

SAME = 1e-9


@cache
def _direction(size: int) -> Array:
    return np.random.default_rng(0).standard_normal(size)


def clusters(Wb: Array) -> Array:
    """The number of clusters, (…), between 1 and n_out, of neurons with parameters [Wᵀ; b] (…, n_in + 1, n_out)."""
    position = _direction(Wb.shape[-2]) @ Wb
    largest = np.maximum(Wb.max(axis=(-2, -1)), -Wb.min(axis=(-2, -1)))
    gaps = np.diff(np.sort(position, axis=-1), axis=-1)
    return 1.0 + (gaps > SAME * largest[..., None]).sum(axis=-1)


def distinct_neurons(network: Network) -> Array:
    """The number of clusters in every layer, (R, L)."""
    return of_stacks(clusters, network.Wb_stacks)


PROBE = Probe("distinct_neurons", "distinct neurons", distinct_neurons)
