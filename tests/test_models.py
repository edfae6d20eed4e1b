"""What a run learned from, and what it learned: the dataset as an input of the run, the network as an MLflow model."""

import json
import warnings

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from backscope import app
from backscope.config import compose
from backscope.data import load, summary
from backscope.tracking import models, recorder, store
from backscope.training import Streams

SMALL = ["model.depth=3", "model.width=8", "training.steps=8"]


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def tracked(uri, monkeypatch):
    """tracked("data=iris", …): the record of a run, and its id in the store."""

    def run(*overrides):
        config = compose(*SMALL, *overrides, f"tracking.uri={uri}")
        record, _, run_id = app.run(config)
        return record, run_id

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield run
    mlflow.set_tracking_uri(before)


def load_model(run_id):
    with warnings.catch_warnings(action="ignore"):
        return mlflow.pyfunc.load_model(f"runs:/{run_id}/model")


@pytest.mark.parametrize(
    "overrides",
    [
        ["normalization=batch_norm", "model.residual=zero", "replicas=3"],
        ["dtype=float32", "activation=leaky_relu", "activation.slope=0.2", "model.dropout=.3"],
        ["data=diabetes", "init=lsuv", "training.batch_size=null"],
    ],
)
def test_a_model_predicts_what_its_network_does_to_the_last_bit(tracked, trainer, overrides):
    record, run_id = tracked("tracking.log_model=true", *overrides)
    model = load_model(run_id)
    config = record.config
    loop = trainer(" ".join([*SMALL, *overrides]), replicas=config.replicas)
    assert loop.run().theta.tobytes() == record.theta.tobytes()
    x = loop._part("test")[0]
    wanted = loop.network.predict(x)
    for replica in range(config.replicas):
        found = model.predict(x[replica], params={"replica": replica})
        assert found.tobytes() == wanted[replica].tobytes()
    assert model.predict(x[0]).tobytes() == wanted[0].tobytes()
    assert np.array_equal(model.input_example, record.example)
    (inputs,) = model.metadata.signature.inputs
    assert (inputs.type, inputs.shape) == (np.dtype(config.dtype), (-1, record.data["n_in"]))


@pytest.mark.slow
def test_a_model_goes_through_a_tracking_server(serve, tmp_path, trainer):
    uri = serve(tmp_path).uri
    config = compose(*SMALL, f"tracking.uri={uri}", "tracking.log_model=true")
    _, _, run_id = app.run(config)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        model = load_model(run_id)
    finally:
        mlflow.set_tracking_uri(before)
    loop = trainer(" ".join(SMALL))
    loop.run()
    x = loop._part("test")[0]
    assert model.predict(x[0]).tobytes() == loop.network.predict(x)[0].tobytes()
    assert store.client(uri).get_run(run_id).inputs.dataset_inputs[0].dataset.name == "digits"


def test_a_model_refuses_what_it_was_not_trained_for(tracked):
    _, run_id = tracked("data=iris", "tracking.log_model=true")
    model = load_model(run_id)
    with pytest.raises(ValueError, match=r"replica=1: allowed is an integer in \[0, 1\)"):
        model.predict(model.input_example, params={"replica": 1})
    with pytest.raises(MlflowException, match="shape"):
        model.predict(np.zeros((2, 5)))


def test_a_model_is_arrays_and_text_and_no_pickle(run):
    record = run(" ".join(SMALL))
    found = models.files(record)
    assert {name.rsplit(".", 1)[-1] for name in found} <= {"model/MLmodel", "npz", "json", "yaml", "txt"}
    assert not any(content.startswith(b"\x80") for content in found.values())
    assert "data" in json.loads(found["model/data/network/network.json"])
    assert b"backscope" not in found["model/requirements.txt"]  # whatever somebody may publish under that name


def test_only_runs_that_ask_for_it_have_a_model(tracked, uri):
    _, run_id = tracked("data=iris")
    assert "model" not in {each.path for each in store.client(uri).list_artifacts(run_id)}


def test_another_worker_may_tell_of_a_dataset_at_the_same_moment(uri, monkeypatch):
    client = store.client(uri)
    run_id = client.create_run(store.prepare(uri, "race")).info.run_id
    tell, refusals = client.log_inputs, [MlflowException("UNIQUE constraint failed")]
    monkeypatch.setattr(client, "log_inputs", lambda *given: refuse(refusals.pop()) if refusals else tell(*given))
    recorder.log_data(client, run_id, {"name": "iris", "digest": "0123456789ab", "n_in": 4})
    assert len(client.get_run(run_id).inputs.dataset_inputs) == 1


def refuse(error):
    raise error


def test_a_run_carries_the_data_it_learned_from(tracked, uri):
    def dataset(*overrides):
        (found,) = store.client(uri).get_run(tracked("data=iris", *overrides)[1]).inputs.dataset_inputs
        return found.dataset

    one, again, other, several = dataset(), dataset("init=he"), dataset("seed=1"), dataset("replicas=2")
    assert (one.name, one.source, one.source_type) == ("iris", "", "")
    assert one.digest == again.digest
    assert len({one.digest, other.digest, several.digest}) == 3  # another split is other data
    assert one.digest == summary([load("iris", Streams.of(0).data)])["digest"]
    assert json.loads(several.profile) == {
        "task": "classification",
        "n_in": 4,
        "n_out": 3,
        "n_train": 120,
        "n_test": 30,
        "replicas": 2,
    }
