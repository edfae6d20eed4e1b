"""What theory predicts for a run. A prediction is a function whose name claims.yaml can use, with its parameters.

A prediction sees the configuration, never what was measured: so a claim cannot compare a number with itself, and
another width or depth changes the prediction with it. The formulas, and their sources, are in `backscope.theory`.
"""

from backscope.lab.predictions import learning, random_matrices, signal
from backscope.lab.predictions.configured import PREDICTIONS, predict_one

__all__ = ["PREDICTIONS", "learning", "predict_one", "random_matrices", "signal"]
