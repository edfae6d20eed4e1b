"""The standard deviation of z⁽ˡ⁾ over samples and units; its square is mean-field theory's q⁽ˡ⁾ (Poole 2016, eq. 3)."""

from backscope.probes.probe import Probe, of_layers

PROBE = Probe("pre_activation_std", "std of z", of_layers(lambda layer: layer.z.std(axis=(1, 2))), logarithmic=True)
