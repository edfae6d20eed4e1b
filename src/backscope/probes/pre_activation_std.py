"""The standard deviation of z⁽ˡ⁾ over samples and units; its square is mean-field theory's q⁽ˡ⁾ (Poole 2016, eq. 3)."""

from backscope.probes.probe import Probe, of_signals, std

PROBE = Probe("pre_activation_std", "std of z", of_signals(lambda signals: std(signals.z)), logarithmic=True)
