"""The norm of a layer's bias gradient, ‖∂L/∂b⁽ˡ⁾‖, before clipping."""

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, norms


def bias_grad_norm(network: Network) -> Array:
    """‖∂L/∂b‖, (R, L)."""
    return norms(stack[:, :, -1] for stack in network.dWb_stacks)


PROBE = Probe("bias_grad_norm", "‖∂L/∂b‖", bias_grad_norm, tier="economy", logarithmic=True)
