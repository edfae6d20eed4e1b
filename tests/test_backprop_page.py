"""The page of backpropagation: its numbers are the trace's, whatever the run, and nothing in it can become code."""

import base64
import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backscope import app
from backscope.analysis.backprop.page import render
from backscope.analysis.backprop.passes import MOST_STEPS, SHOWN, passes
from backscope.commands.show import main
from backscope.config import compose
from backscope.tracking import reader, store

SMALL = ("model.depth=3", "model.width=8", "training.steps=6")
RUNS = {
    "zeros": (*SMALL, "init=zeros", "activation=tanh"),
    "three": (*SMALL, "init=he", "activation=relu", "replicas=3", "probes=full"),
    "diverged": (*SMALL, "init=he", "activation=relu", "optimizer.lr=1e6"),
    "regression": ("data=diabetes", "model.depth=1", "training.steps=0", "probes=economy"),
    "unprobed": (*SMALL, "probes=none"),
    "<script>alert(1)</script>": (*SMALL, "init=xavier"),
}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A store of small runs: its URI, and the runs' ids by their names."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('show')}/mlflow.db"
    ids = {name: app.run(compose(*overrides, f"tracking.uri={uri}"))[2] for name, overrides in RUNS.items()}
    for name, run_id in ids.items():
        store.client(uri).set_tag(run_id, "mlflow.runName", name)
    return SimpleNamespace(uri=uri, ids=ids)


@pytest.fixture
def shown(tracked, tmp_path, capsys):
    """shown("zeros", "three"): what the page knows of these runs."""

    def shown(*names):
        page = tmp_path / "page.html"
        assert main([*(tracked.ids[name] for name in names), "--out", str(page), "--uri", tracked.uri]) == 0
        capsys.readouterr()
        return page.read_text(), data(page.read_text())

    return shown


def data(html):
    """The JSON in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html)[1])


@pytest.mark.parametrize("name", ["zeros", "three", "diverged", "regression"])
def test_every_number_is_the_median_of_the_trace(tracked, shown, name):
    _, (run,) = shown(name)
    trace = reader.trace(tracked.ids[name], tracked.uri)
    medians = trace.groupby(["quantity", "step", "layer"], observed=True)["value"].median()
    compared = 0
    for quantity, values in run["layers"].items():
        for step, layers in zip(run["steps"], values, strict=True):
            expected = [medians.get((quantity, step, layer)) for layer in range(1, run["depth"] + 2)]
            assert layers == [None if value is None or np.isnan(value) else value for value in expected]
            compared += len(layers)
    assert compared >= len(run["steps"]) * (run["depth"] + 1) * 3
    assert run["loss"] == [medians.get(("train/loss", step, 0)) for step in run["steps"]]
    for quantity, values in run["theory"].items():
        assert values == [medians.get((f"theory/{quantity}", 0, layer)) for layer in range(1, run["depth"] + 2)]


def test_replicas_have_quartiles_and_one_network_has_none(tracked, shown):
    _, (three, zeros) = shown("three", "zeros")
    trace = reader.trace(tracked.ids["three"], tracked.uri)
    rows = trace[(trace["quantity"] == "delta_rms") & (trace["step"] == 6) & (trace["layer"] == 2)]
    low, high = np.quantile(rows["value"], [0.25, 0.75])
    assert (three["low"]["delta_rms"][-1][1], three["high"]["delta_rms"][-1][1]) == (low, high)
    assert zeros["low"] == zeros["high"] == {}


def test_zeros_are_zeros_and_what_was_not_measured_is_null(shown):
    _, (zeros, regression) = shown("zeros", "regression")
    assert zeros["layers"]["delta_rms"][-1][:3] == [0, 0, 0] and zeros["layers"]["delta_rms"][-1][3] > 0
    assert zeros["layers"]["distinct_neurons"][-1][:3] == [1, 1, 1]
    assert zeros["theory"]["delta_rms"] == [None] * 4
    assert zeros["layers"]["dead_units"][0][3] is None  # the head has no activation
    assert regression["steps"] == [0] and set(regression["layers"]) <= set(SHOWN)
    assert "distinct_neurons" not in regression["layers"]


def test_sizes_come_from_the_data_that_was_recorded(tracked, shown):
    _, (regression, zeros) = shown("regression", "zeros")
    assert regression["sizes"] == [10, 64, 1] and zeros["sizes"] == [64, 8, 10]
    row = reader.run(tracked.ids["zeros"], tracked.uri).iloc[0].to_dict()
    assert passes(row, reader.trace(tracked.ids["zeros"], tracked.uri))["sizes"] == [None, 8, None]


def test_a_long_run_is_thinned_to_what_a_slider_can_show(tracked):
    row = reader.run(tracked.ids["zeros"], tracked.uri).iloc[0].to_dict()
    steps = np.arange(5000)
    columns = {"quantity": "grad_norm", "step": steps, "replica": 0, "layer": 1, "value": steps / 7}
    run = passes(row, pd.DataFrame(columns))
    assert len(run["steps"]) <= MOST_STEPS and (run["steps"][0], run["steps"][-1]) == (0, 4999)
    assert [values[0] for values in run["layers"]["grad_norm"]] == [step / 7 for step in run["steps"]]
    assert run["layers"]["grad_norm"][0][1:] == [None] * 3 and set(run["loss"]) == {None}


def test_what_a_run_is_called_cannot_become_code(shown):
    name = "<script>alert(1)</script>"
    html, (run, _) = shown(name, "zeros")
    assert run["name"] == name
    assert "<script>alert" not in html and html.count("<script") == 2
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html and "default-src 'none'" in html


def test_a_page_needs_no_network(shown):
    html, _ = shown("three")
    assert set(re.findall(r"https?://[\w./]+", html)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
    }
    assert not re.search(r"(src|href)=(?!\"(#|data:))", html)


def test_the_page_is_a_file_of_the_run(tracked, capsys):
    first, second = tracked.ids["zeros"], tracked.ids["three"]
    for arguments, name in (([first], "backprop.html"), ([first, second], f"backprop_against_{second[:8]}.html")):
        assert main([*arguments, "--uri", tracked.uri]) == 0
        path = Path(capsys.readouterr().out.rsplit(": ", 1)[1].strip())
        assert path.name == name and first in path.parts
        assert [run["verdict"] for run in data(path.read_text())] == ["symmetric", "healthy"][: len(arguments)]


def test_latest_is_the_newest_run_that_is_finished(tracked, tmp_path, capsys):
    client = store.client(tracked.uri)
    experiment = client.get_run(tracked.ids["zeros"]).info.experiment_id
    sweep = client.create_run(experiment, tags={"kind": "sweep"}).info.run_id
    client.set_terminated(sweep)
    running = client.create_run(experiment).info.run_id
    assert main(["latest", "--out", str(tmp_path / "page.html"), "--uri", tracked.uri]) == 0
    assert capsys.readouterr().out.startswith(list(RUNS)[-1])
    for run_id, reason in ((sweep, "a sweep, not a run"), (running, "it is RUNNING")):
        assert main([run_id, "--uri", tracked.uri]) == 2
        assert reason in capsys.readouterr().err
        client.delete_run(run_id)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "allowed is RUN=<run id> or RUN=latest"),
        (["zeros", "zeros", "zeros"], "allowed is RUN=<run id> or RUN=latest"),
        (["nobody"], "RUN=nobody: no such run in"),
        (["unprobed"], "no layer was probed; allowed is a run with probes=economy or more"),
        (["zeros", "--out", "/nowhere/page.html"], "--out=/nowhere/page.html: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(tracked, capsys, arguments, said):
    named = [tracked.ids.get(argument, argument) for argument in arguments]
    assert main([*named, "--uri", tracked.uri]) == 2
    error = capsys.readouterr().err
    assert error.startswith("backscope: ") and said in error and error.count("\n") == 1


def test_a_store_that_is_not_there_or_empty_is_one_line(tmp_path, capsys):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert main(["latest", "--uri", uri]) == 2
    assert "there is no such file" in capsys.readouterr().err
    store.prepare(uri, "backscope")
    assert main(["latest", "--uri", uri]) == 2
    assert "RUN=latest: no finished run in" in capsys.readouterr().err


def test_a_run_whose_trace_is_gone_is_one_line(tracked, tmp_path, capsys):
    run_id = app.run(compose(*SMALL, f"tracking.uri={tracked.uri}", "tracking.experiment=gone"))[2]
    (trace,) = Path(tracked.uri.removeprefix("sqlite:///")).parent.glob(
        f"mlartifacts/*/{run_id}/artifacts/trace.parquet"
    )
    for content in (b"not parquet", None):
        trace.unlink() if content is None else trace.write_bytes(content)
        assert main([run_id, "--out", str(tmp_path / "page.html"), "--uri", tracked.uri]) == 2
        error = capsys.readouterr().err
        assert "trace.parquet" in error and error.count("\n") == 1
    store.client(tracked.uri).delete_run(run_id)


def test_a_page_of_a_hundred_layers_is_small(tracked):
    row = reader.run(tracked.ids["zeros"], tracked.uri).iloc[0].to_dict() | {"model.depth": 100}
    grid = [axis.ravel() for axis in np.meshgrid(np.arange(15), np.arange(1, 102), indexing="ij")]
    values = {"step": grid[0], "replica": 0, "layer": grid[1], "value": np.pi * 10.0 ** -grid[1]}
    trace = pd.concat([pd.DataFrame({"quantity": name, **values}) for name in SHOWN])
    assert len(render([passes(row, trace)] * 2)) < 1_500_000
