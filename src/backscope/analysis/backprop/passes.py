"""What the page shows of one run: medians over replicas of every layer at every measured step, as plain data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backscope.analysis.frames import cube, spread
from backscope.tracking.points import thin
from backscope.tracking.store import StoreError

FLOWS = ("delta_rms", "grad_norm")  # what the picture draws; one of them is enough
SHOWN = (
    *FLOWS,
    "bias_grad_norm",
    "input_grad_rms",
    "update_ratio",
    "pre_activation_std",
    "activation_std",
    "saturation",
    "dead_units",
    "distinct_neurons",
)
MOST_STEPS = 200  # of a slider that can still be moved by one
MOST_VALUES = 20_000  # of a quantity: steps × layers


def passes(run: Mapping[Any, Any], trace: pd.DataFrame) -> dict[str, Any]:
    """The backward passes of a run, a row of `tracking.reader.runs` with its trace; `n_in` and `n_out` in it if known.

    `layers[quantity]` is a list of layers for every step, None where nothing was measured; `low` and `high` are the
    quartiles of the two that are drawn, where there are replicas; `theory` is predicted for the initialization.
    Raises StoreError for a run of which no gradient was probed.
    """
    known = [name for name in SHOWN if (trace["quantity"] == name).any()]
    drawn = [name for name in FLOWS if name in known]
    if not drawn:
        raise StoreError(f"RUN={run['name']}: no layer was probed; allowed is a run with probes=economy or more")
    depth = int(run["model.depth"])
    steps, most = np.unique(trace.loc[trace["quantity"].isin(drawn), "step"]), min(MOST_STEPS, MOST_VALUES // depth)
    steps = steps[thin(steps, most)] if len(steps) > most else steps
    shape = (steps, np.arange(1, depth + 2))
    quartiles = {name: spread(_aligned(trace, name, *shape), 1) for name in known}
    replicas = int(run["replicas"])
    return {
        "name": str(run["name"]),
        "verdict": str(run.get("verdict", "")),
        "evidence": str(run.get("evidence", "")),
        "depth": depth,
        "sizes": [run.get("n_in"), int(run["model.width"]), run.get("n_out")],
        "replicas": replicas,
        "init": str(run["init.name"]),
        "activation": str(run["activation.name"]),
        "criterion": str(run["loss.name"]),
        "normalization": str(run["normalization.name"]),
        "residual": str(run["model.residual"]),
        "dropout": float(run["model.dropout"]),
        "steps": steps.tolist(),
        "loss": _plain(spread(_aligned(trace, "train/loss", steps, np.zeros(1, int)), 1)[1][:, 0]),
        "layers": {name: _plain(middle) for name, (_, middle, _) in quartiles.items()},
        "low": {name: _plain(quartiles[name][0]) for name in drawn if replicas > 1},
        "high": {name: _plain(quartiles[name][2]) for name in drawn if replicas > 1},
        "theory": {name: _plain(_predicted(trace, name, shape[1])) for name in drawn},
    }


def _aligned(trace: pd.DataFrame, quantity: str, steps: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """A quantity (T, R, L) at just these steps and layers; NaN where it was not measured."""
    if not (trace["quantity"] == quantity).any():
        return np.full((len(steps), 1, len(layers)), np.nan)
    found = cube(trace, quantity)
    values = np.full((len(steps), found.values.shape[1], len(layers)), np.nan)
    rows, columns = np.isin(steps, found.steps), np.isin(layers, found.layers)
    measured = found.values[np.isin(found.steps, steps)][:, :, np.isin(found.layers, layers)]
    values[np.ix_(rows, np.arange(values.shape[1]), columns)] = measured
    return values


def _predicted(trace: pd.DataFrame, quantity: str, layers: np.ndarray) -> np.ndarray:
    """Theory's prediction (L,) for the initialization; NaN where it is silent."""
    return _aligned(trace, f"theory/{quantity}", np.zeros(1, int), layers)[0, 0]


def _plain(values: np.ndarray) -> list[Any]:
    """Nested lists, with None for NaN: JSON has neither NaN nor infinity."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()
