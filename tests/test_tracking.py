"""Tracking: what a record becomes in MLflow, read back through MLflow's own client from a real store."""

import io
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backscope.analysis.diagnosis import diagnose
from backscope.tracking import pages, points, provenance, reader, recorder, store, sweeps
from backscope.tracking.trace import to_parquet

SMALL = "model.depth=3 model.width=16 training.steps=10"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A fresh SQLite store: its URI, the client, and an experiment's id."""
    uri = store.absolute(None, tmp_path_factory.mktemp("lab"))
    experiment_id = store.prepare(uri, "lab")
    return SimpleNamespace(uri=uri, client=store.client(uri), experiment_id=experiment_id)


@pytest.fixture(scope="module")
def recorded(lab, run):
    """Record a run of these overrides: the record, and MLflow's run."""

    def make(overrides, replicas=1, **labels):
        record = run(overrides, replicas=replicas)
        args = {"name": "a run", "overrides": overrides.split(), **labels}
        run_id = recorder.write(lab.client, lab.experiment_id, recorder.entry(record, diagnose(record), **args))
        return record, lab.client.get_run(run_id)

    return make


def history(lab, run, key):
    return {point.step: point.value for point in lab.client.get_metric_history(run.info.run_id, key)}


def test_the_trace_holds_every_measurement_and_nothing_else(run):
    record = run(f"init=normal activation=sigmoid {SMALL}", replicas=3)
    record.layers["grad_norm"][2, 1, 0] = np.nan
    trace = pd.read_parquet(io.BytesIO(to_parquet(record)))
    assert list(trace) == ["quantity", "step", "replica", "layer", "value"]
    assert not trace.duplicated(["quantity", "step", "replica", "layer"]).any()
    for name, values in record.layers.items():
        rows = trace[trace.quantity == name]
        moments = np.searchsorted(record.steps, rows.step)
        assert np.array_equal(values[moments, rows.replica, rows.layer - 1], rows.value), name
        assert len(rows) == np.isfinite(values).sum(), name
    for name, (steps, values) in record.scalars.items():
        rows = trace[(trace.quantity == name) & (trace.replica == 2)]
        assert np.array_equal(rows.step, steps), name
        assert np.array_equal(rows.value, values[:, 2]), name
        assert (rows.layer == 0).all(), name
    for name, values in record.theory.items():
        assert np.array_equal(trace[trace.quantity == f"theory/{name}"].value, values[~np.isnan(values)]), name


@given(st.lists(st.integers(0, 10**7), min_size=1, unique=True).map(sorted), st.integers(2, 40))
def test_thinning_keeps_the_first_and_the_last(steps, count):
    kept = points.thin(np.array(steps), count)
    assert kept[0] == 0 and kept[-1] == len(steps) - 1
    assert len(kept) <= count and (np.diff(kept) > 0).all()


def test_a_run_says_in_mlflow_what_it_was(lab, recorded):
    overrides = f"init=normal init.std=0.02 activation=sigmoid {SMALL}"
    record, run = recorded(overrides, name="normal · sigmoid", tags={"config_hash": "abc"} | provenance.provenance())
    params, tags = run.data.params, run.data.tags
    assert run.info.status == "FINISHED" and run.info.run_name == "normal · sigmoid"
    assert params["init.name"] == "normal" and params["init.std"] == "0.02" and params["model.depth"] == "3"
    assert "training.clip_norm" not in params and not any(key.startswith("tracking") for key in params)
    assert tags["verdict"] == diagnose(record).name and tags["config_hash"] == "abc"
    assert {"git.commit", "git.dirty", "version.numpy", "version.mlflow", "blas", "cpu", "threads"} <= set(tags)
    assert tags["threads"] == "1"
    note = tags["mlflow.note.content"]
    for profile in (record.theory["grad_norm"], record.layers["grad_norm"][0, 0]):
        assert f" {profile[0] / profile[2]:.2g} ×" in note.split("Theory expected")[1]
    assert diagnose(record).evidence in note and f"`backscope {overrides}`" in note
    assert f"`make reproduce RUN={tags['entry']}`" in note


def test_every_layer_has_its_series_of_medians_from_step_0_to_the_last(lab, recorded):
    record, run = recorded(f"init=he activation=relu {SMALL}", replicas=3)
    for layer in range(1, 5):
        series = history(lab, run, f"grad_norm/layer_{layer:02d}")
        assert min(series) == 0 and max(series) == 10 and 3 <= len(series) <= points.SERIES_POINTS
        for step, value in series.items():
            moment = list(record.steps).index(step)
            assert value == np.median(record.layers["grad_norm"][moment, :, layer - 1])
    profile = history(lab, run, "depth_profile/log10_grad_norm_step_010")
    assert profile == pytest.approx(dict(enumerate(np.log10(np.median(record.layers["grad_norm"][-1], axis=0)), 1)))
    assert run.data.metrics["summary/test_accuracy"] == np.median(record.final("test/accuracy"))
    assert run.data.metrics["summary/grad_ratio"] == diagnose(record).numbers["grad_ratio"]
    predicted = history(lab, run, "theory/log10_grad_norm_step_000")
    assert predicted == pytest.approx(dict(enumerate(np.log10(record.theory["grad_norm"]), 1)))
    assert history(lab, run, "train/loss")[10] == np.median(record.final("train/loss"))


def test_layers_sort_by_name_where_there_are_a_hundred(run):
    record = run("model.depth=99 model.width=2 training.steps=0")
    keys = [point.key for point in recorder.entry(record, diagnose(record), name="").points]
    layers = [key for key in keys if key.startswith("grad_norm/")]
    assert layers == sorted(layers) and layers[-1] == "grad_norm/layer_100"


def test_gradients_that_are_exactly_0_are_exactly_0_in_the_store(lab, recorded):
    _, run = recorded(f"init=zeros activation=tanh {SMALL}")
    assert run.data.tags["verdict"] == "symmetric"
    for layer in range(1, 4):
        assert set(history(lab, run, f"grad_norm/layer_{layer:02d}").values()) == {0.0}


def test_a_diverged_run_is_marked_and_sends_nothing_that_is_not_finite(lab, recorded):
    _, run = recorded(f"activation=identity loss=squared_error optimizer.lr=1e6 {SMALL}")
    assert run.data.tags["verdict"] == "diverged" and run.data.metrics["summary/diverged_at"] > 0
    with closing(sqlite3.connect(lab.uri.removeprefix(store.SQLITE))) as database:
        count, nans, largest = database.execute(
            "SELECT count(*), sum(is_nan), max(abs(value)) FROM metrics WHERE run_uuid = ?", (run.info.run_id,)
        ).fetchone()
    assert count > 0 and nans == 0 and largest < 1e308


def test_infinity_in_a_record_is_not_sent(run):
    record = run(SMALL)
    record.layers["grad_norm"][1, :, 0], record.layers["grad_norm"][2, :, 1] = np.inf, np.nan
    points = recorder.entry(record, diagnose(record), name="").points
    assert points and all(np.isfinite(point.value) for point in points)


def test_artifacts_are_the_trace_the_configuration_and_the_overrides(lab, recorded):
    record, run = recorded(f"init=orthogonal {SMALL}")
    names = {item.path for item in lab.client.list_artifacts(run.info.run_id)}
    assert names == {"trace.parquet", "config.yaml", "overrides.yaml"}
    config = yaml.safe_load(Path(lab.client.download_artifacts(run.info.run_id, "config.yaml")).read_text())
    assert config["model"]["depth"] == 3 and config["init"]["name"] == "orthogonal"
    trace = reader.trace(run.info.run_id, lab.uri)
    assert len(trace[trace.quantity == "grad_norm"]) == record.layers["grad_norm"].size


def test_a_run_that_raised_is_kept_as_failed(lab, run):
    config = run(SMALL).config
    error = ValueError("first line\nsecond line")
    failure = recorder.failure(config, error, name="x", log="the traceback")
    run_id = recorder.write(lab.client, lab.experiment_id, failure)
    failed = lab.client.get_run(run_id)
    assert failed.info.status == "FAILED" and failed.data.tags["error"] == "ValueError: first line"
    assert failed.data.params["model.depth"] == "3"
    assert "error.txt" in {item.path for item in lab.client.list_artifacts(run_id)}


def test_a_run_that_could_not_be_sent_whole_is_not_called_finished(lab, run):
    record, created = run(SMALL), []
    client = type("Client", (), {"__getattr__": lambda _, name: getattr(lab.client, name)})()
    client.create_run = lambda *args: created.append(lab.client.create_run(*args)) or created[-1]

    def broken(*_, **__):
        raise OSError("disk full")

    client.log_batch = broken
    with pytest.raises(OSError, match="disk full"):
        recorder.write(client, lab.experiment_id, recorder.entry(record, diagnose(record), name="x"))
    assert lab.client.get_run(created[0].info.run_id).info.status == "KILLED"


def test_a_sweep_is_a_parent_run_and_its_runs_are_read_as_a_frame(lab, recorded):
    parent = sweeps.start_sweep(lab.client, lab.experiment_id, name="sweep", sweep_id="s1", description="running")
    for depth in (2, 3):
        recorded(f"{SMALL} model.depth={depth}", parent=parent, tags={"sweep_id": "s1"})
    files = {"figures/a.png": b"\x89PNG"}
    sweeps.finish_sweep(lab.client, parent, description="**done**", files=files, numbers={"healthy": 2})
    run = lab.client.get_run(parent)
    assert run.info.status == "FINISHED" and run.data.tags["mlflow.note.content"] == "**done**"
    assert run.data.metrics == {"summary/healthy": 2.0}
    assert [item.path for item in lab.client.list_artifacts(parent, "figures")] == ["figures/a.png"]
    frame = reader.runs("lab", "s1", lab.uri)
    assert list(frame["model.depth"]) == [2, 3] and frame["optimizer.lr"].dtype == float
    assert list(frame["verdict"]) == ["healthy", "healthy"]
    children = [lab.client.get_run(run_id) for run_id in frame.index]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent}
    traces = reader.traces(frame, lab.uri)
    assert [traces[run_id]["layer"].max() for run_id in frame.index] == [3, 4]


WORKER = """
import sys
from pathlib import Path
from backscope.tracking import store
uri = store.absolute(None, Path(sys.argv[1]))
experiment_id = store.prepare(uri, "race")
run = store.client(uri).create_run(experiment_id)
store.client(uri).set_terminated(run.info.run_id)
"""


def test_processes_that_start_together_on_a_fresh_store_lose_no_run(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0] * 3
    assert len(reader.runs("race", uri=store.absolute(None, tmp_path))) == 3
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:///{tmp}/not_a_database", "file is not a database"),
        ("sqlite:///{tmp}/not_a_database/mlflow.db", "File exists"),
        ("sqlite:///{tmp}", "unable to open database file"),
        ("sqlite:///:memory:", "in memory would be lost"),
        ("./mlruns", "not a tracking store; allowed: sqlite:///path.db"),
        ("foo://bar", "not a tracking store"),
        ("http://127.0.0.1:9", "Connection refused"),
        ("postgresql://me:secret@127.0.0.1:9/db", "postgresql://me:***@127.0.0.1:9/db: cannot be used"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_in_one_line_within_seconds(tmp_path, uri, said):
    (tmp_path / "not_a_database").write_text("no database at all\n" * 100)
    start = time.perf_counter()
    with pytest.raises(store.StoreError) as error:
        store.prepare(store.absolute(uri.format(tmp=tmp_path), tmp_path), "x")
    message = str(error.value)
    assert said in message and message.startswith("tracking.uri=")
    assert "\n" not in message and "secret" not in message
    assert time.perf_counter() - start < 8


def test_after_it_was_opened_a_store_that_goes_away_is_given_up_within_seconds(tmp_path):
    """In a process of its own: MLflow itself would try again for four minutes."""
    code = "import os, sys; from backscope.tracking import store; store.prepare(sys.argv[1], 'x'); print(os.environ)"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_HTTP_REQUEST")}
    command = [sys.executable, "-c", code, store.absolute(None, tmp_path)]
    left = subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout
    assert all(f"'{name}': '{value}'" in left for name, value in store.PATIENCE.items())


def test_an_experiment_that_was_deleted_is_not_written_to(lab):
    experiment_id = store.prepare(lab.uri, "gone")
    lab.client.delete_experiment(experiment_id)
    with pytest.raises(store.StoreError, match=r"tracking\.experiment=gone: it was deleted"):
        store.prepare(lab.uri, "gone")


def test_pages_lead_to_the_server_that_holds_the_runs():
    assert pages.sweep_page("http://lab:5000/", "3", "s1").startswith("http://lab:5000/#/experiments/3/runs?")
    assert "tags.sweep_id%20%3D%20%27s1%27" in pages.sweep_page("sqlite:////a.db", "3", "s1")


def test_a_store_that_was_read_before_it_was_made_is_written(tmp_path):
    uri = store.absolute(None, tmp_path)
    with pytest.raises(store.StoreError, match="no such experiment"):
        reader.runs("backscope", uri=uri)
    store.prepare(uri, "backscope")
    store.check_there(uri)
    (tmp_path / "mlflow.db").unlink()
    with pytest.raises(store.StoreLost, match="what it had is lost"):
        store.prepare(uri, "backscope")
