"""One run: what it prints, what it tracks, and that nothing but the configuration decides its numbers."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backscope import app
from backscope.__main__ import main
from backscope.config import compose
from backscope.tracking import reader, store

OVERRIDES = (
    "model.depth=3",
    "model.width=16",
    "training.steps=20",
    "activation=relu",
    "init=he",
    "model.dropout=0.1",
)


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path}/mlflow.db"


def fingerprint(record):
    """A hash of every number in a record but the times."""
    arrays = [record.theta, *record.layers.values(), *(values for _, values in record.scalars.values())]
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def test_a_run_says_what_happened_and_is_tracked(uri, capsys):
    assert main([*OVERRIDES, f"tracking.uri={uri}"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("healthy: ") and "test/accuracy" in printed and "make ui" in printed
    runs = reader.runs("backscope", uri=uri)
    assert runs["name"].tolist() == ["he · relu · 3 · sgd"] and runs["verdict"].tolist() == ["healthy"]
    assert runs["config_hash"].tolist() == [compose(*OVERRIDES).hash()]
    assert runs.index[0] in printed


def test_untracked_runs_leave_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*OVERRIDES, "tracking=none"]) == 0
    assert "healthy" in capsys.readouterr().out and list(tmp_path.iterdir()) == []


def test_the_store_and_its_password_are_not_recorded(uri, tmp_path):
    *_, run_id = app.run(compose(*OVERRIDES, f"tracking.uri={uri}"))
    artifact = next(tmp_path.glob(f"mlartifacts/*/{run_id}/artifacts/config.yaml"))
    assert "sqlite" not in artifact.read_text()


@pytest.mark.parametrize(
    ("overrides", "drawn"),
    [
        ([], True),
        (["tracking.figures=false"], False),
        (["tracking.parent=ab12"], False),  # as every run of a sweep
        (["tracking.parent=ab12", "tracking.figures=true"], True),
    ],
)
def test_a_single_run_keeps_its_figures_and_a_sweep_s_does_if_asked(overrides, drawn):
    config = compose(*OVERRIDES, *overrides)
    record, _ = app.measure(config)
    assert set(app.figure_files(record)) == ({"figures/gradients.png", "figures/activations.png"} if drawn else set())
    assert config.hash() == compose(*OVERRIDES).hash()


def test_a_figure_that_cannot_be_drawn_loses_no_run(uri, tmp_path, monkeypatch):
    monkeypatch.setattr("backscope.analysis.figures.run_files", lambda *_: 1 / 0)
    *_, run_id = app.run(compose(*OVERRIDES, f"tracking.uri={uri}"))
    (folder,) = tmp_path.glob(f"mlartifacts/*/{run_id}/artifacts")
    assert "ZeroDivisionError" in (folder / "figures" / "error.txt").read_text()
    assert reader.runs("backscope", uri=uri).index[0] == run_id


def test_a_run_that_raises_is_recorded_as_failed(uri):
    with pytest.raises(ValueError, match="rank"):  # some pixels of the digits are always empty
        app.run(compose(*OVERRIDES, "data.whiten=64", f"tracking.uri={uri}"))
    runs = reader.runs("backscope", uri=uri, status="FAILED")
    assert runs["error"].str.contains("data.whiten=64: allowed is 1 to").all() and len(runs) == 1


def test_the_objective_is_the_test_loss_and_infinite_after_divergence():
    record, verdict = app.measure(compose(*OVERRIDES))
    assert app.outcome(record, verdict, None) == record.final("test/loss")[0]
    record, verdict = app.measure(compose(*OVERRIDES, "optimizer.lr=1e200"))
    result = app.outcome(record, verdict, None)
    assert result == np.inf and result.verdict == "diverged"


def test_another_process_gets_the_same_numbers_bit_for_bit():
    code = (
        "import sys; from backscope.app import measure; from backscope.config import compose\n"
        "from test_app import fingerprint; print(fingerprint(measure(compose(*sys.argv[1:]))[0]))"
    )
    command = [sys.executable, "-c", code, *OVERRIDES]
    here = Path(__file__).parent
    other = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout.strip()
    assert other == fingerprint(app.measure(compose(*OVERRIDES))[0])


def test_store_of_is_opened_once_a_process(uri):
    config = compose(f"tracking.uri={uri}")
    assert app.store_of(config)[0] is app.store_of(config)[0]
    assert isinstance(store.client(uri), type(app.store_of(config)[0]))


def test_the_next_run_on_the_same_data_finds_them_drawn(monkeypatch):
    app.datasets.cache_clear()
    for overrides in ([], ["init=zeros"], ["seed=1"], []):
        app.measure(compose(*OVERRIDES, *overrides))
    assert (app.datasets.cache_info().hits, app.datasets.cache_info().misses) == (2, 2)
    monkeypatch.setattr(app, "KEPT", 1000)
    app.measure(compose(*OVERRIDES))  # too large to keep
    assert app.datasets.cache_info().hits == 2
