"""The mean singular value of W⁽ˡ⁾, which is that of a linear layer's Jacobian (Glorot & Bengio 2010, §4.2.1)."""

from backscope.probes.probe import Probe, of_layers, singular_values

PROBE = Probe(
    "mean_singular_value",
    "mean singular value of W",
    of_layers(lambda layer: singular_values(layer.W).mean(axis=-1)),
    tier="full",
)
