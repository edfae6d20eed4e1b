"""Sweeps, for real: workers, a fresh SQLite store, failures, interruption, and Hydra's other launcher."""

import math
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from backscope import app
from backscope.__main__ import main
from backscope.commands import report
from backscope.config import compose
from backscope.config.composing import parse
from backscope.sweep import expand, run_name
from backscope.tracking import reader
from backscope.tracking.trace import to_parquet

SMALL = ("model.width=16", "training.steps=5", "tracking.experiment=small")
AXES = ("init=zeros,xavier", "model.depth=2,3", "optimizer=sgd,adam")


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)


def sweep(folder, *arguments, launcher="hydra.launcher.n_jobs=2"):
    return main(["-m", *SMALL, *arguments, launcher, f"tracking.uri=sqlite:///{folder}/mlflow.db"])


def tracked(folder):
    """The client, the parent runs and the nested runs of the experiment."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    parents = [run for run in runs if run.data.tags.get("kind") == "sweep"]
    return client, parents, [run for run in runs if run not in parents]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    assert sweep(folder, *AXES) == 0
    return folder


def test_every_run_is_nested_named_and_complete(finished):
    client, (parent,), runs = tracked(finished)
    assert {run.info.status for run in [parent, *runs]} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert {run.data.tags["sweep_id"] for run in [*runs, parent]} == {parent.data.tags["sweep_id"]}
    names = {f"{i} · {d} · {o}" for i in ("zeros", "xavier") for d in (2, 3) for o in ("sgd", "adam")}
    assert {run.info.run_name for run in runs} == names and len(runs) == 8
    assert "8 runs: init (2) × model.depth (2) × optimizer (2)" in parent.data.tags["mlflow.note.content"]
    for run in runs:
        depth = int(run.data.params["model.depth"])
        assert {f"grad_norm/layer_{layer:02d}" for layer in range(1, depth + 2)} <= run.data.metrics.keys()
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "grad_norm/layer_01")]
        assert steps[0] == 0 and steps[-1] == 5
        assert all(map(math.isfinite, run.data.metrics.values()))
        assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {
            "config.yaml",
            "overrides.yaml",
            "trace.parquet",
        }


def test_verdicts_and_exact_zeros_are_in_the_store(finished):
    _, _, runs = tracked(finished)
    for run in runs:
        zeros = run.data.params["init.name"] == "zeros"
        assert (run.data.tags["verdict"] == "symmetric") == zeros
        hidden = [
            run.data.metrics[f"grad_norm/layer_0{layer}"] for layer in range(1, int(run.data.params["model.depth"]))
        ]
        assert all((norm == 0.0) == zeros for norm in hidden)


def test_workers_measure_the_same_numbers_bit_for_bit(finished, tmp_path):
    _, _, runs = tracked(finished)
    run = next(run for run in runs if run.info.run_name == "xavier · 3 · adam")
    there = reader.trace(run.info.run_id, uri=f"sqlite:///{finished}/mlflow.db")
    record, _ = app.measure(compose(*SMALL[:2], "init=xavier", "model.depth=3", "optimizer=adam"))
    (tmp_path / "trace.parquet").write_bytes(to_parquet(record))
    pd.testing.assert_frame_equal(there, pd.read_parquet(tmp_path / "trace.parquet"), check_exact=True)


def test_the_table_and_the_way_to_the_ui_are_printed(tmp_path, capsys):
    assert sweep(tmp_path, "init=zeros,xavier", "model.depth=2") == 0
    printed = capsys.readouterr().out
    assert "2 of 2 runs in" in printed and "symmetric 1" in printed and "healthy 1" in printed
    assert "/#/experiments/1/runs?workflowType=machine_learning" in printed


def test_a_run_that_fails_stops_no_other(tmp_path, capsys):
    assert sweep(tmp_path, "data.whiten=10,64,20", "model.depth=2") == 1
    assert "failed whiten=64: ValueError: data.whiten=64: allowed is 1 to" in capsys.readouterr().out
    _, (parent,), runs = tracked(tmp_path)
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]
    assert parent.info.status == "FAILED"
    made = next(tmp_path.glob(f"mlartifacts/*/{parent.info.run_id}/artifacts/report.html")).read_text()
    assert "<b>whiten=64</b>: ValueError: data.whiten=64: allowed is 1 to" in made


def test_the_parent_run_carries_a_report_that_can_be_made_anew(finished, tmp_path, capsys):
    client, (parent,), runs = tracked(finished)
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"runs.csv", "report.html"}
    folder = next(finished.glob(f"mlartifacts/*/{parent.info.run_id}/artifacts"))
    table, made = pd.read_csv(folder / "runs.csv", index_col="run_id"), (folder / "report.html").read_bytes()
    assert set(table.index) == {run.info.run_id for run in runs}
    assert b"backscope -m" in made and b"init=zeros,xavier model.depth=2,3 optimizer=sgd,adam" in made
    assert all(run.info.run_id.encode() in made for run in runs) and len(made) < 8e6
    (folder / "report.html").unlink()
    uri = f"sqlite:///{finished}/mlflow.db"
    for sweep_ in ("small", "latest", parent.data.tags["sweep_id"], parent.info.run_id):
        assert report.main([sweep_, "--uri", uri, "--output", str(tmp_path / "copy.html")]) == 0
        assert (folder / "report.html").read_bytes() == (tmp_path / "copy.html").read_bytes() == made
    assert "copy.html" in capsys.readouterr().out
    assert report.main(["no'such", "--uri", uri]) == 2
    assert capsys.readouterr().err.startswith("backscope: SWEEP=no'such: no such sweep; allowed is latest, ")


def test_hydras_basic_launcher_gives_the_same_runs(finished, tmp_path):
    assert sweep(tmp_path, *AXES, launcher="hydra/launcher=basic") == 0
    _, (parent,), runs = tracked(tmp_path)
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    numbers = [
        {
            run.info.run_name: {key: value for key, value in run.data.metrics.items() if "seconds" not in key}
            for run in tracked(folder)[2]
        }
        for folder in (finished, tmp_path)
    ]
    assert numbers[0] == numbers[1]


def test_an_interrupted_sweep_says_what_is_left(tmp_path):
    arguments = [*SMALL, "seed=range(0,500)", "model.depth=8", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    process = subprocess.Popen(
        [sys.executable, "-m", "backscope", "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("mlartifacts/small/*/artifacts/trace.parquet")):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and errors == "" and time.monotonic() - started < 5
    assert "of 500 runs in" in printed and "interrupted" in printed
    _, (parent,), runs = tracked(tmp_path)
    assert parent.info.status == "KILLED" and 0 < len(runs) < 500


def test_axes_are_in_the_order_given_and_the_last_word_counts():
    axes, jobs = expand([parse(each) for each in ("init=he,zeros", "model.depth=2,3", "seed=1", "init=zeros")])
    assert axes == {"model.depth": ["2", "3"]}
    assert jobs == [
        (["init=zeros", "model.depth=2", "seed=1"], ("2",)),
        (["init=zeros", "model.depth=3", "seed=1"], ("3",)),
    ]


def test_run_names_are_short():
    assert run_name(["init", "activation", "model.depth", "optimizer"], ["zeros", "tanh", "20", "sgd"]) == (
        "zeros · tanh · 20 · sgd"
    )
    assert run_name(["data", "replicas", "activation.straight_through"], ["mnist1d", "4", "true"]) == (
        "mnist1d · replicas=4 · straight_through=true"
    )
