"""What tests share: one BLAS thread, as in every run; hypothesis without chance; runs chosen by their overrides."""

import os

os.environ.update(dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1"))

# NumPy reads the number of threads when it is loaded, so these come after it is set.
from dataclasses import replace
from functools import cache

import hypothesis
import pytest

hypothesis.settings.register_profile("exact", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("exact")


@pytest.fixture(scope="session")
def trainer():
    """trainer("init=he model.depth=3", seed=1, replicas=2): a Trainer of this configuration; `run()` trains it."""
    from backscope.config import compose
    from backscope.data import load
    from backscope.training import Streams
    from backscope.training.loop import Trainer

    configuration, dataset = cache(compose), cache(lambda seed, **data: load(rng=Streams.of(seed).data, **data))

    def make(overrides, seed=0, replicas=1, change=lambda datasets: datasets):
        config = replace(configuration(*overrides.split()), seed=seed, replicas=replicas)
        return Trainer(config, change([dataset(seed + replica, **config.data) for replica in range(replicas)]))

    return make


@pytest.fixture(scope="session")
def run(trainer):
    """run("init=he model.depth=3", seed=1, replicas=2): the Record of this configuration's run."""
    return lambda *args, **options: trainer(*args, **options).run()
