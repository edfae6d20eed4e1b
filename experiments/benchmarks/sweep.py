"""The default study as a user runs it, against the peer stack on the same configurations, and where our time goes.

Both write to a fresh store, and whole commands are timed, in each precision: PyTorch computes in float32 unless told
otherwise, backscope in float64. The peer runs one configuration of every activation, depth and optimizer (the
initialization changes no time), and the rest is extrapolated from the time between its first and its last run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

STUDY = {
    "init": "zeros,constant,normal,xavier,he,orthogonal",
    "activation": "sigmoid,tanh,relu",
    "depth": "2,8,32",
    "optimizer": "sgd,adam",
}
PRECISIONS = ("float64", "float32")
HERE = Path(__file__).parent
Axes = dict[str, str]


def run(rounds: int, axes: Axes = STUDY, steps: int = 200) -> dict:
    """In each precision, medians over rounds of 2 workers, 1 worker and the peer, in turns; the parts of our time."""
    measured: dict[str, dict[str, list]] = {dtype: defaultdict(list) for dtype in PRECISIONS}
    missing = {}
    for _ in range(rounds):
        for dtype, of in measured.items():
            of["2 workers"].append(ours(axes, steps, dtype, workers=2))
            of["1 worker"].append(ours(axes, steps, dtype, workers=1))
            try:
                took = peer(axes, steps, dtype)
                of["peer"].append(took)
            except ImportError as reason:
                missing["peer stack"] = str(reason)
    result: dict = {dtype: {label: medians(each) for label, each in of.items()} for dtype, of in measured.items()}
    result |= {"runs": count(axes), "missing": missing, "parts": parts(axes, steps)}
    print(json.dumps(result, indent=1), flush=True)
    return result


def count(axes: Axes) -> int:
    product = 1
    for values in axes.values():
        product *= len(values.split(","))
    return product


def ours(axes: Axes, steps: int, dtype: str, workers: int) -> dict[str, float]:
    """Seconds of the whole command, and from the first run's start to the last one's end."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*our_overrides(axes, steps, folder), f"dtype={dtype}", f"hydra.launcher.n_jobs={workers}"]
        seconds = timed([sys.executable, "-m", "backscope", *overrides], folder)[0]
        return {"whole": seconds, "span": span(folder, "benchmark", count(axes))}


def our_overrides(axes: Axes, steps: int, folder: str) -> list[str]:
    """The study on the command line, with its tracking in the folder."""
    swept = [f"{'model.depth' if key == 'depth' else key}={values}" for key, values in axes.items()]
    where = [f"tracking.uri=sqlite:///{folder}/mlflow.db", "tracking.experiment=benchmark"]
    return ["-m", *swept, f"training.steps={steps}", "model.width=64", "training.batch_size=64", *where]


def peer(axes: Axes, steps: int, dtype: str) -> dict[str, float]:
    """The same of the peer stack, as it would be with all the runs.

    Raises ImportError if PyTorch is missing.
    """
    import torch  # noqa: F401

    fewer = axes | {"init": "xavier"}
    swept = [f"{key}={values}" for key, values in fewer.items()]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(HERE / "peer_stack" / "app.py"),
            "-m",
            *swept,
            f"steps={steps}",
            f"dtype={dtype}",
        ]
        seconds = timed(command, folder, MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")[0]
        took = span(folder, "peer", count(fewer))
    everything = took * count(axes) / count(fewer)
    return {"whole": seconds - took + everything, "span": everything}


def parts(axes: Axes, steps: int) -> dict[str, float]:
    """Seconds of each part of a sweep, all in one process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "experiments.benchmarks.breakdown",
            *our_overrides(axes, steps, folder),
        ]
        return json.loads(timed(command, folder, PYTHONPATH=str(HERE.parents[1]))[1].splitlines()[-1])


def timed(command: list[str], folder: str, **environment: str) -> tuple[float, str]:
    """Seconds and output of a command that runs in the folder; raises CalledProcessError if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, text=True, capture_output=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
    done.check_returncode()
    return seconds, done.stdout


def span(folder: str, experiment: str, expected: int) -> float:
    """Seconds from the start of the first to the end of the last of an experiment's runs; all must be finished."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], max_results=1000)
    runs = [each.info for each in found if each.data.tags.get("kind") != "sweep"]
    if len(runs) != expected or any(each.status != "FINISHED" for each in runs):
        raise RuntimeError(f"{experiment}: {len(runs)} runs instead of {expected}, or not all finished")
    return (max(each.end_time for each in runs) - min(each.start_time for each in runs)) / 1000


def medians(measured: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(each[key] for each in measured) for key in measured[0]}
