"""The norm of a layer's weight gradient, ‖∂L/∂W⁽ˡ⁾‖ (Frobenius), before clipping (Glorot & Bengio 2010, fig. 7)."""

from backscope.nn.network import Network
from backscope.probes.probe import Array, Probe, norms


def grad_norm(network: Network) -> Array:
    """‖∂L/∂W‖, (R, L)."""
    return norms(network.dW_stacks)


PROBE = Probe("grad_norm", "‖∂L/∂W‖", grad_norm, tier="economy", logarithmic=True)
