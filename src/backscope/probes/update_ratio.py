"""How far an update moves a layer's weights, ‖ΔW⁽ˡ⁾‖/‖W⁽ˡ⁾‖; about 10⁻³ is healthy (Karpathy, makemore part 3).

After an update the network's gradient holds the step that was taken, so ΔW need not be computed. No ratio for W = 0.
"""

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, norms


def update_ratio(network: Network) -> Array:
    """‖ΔW‖/‖W‖, (R, L)."""
    size = norms(network.W_stacks)
    return norms(network.dW_stacks) / np.where(size > 0, size, np.nan)


PROBE = Probe("update_ratio", "‖ΔW‖/‖W‖", update_ratio, tier="economy", moment="update", logarithmic=True)
