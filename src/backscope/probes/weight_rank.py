"""The numerical rank of W⁽ˡ⁾: singular values above max(n_out, n_in) · ε · the largest. 1 if symmetry is unbroken."""

import numpy as np

from backscope.probes.probe import Probe, finite_only, of_layers

PROBE = Probe(
    "weight_rank",
    "rank of W",
    of_layers(lambda layer: finite_only(np.linalg.matrix_rank, layer.W)),
    tier="full",
)
