"""The mean singular value of W⁽ˡ⁾, which is that of a linear layer's Jacobian (Glorot & Bengio 2010, §4.2.1)."""

import numpy as np

from backscope.probes.probe import Probe, of_layers

PROBE = Probe(
    "mean_singular_value",
    "mean singular value of W",
    of_layers(lambda layer: np.linalg.svd(layer.W, compute_uv=False).mean(axis=-1)),
    tier="full",
)
