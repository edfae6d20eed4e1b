"""RMS of ∂L/∂a_in, the gradient that a layer passes down: along a residual stream it is what theory speaks of.

δ⁽ˡ⁾ = ∂L/∂z⁽ˡ⁾ is what a branch takes from it; a branch of scale 0 takes nothing, while ∂L/∂a passes unchanged (Yang &
Schoenholz 2017; Bachlechner 2020).
"""

from backscope.nn.layers import Layer
from backscope.probes.probe import Array, Probe, of_layers, rms


def handed_down(layer: Layer) -> Array:
    """∂L/∂a_in (R, B, n_in): through the weights, and past them."""
    through: Array = layer.delta_in @ layer.W
    return through if layer.skip is None else through + layer.back


PROBE = Probe(
    "input_grad_rms",
    "RMS of ∂L/∂a below the layer",
    of_layers(lambda layer: rms(handed_down(layer))),
    tier="full",
    logarithmic=True,
)
