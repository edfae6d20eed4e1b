"""The norm of a layer's weights, ‖W⁽ˡ⁾‖ (Frobenius)."""

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, norms


def weight_norm(network: Network) -> Array:
    """‖W‖, (R, L)."""
    return norms(network.W_stacks)


PROBE = Probe("weight_norm", "‖W‖", weight_norm, tier="economy", logarithmic=True)
