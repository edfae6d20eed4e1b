"""The norm of a layer's weight gradient, ‖∂L/∂W⁽ˡ⁾‖ (Frobenius), before clipping (Glorot & Bengio 2010, fig. 7)."""

from backscope.probes.probe import Probe, norm, of_layers

PROBE = Probe("grad_norm", "‖∂L/∂W‖", of_layers(lambda layer: norm(layer.dW_flat)), tier="economy", logarithmic=True)
