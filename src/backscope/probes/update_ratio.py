"""How far an update moves a layer's weights, ‖ΔW⁽ˡ⁾‖/‖W⁽ˡ⁾‖; about 10⁻³ is healthy (Karpathy, makemore part 3).

After an update the network's gradient holds the step that was taken, so ΔW need not be computed. No ratio for W = 0.
"""

import numpy as np

from backscope.nn.layers import Layer
from backscope.probes.probe import Array, Probe, norm, of_layers


def update_ratio(layer: Layer) -> Array:
    """‖ΔW‖/‖W‖, (R,)."""
    size = norm(layer.W_flat)
    return norm(layer.dW_flat) / np.where(size > 0, size, np.nan)


PROBE = Probe("update_ratio", "‖ΔW‖/‖W‖", of_layers(update_ratio), tier="economy", moment="update", logarithmic=True)
