"""Hydra's Optuna sweeper: trials under one parent, repeated by their seed; one line for a bad option."""

import pytest
from mlflow.tracking import MlflowClient

SMALL = ("model.depth=2", "model.width=16", "training.steps=20", "tracking.experiment=studied")
STUDY = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.seed=3", *SMALL)


@pytest.fixture
def study(tmp_path, start):
    """study(*overrides): exit status, what is printed, errors, and the runs of MLflow, the oldest first."""
    pytest.importorskip("optuna", reason="the extra optuna")

    def study(*overrides):
        process = start(tmp_path, "joblib", "hydra.launcher.n_jobs=2", *STUDY, *overrides)
        printed, errors = process.communicate(timeout=120)
        if not (tmp_path / "mlflow.db").exists():
            return process.returncode, printed, errors, []
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        experiment = client.get_experiment_by_name("studied").experiment_id
        runs = client.search_runs([experiment], order_by=["attributes.start_time"])
        return process.returncode, printed, errors, runs

    return study


@pytest.mark.slow
def test_a_study_is_under_one_parent_and_repeated_by_its_seed(study):
    space = ("init=xavier,he", "optimizer.lr=tag(log, interval(0.001, 1))")
    status, printed, errors, (parent, *trials) = study(*space)
    assert (status, errors) == (0, "") and len(trials) == 6
    assert {run.info.status for run in [parent, *trials]} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    best = min(trials, key=lambda run: run.data.metrics["summary/test_loss"])
    assert best.data.metrics["summary/test_loss"] == pytest.approx(parent.data.metrics["summary/best_test_loss"])
    number, choice = best.info.run_name.removeprefix("trial ").split(" · ", 1)
    assert f"best so far: trial {int(number)}, " in printed.splitlines()[-1] and choice in printed.splitlines()[-1]
    assert f"| {int(number)} | {choice} | {best.data.tags['verdict']} |" in parent.data.tags["mlflow.note.content"]
    _, again, _, runs = study(*space)
    assert again.splitlines()[1:] == printed.splitlines()[1:] and len(runs) == 14


@pytest.mark.slow
def test_a_choice_is_run_once_and_a_trial_that_fails_is_one_line(study):
    status, printed, errors, (parent, *trials) = study("data.whiten=choice(10,20,64)")
    assert (status, errors) == (1, "") and parent.info.status == "FAILED" and 1 < len(trials) <= 3
    assert "whiten=64: failed, ValueError: data.whiten=64: allowed is 1 to 60" in printed
    assert "best so far: trial" in printed.splitlines()[-1]


BAD = {
    "optimizer.lr=interval(-2,-1)": "allowed is a number > 0",
    "hydra.sweeper.n_jobs=0": "hydra.sweeper.n_jobs=0: allowed is an integer >= 1",
    "hydra.sweeper.n_trials=0": "hydra.sweeper.n_trials=0: allowed is an integer >= 1",
    "hydra.sweeper.direction=maximize": "hydra.sweeper.direction=maximize: allowed is one of minimize",
    "hydra.sweeper.custom_search_space=os.system": "not allowed: a configuration chooses code by name",
    "hydra.sweeper.storage=redis://127.0.0.1": "hydra.sweeper.storage=redis://127.0.0.1: not allowed",
}


@pytest.mark.slow
@pytest.mark.parametrize("override", BAD)
def test_a_bad_option_is_one_line(study, override):
    status, printed, errors, runs = study("init=zeros,he", override)
    assert (status, printed, runs) == (2, "", []) and errors.count("\n") == 1
    assert errors.startswith("backscope: ") and BAD[override] in errors
