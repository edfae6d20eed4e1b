"""The norm of a layer's bias gradient, ‖∂L/∂b⁽ˡ⁾‖, before clipping."""

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, norm, of_stacks


def bias_grad_norm(network: Network) -> Array:
    """‖∂L/∂b‖, (R, L)."""
    return of_stacks(lambda stack: norm(stack[:, :, -1]), network.dWb_stacks)


PROBE = Probe("bias_grad_norm", "‖∂L/∂b‖", bias_grad_norm, tier="economy", logarithmic=True)
