"""The norm of a layer's weights, ‖W⁽ˡ⁾‖ (Frobenius)."""

from backscope.probes.probe import Probe, norm, of_layers

PROBE = Probe("weight_norm", "‖W‖", of_layers(lambda layer: norm(layer.W_flat)), tier="economy", logarithmic=True)
