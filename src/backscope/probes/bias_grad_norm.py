"""The norm of a layer's bias gradient, ‖∂L/∂b⁽ˡ⁾‖, before clipping."""

from backscope.probes.probe import Probe, norm, of_layers

PROBE = Probe("bias_grad_norm", "‖∂L/∂b‖", of_layers(lambda layer: norm(layer.db)), tier="economy", logarithmic=True)
