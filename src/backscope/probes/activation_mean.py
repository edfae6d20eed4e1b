"""The mean of a layer's output a⁽ˡ⁾ over samples and units (Glorot & Bengio 2010, fig. 2)."""

from backscope.probes.probe import Probe, mean, of_hidden_signals

PROBE = Probe("activation_mean", "mean of a", of_hidden_signals(lambda hidden: mean(hidden.a)))
