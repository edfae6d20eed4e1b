"""The share of a layer's units whose derivative f′(z) is exactly 0 for the whole batch: no gradient enters them.

For ReLU that is a unit that is never positive (Lu 2019); for a step activation it is every unit.
"""

from backscope.probes.probe import Probe, derivative, of_hidden_signals

PROBE = Probe(
    "dead_units",
    "dead share",
    of_hidden_signals(lambda hidden: (derivative(hidden) == 0).all(axis=1).mean(axis=-1)),
)
