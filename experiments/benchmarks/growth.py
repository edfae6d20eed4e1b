"""How time and memory of a run grow with its size, and those of a sweep with its number of runs.

Around a base network one axis at a time is varied. Time is the least CPU time of a few trainings; memory is the peak
of what Python and NumPy allocate during one more (tracemalloc). For sweeps time is the whole command's on the clock,
and memory the largest resident set among its processes. The slope is that of a line through the upper half of the
points, on logarithmic axes: 1 is linear.
"""

import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np

from .sweep import count, our_overrides, timed

BASE = {"model.depth": 8, "model.width": 64, "training.batch_size": 64, "training.steps": 200, "replicas": 1}
AXES = {
    "model.depth": [2, 4, 8, 16, 32, 64],
    "model.width": [16, 32, 64, 128, 256, 512],
    "training.batch_size": [16, 32, 64, 128, 256, 512],
    "training.steps": [100, 200, 400, 800, 1600, 3200, 6400, 12800],
    "replicas": [1, 2, 4, 8, 16, 32],
}
RUNS = [1, 4, 16, 64, 256]


def run(trials: int = 3, axes: dict[str, list[int]] = AXES, runs: list[int] = RUNS, steps: int = 200) -> dict:
    """Of each axis: its values, seconds, megabytes, and the two slopes."""
    results = {}
    for axis, values in axes.items():
        results[axis] = curve(values, [one_run(BASE | {axis: value}, trials) for value in values])
        print(axis, results[axis], flush=True)
    if runs:
        results["runs"] = curve(runs, [sweep_of(number, steps) for number in runs])
        print("runs", results["runs"], flush=True)
    return results


def one_run(sizes: dict[str, int], trials: int) -> tuple[float, float]:
    """Seconds and peak megabytes of one training, data already loaded."""
    from backscope.config import compose
    from backscope.data import load
    from backscope.training import Streams, train

    with warnings.catch_warnings(action="ignore"):  # Hydra's, about its own deprecations
        config = compose(*(f"{key}={value}" for key, value in sizes.items()))
    data = [load(rng=Streams.of(config.seed + r).data, **config.data) for r in range(config.replicas)]
    seconds = min(cpu_seconds(lambda: train(config, data)) for _ in range(trials))
    tracemalloc.start()
    train(config, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak / 1e6


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def sweep_of(number: int, steps: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a sweep of so many runs."""
    axes = {"init": "xavier", "activation": "tanh", "depth": "8", "optimizer": "sgd"}
    axes["seed"] = ",".join(map(str, range(number)))
    assert count(axes) == number
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", MEASURED, *our_overrides(axes, steps, folder)]
        seconds, output = timed(command, folder)
    return seconds, float(output.splitlines()[-1])


# A child that runs the command and prints the largest resident set among its processes, in megabytes.
MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "backscope", *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
"""


def curve(values: list[int], measured: list[tuple[float, float]]) -> dict:
    seconds, megabytes = (list(each) for each in zip(*measured, strict=True))
    slopes = {"seconds": slope(values, seconds), "megabytes": slope(values, megabytes)}
    return {"values": values, "seconds": seconds, "megabytes": megabytes, "slope": slopes}


def slope(x: list[int], y: list[float]) -> float:
    upper = len(x) // 2 if len(x) > 3 else 0
    return float(np.polyfit(np.log(x[upper:]), np.log(y[upper:]), 1)[0]) if len(x) > 1 else float("nan")
