"""Made-up runs for the lab book's engine."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backscope.config import compose
from backscope.lab.claims import Claim
from backscope.lab.runs import Run

WIDTH = 16


@pytest.fixture(scope="session")
def config():
    return compose("activation=tanh", "init=mean_field", "init.sigma_w2=1.5", f"model.width={WIDTH}", "model.depth=4")


@pytest.fixture(scope="session")
def make():
    def make(config, quantities, name="run", replicas=3):
        """A run with these values (T, R, L), or a number, at steps 0 and 200; scalars have L = 1 and layer 0."""
        rows = []
        for quantity, values in {"train/loss": 1.0, **quantities}.items():
            layers = [0] if "/" in quantity else range(1, config.model.depth + 2)
            values = np.broadcast_to(values, (2, replicas, len(layers)))
            for (t, replica, layer), value in np.ndenumerate(values):
                if not np.isnan(value):
                    rows.append((quantity, (0, 200)[t], replica, list(layers)[layer], value))
        trace = pd.DataFrame(rows, columns=["quantity", "step", "replica", "layer", "value"])
        return Run(name, replace(config, replicas=replicas), trace)

    return make


@pytest.fixture(scope="session")
def claim():
    def claim(**keys):
        return Claim.parse({"claim": "c", "source": "s", **keys})

    return claim
