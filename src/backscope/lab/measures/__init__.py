"""What a claim can measure. A measure is a function whose name claims.yaml can use, with its parameters.

A measure of one run (`OF_RUN`) is taken of every run that a claim is about, and the claim must hold for each; a measure
of runs (`OF_RUNS`) compares them with each other and gives one number for all. `quantity` is a probe or a scalar of
the trace (`train/loss`), `layers` and `steps` are what `runs.select_layers` and `Run.get` allow. A result with several
values must hold in each. Where it is a mean over replicas, it comes with its standard error, for a tolerance in SE.
"""

from backscope.lab.measures import between_runs, by_layer, learning, values
from backscope.lab.measures.measured import OF_RUN, OF_RUNS, Measured, number

__all__ = ["OF_RUN", "OF_RUNS", "Measured", "between_runs", "by_layer", "learning", "number", "values"]
