"""The standard deviation of a layer's output a⁽ˡ⁾ over samples and units (Glorot & Bengio 2010, fig. 6)."""

from backscope.probes.probe import Probe, of_hidden_layers

PROBE = Probe("activation_std", "std of a", of_hidden_layers(lambda layer: layer.a.std(axis=(1, 2))), logarithmic=True)
