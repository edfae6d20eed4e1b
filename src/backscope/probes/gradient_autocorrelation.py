"""How alike the gradients at different inputs are: the mean over pairs of samples of g_i·g_j, relative to |g_i|².

g_i is the gradient of one random combination of the outputs at sample i with respect to the input. In deep plain
networks it goes to 0: gradients shatter into white noise (Balduzzi 2017, §3). Batch normalization's statistics are
frozen here.
"""

import numpy as np

from backscope.nn.network import Network
from backscope.probes.probe import Array, Instrument, copy


def gradient_autocorrelation(network: Network) -> Array:
    """The correlation (R,) over all pairs of the batch."""
    twin, x = copy(network), network.x1[..., :-1]
    cotangent = np.random.default_rng(0).standard_normal(network.architecture.n_out)
    twin.forward(x, network.y)  # the first batch sets the running statistics to its own
    twin.forward(x, network.y, training=False)
    twin.backward(np.broadcast_to(cotangent, network.y.shape))
    g = twin.input_gradient()
    square = np.square(g).sum(axis=(1, 2))
    pairs = np.square(g.sum(axis=1)).sum(axis=-1) - square
    samples = g.shape[1]
    return pairs / (samples - 1) / square


INSTRUMENT = Instrument(
    "gradient_autocorrelation",
    "autocorrelation of input gradients",
    lambda network: {"gradient_autocorrelation": gradient_autocorrelation(network)} if network.batch > 1 else {},
)
