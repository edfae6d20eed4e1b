"""What tests share: one BLAS thread, as in every run; hypothesis without chance; runs chosen by their overrides."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

os.environ.update(dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1"))

# NumPy reads the number of threads when it is loaded, so these come after it is set.
from dataclasses import replace
from functools import cache

import hypothesis
import numpy as np
import pytest

from backscope.config import compose
from backscope.data import load
from backscope.nn.activations import ACTIVATIONS
from backscope.nn.initializers import initialize
from backscope.nn.network import Architecture, Network
from backscope.training import Streams
from backscope.training.loop import Trainer

hypothesis.settings.register_profile("exact", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("exact")


@pytest.fixture(scope="session", autouse=True)
def spool(tmp_path_factory):
    """What tests keep and lock is not found among a user's own."""
    os.environ["BACKSCOPE_SPOOL"] = str(tmp_path_factory.mktemp("spool"))


@pytest.fixture(scope="session")
def trainer():
    """trainer("init=he model.depth=3", seed=1, replicas=2): a Trainer of this configuration; `run()` trains it."""
    configuration, dataset = cache(compose), cache(lambda seed, **data: load(rng=Streams.of(seed).data, **data))

    def make(overrides, seed=0, replicas=1, change=lambda datasets: datasets):
        config = replace(configuration(*overrides.split()), seed=seed, replicas=replicas)
        return Trainer(config, change([dataset(seed + replica, **config.data) for replica in range(replicas)]))

    return make


@pytest.fixture(scope="session")
def run(trainer):
    """run("init=he model.depth=3", seed=1, replicas=2): the Record of this configuration's run."""
    return lambda *args, **options: trainer(*args, **options).run()


@pytest.fixture(scope="session")
def network_of():
    """network_of("relu", depth=2): a network after a forward and a backward pass, always the same."""

    def network_of(activation="tanh", replicas=2, dtype=float, init="xavier", batch=12, scale=1.0, **parts):
        parts = {"n_in": 5, "n_out": 3, "depth": 3, "width": 7} | parts
        network = Network(Architecture(activation=ACTIVATIONS[activation](), **parts), replicas, dtype)
        rngs = [np.random.default_rng(seed) for seed in range(replicas)]
        initialize(network, rngs, **({"name": init, "bias_std": 0.4} if isinstance(init, str) else init))
        for layer in network.layers:
            if "scale" in layer.sizes:
                layer.scale[:] = 0.7
        network.dropout_rngs = rngs
        rng = np.random.default_rng(9)
        x = scale * rng.normal(size=(replicas, batch, parts["n_in"]))
        network.forward(x.astype(dtype), np.eye(parts["n_out"], dtype=dtype)[rng.integers(3, size=(replicas, batch))])
        network.backward()
        return network

    return network_of


@pytest.fixture(scope="session")
def traces():
    """traces(network): bytes of all that a measurement could change."""

    def traces(network):
        arrays = [network.theta, network.gradient, network.x1, network.y]
        for layer in network.layers:
            arrays += [layer.z, layer.a1, layer.f_z, layer.delta, layer.back]
            arrays += [layer.mask] if layer.mask is not None else []
            arrays += [value for value in vars(layer.normalization or object).values() if isinstance(value, np.ndarray)]
        return [array.tobytes() for array in arrays], [rng.bit_generator.state for rng in network.dropout_rngs]

    return traces


@pytest.fixture(scope="session")
def content():
    """content(uri, experiment): all that a store holds of its finished runs, by name, but for times and ids.

    Where two of them have one name, or a file is missing, it raises.
    """
    from mlflow.tracking import MlflowClient

    from backscope.tracking import reader

    def of(client, run_id, trace):
        run = client.get_run(run_id)
        keys = [key for key in run.data.metrics if "seconds" not in key]
        history = {key: [(each.step, each.value) for each in client.get_metric_history(run_id, key)] for key in keys}
        told = ("verdict", "config_hash", "mlflow.note.content")
        tags = {key: run.data.tags[key].replace(run.data.tags["entry"], "its id") for key in told}
        texts = {name: client.download_artifacts(run_id, name) for name in ("config.yaml", "overrides.yaml")}
        texts = {name: Path(path).read_text() for name, path in texts.items()}
        return run.data.params, tags, texts, history, trace.to_csv()

    def content(uri, experiment):
        runs = reader.runs(experiment, uri=uri)
        if len(runs) == 0:
            return {}
        assert runs["name"].is_unique
        client, traces = MlflowClient(uri), reader.traces(runs, uri)
        return {row["name"]: of(client, run_id, traces[run_id]) for run_id, row in runs.iterrows()}

    return content


@pytest.fixture(scope="session")
def free_port():
    """free_port(): a port of the loopback address on which nothing listens."""

    def free_port():
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return probe.getsockname()[1]

    return free_port


@pytest.fixture
def serve(free_port):
    """serve(folder, "--auth", store=uri, port=…, NAME="value"): our tracking server, once it answers: process, uri."""
    started = []

    def serve(folder, *options, store=None, port=None, **environment):
        uri = f"http://127.0.0.1:{(port := port or free_port())}"
        variables = os.environ | {"MLFLOW_BACKEND_STORE_URI": store or f"sqlite:///{folder}/mlflow.db"} | environment
        command = [sys.executable, "-m", "backscope.commands.server", "--port", str(port), *options]
        with open(folder / "server.log", "a") as log:
            started.append(
                subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log, process_group=0)
            )
        for _ in range(600):  # a minute
            assert started[-1].poll() is None, (folder / "server.log").read_text()
            with suppress(OSError):
                urllib.request.urlopen(f"{uri}/health", timeout=5)
                return SimpleNamespace(process=started[-1], uri=uri)
            time.sleep(0.1)
        raise TimeoutError((folder / "server.log").read_text())

    yield serve
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
