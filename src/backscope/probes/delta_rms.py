"""The root mean square of δ⁽ˡ⁾ = ∂L/∂z⁽ˡ⁾ over samples and units: how responsible a neuron is for the error.

L is the mean over the batch, so δ carries a factor 1/B (Schoenholz 2017, eq. 11, for its decay with depth).
"""

from backscope.probes.probe import Probe, of_signals, rms

PROBE = Probe("delta_rms", "RMS of δ", of_signals(lambda signals: rms(signals.delta)), tier="economy", logarithmic=True)
