"""What the command is told, what it compares with, and runs of real sweeps and servers."""

import os
import shutil
import signal

import numpy as np
import pytest

from backscope import app
from backscope.commands.reproduce import main
from backscope.config import compose
from backscope.lab import sweeps
from backscope.tracking import reader

OVERRIDES = ("model.depth=3", "model.width=16", "training.steps=10")


def test_a_store_that_is_not_there_is_not_made(tmp_path, capsys):
    assert main(["abc", "--uri", f"sqlite:///{tmp_path}/none.db"]) == 2
    assert "there is no such file" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "allowed is one of RUN="),
        (["a", "--experiment", "zero_init"], "allowed is one of RUN="),
        (["a", "--tolerance", "-1"], "--tolerance=-1: allowed is a number ≥ 0"),
        (["a", "--tolerance", "nan"], "--tolerance=nan: allowed is a number ≥ 0"),
        (["--config", "none.yaml"], "none.yaml: No such file"),
        (["--experiment", "zero_ini"], "did you mean zero_init?"),
    ],
)
def test_bad_arguments(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("backscope: ") and said in error and error.count("\n") == 1


def test_latest_is_the_newest_run(recorded, reproduce):
    status, said = reproduce("latest")
    assert status == 0 and recorded.run_id in said and "bit for bit" in said
    recorded.change("UPDATE runs SET status = 'FAILED'")
    assert reproduce("latest")[1].startswith("backscope: RUN=latest: no finished run in ")


def test_other_circumstances_are_named(reproduce, recorded):
    recorded.change("UPDATE tags SET value = '1.26.4' WHERE key = 'version.numpy'")
    recorded.change("UPDATE tags SET value = 'Z80' WHERE key = 'cpu'")
    status, said = reproduce()
    assert status == 0
    assert "data " not in said
    recorded.change("UPDATE datasets SET digest = 'abc'")
    assert "data abc then, " in reproduce()[1]
    assert f"numpy 1.26.4 then, {np.__version__} now" in said and "cpu Z80 then, " in said and "scipy" not in said


def test_the_verdict_is_compared(reproduce, recorded):
    recorded.change("UPDATE tags SET value = 'dead' WHERE key = 'verdict'")
    status, said = reproduce()
    assert status == 1 and "different: the verdict is dead as recorded, healthy now" in said


def test_a_config_file_is_compared_with_the_trace_beside_it_or_with_another(recorded, tmp_path, capsys, edit):
    assert main(["--config", str(recorded.files / "config.yaml")]) == 0
    assert main(["--config", str(recorded.files)]) == 0
    assert capsys.readouterr().out.count("measurements, bit for bit") == 2
    alone = tmp_path / "alone" / "config.yaml"
    alone.parent.mkdir()
    shutil.copy(recorded.files / "config.yaml", alone)
    assert main(["--config", str(alone)]) == 2
    said = capsys.readouterr()
    assert said.err == f"backscope: CONFIG={alone}: nothing to compare this with: there is no trace.parquet beside it\n"
    assert "healthy: " in said.out and list(alone.parent.iterdir()) == [alone]
    edit(alone, lambda config: config["optimizer"].update(lr=0.09))
    assert main(["--config", str(alone), "--trace", str(recorded.files / "trace.parquet")]) == 1
    assert "first update_ratio, layer 1, step 0, replica 0: " in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_on_a_tracking_server(serve, tmp_path, capsys):
    server = serve(tmp_path)
    _, _, run_id = app.run(compose(*OVERRIDES, f"tracking.uri={server.uri}"), OVERRIDES)
    assert main([run_id, "--uri", server.uri]) == 0
    assert "measurements, bit for bit" in capsys.readouterr().out
    (trace,) = tmp_path.rglob("trace.parquet")
    trace.unlink()
    assert main([run_id, "--uri", server.uri]) == 2
    assert "its file trace.parquet is missing" in capsys.readouterr().err
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    assert main([run_id, "--uri", server.uri]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"backscope: tracking.uri={server.uri}: cannot be used: ") and said.count("\n") == 1


@pytest.mark.slow
def test_ten_runs_of_the_default_study_are_identical(tmp_path, capsys):
    """Drawn at random, run in a process of its own by the sweep and here again."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sweeps.start("default_study", [f"tracking.uri={uri}"])
    runs = reader.runs("default_study", uri=uri)
    assert len(runs) == 108
    drawn = runs.index[np.random.default_rng(0).choice(len(runs), 10, replace=False)]
    assert main([*drawn, "--uri", uri]) == 0
    assert capsys.readouterr().out.count("measurements, bit for bit") == 10
