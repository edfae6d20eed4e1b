"""Speed: the step against its floor and its peers, the sweep against its peer stack, and how both grow.

`make bench` runs all three, `make bench ARGS=step` one of them; README.md holds what they measured.
"""

import os

from backscope.process import use_one_thread

# One thread for everybody: read when NumPy, PyTorch and JAX load, so set before any of them.
use_one_thread()
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
