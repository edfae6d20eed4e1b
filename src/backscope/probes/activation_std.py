"""The standard deviation of a layer's output a⁽ˡ⁾ over samples and units (Glorot & Bengio 2010, fig. 6)."""

from backscope.probes.probe import Probe, of_hidden_signals, std

PROBE = Probe("activation_std", "std of a", of_hidden_signals(lambda hidden: std(hidden.a)), logarithmic=True)
