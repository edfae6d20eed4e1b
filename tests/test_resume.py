"""A sweep that was stopped goes on with the same command: staged in the store here, with real kills in tests/faults."""

import subprocess
import sys
from collections import Counter

import pytest

from backscope.__main__ import main
from backscope.tracking import liveness, store
from backscope.tracking.sweeps import JOBS

SMALL = ("model.width=8", "training.steps=3", "init=zeros,xavier", "hydra/launcher=basic")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return store.absolute(None, tmp_path_factory.mktemp("resume"))


@pytest.fixture
def sweep(uri, request, tmp_path, monkeypatch, capsys):
    """sweep(*arguments): run it, in an experiment of the test's own; the exit status and what was printed."""
    monkeypatch.setenv("BACKSCOPE_SPOOL", str(tmp_path))
    monkeypatch.setattr(sys, "argv", sys.argv)
    name = request.node.name

    def sweep(*arguments):
        status = main(["-m", *SMALL, f"tracking.uri={uri}", f"tracking.experiment='{name}'", *arguments])
        return status, capsys.readouterr().out

    return sweep


@pytest.fixture
def tracked(uri, request):
    """tracked(): the parents and the other runs of the test's experiment, the oldest first."""

    def tracked():
        client = store.client(uri)
        experiment = client.get_experiment_by_name(request.node.name)
        runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
        parents = [run for run in runs if run.data.tags.get("kind") == "sweep"]
        return parents, [run for run in runs if run not in parents]

    return tracked


def test_only_what_is_missing_runs_again(uri, sweep, tracked):
    """Of four runs one is whole; one was being written, one failed, and one has lost its trace."""
    assert sweep("model.depth=2,3")[0] == 0
    client, ((parent,), (whole, writing, failed, lost)) = store.client(uri), tracked()
    client.update_run(parent.info.run_id, "RUNNING")
    client.update_run(writing.info.run_id, "RUNNING")
    client.update_run(failed.info.run_id, "FAILED")
    (store.local(lost.info.artifact_uri) / "trace.parquet").unlink()

    status, printed = sweep("model.depth=2,3")
    sweep_id = parent.data.tags["sweep_id"]
    assert status == 0 and f"continuing sweep {sweep_id}: 1 of 4 runs are done" in printed
    assert "4 of 4 runs" in printed and "symmetric 2 · healthy 2" in printed

    (again,), runs = tracked()
    finished = [run for run in runs if run.info.status == "FINISHED"]
    assert (again.info.run_id, again.info.status, again.data.tags[JOBS]) == (parent.info.run_id, "FINISHED", "4")
    assert len({run.data.tags["config_hash"] for run in finished}) == len(finished) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in finished} == {parent.info.run_id}
    assert {run.data.tags["sweep_id"] for run in finished} == {sweep_id}
    left = {run.info.run_id: run for run in runs if run not in finished}
    assert set(left) == {each.info.run_id for each in (writing, failed, lost)}
    assert left[writing.info.run_id].info.status == "KILLED"
    assert left[writing.info.run_id].data.tags["interrupted"] == "true"
    assert left[lost.info.run_id].data.tags["error"] == "trace.parquet is missing"
    assert whole.info.run_id in {run.info.run_id for run in finished}


@pytest.mark.parametrize(
    ("tag", "arguments", "said"),
    [
        (("code", "of yesterday"), (), "the code has changed"),
        (("host", "elsewhere"), (), "not finished on elsewhere: continue it there"),
        (("kind", "sweep"), ("tracking.resume=false",), "2 of 2 runs"),
    ],
    ids=["code", "host", "asked"],
)
def test_all_runs_start_afresh(uri, sweep, tracked, tag, arguments, said):
    assert sweep()[0] == 0
    client, parent = store.client(uri), tracked()[0][0].info.run_id
    client.update_run(parent, "KILLED")
    client.set_tag(parent, *tag)
    status, printed = sweep(*arguments)
    assert status == 0 and said in printed and "continuing" not in printed
    parents, runs = tracked()
    assert [run.info.status for run in parents] == ["KILLED", "FINISHED"]
    assert Counter(run.data.tags["mlflow.parentRunId"] for run in runs) == {run.info.run_id: 2 for run in parents}


def test_a_sweep_that_ended_is_not_continued_and_one_that_is_alive_is_left_alone(uri, sweep, tracked):
    assert sweep()[0] == 0
    assert "continuing" not in sweep()[1]
    second = tracked()[0][-1]
    store.client(uri).update_run(second.info.run_id, "RUNNING")
    with liveness.take(second.data.tags["sweep_id"]):
        assert "continuing" not in sweep()[1]
    assert [run.info.status for run in tracked()[0]] == ["FINISHED", "RUNNING", "FINISHED"]


def test_a_sweep_is_taken_over_once_its_workers_have_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSCOPE_SPOOL", str(tmp_path))
    monkeypatch.setattr(liveness, "PATIENCE", 0.3)
    with liveness.working("a sweep"), liveness.working("a sweep"):
        assert liveness.take("a sweep") is None
    with liveness.take("a sweep"):
        assert liveness.take("a sweep") is None
    liveness.forget("a sweep")
    assert not list(tmp_path.iterdir())


def test_the_end_of_one_sweep_takes_no_folder_from_another(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSCOPE_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "spool" / "a store").mkdir(parents=True)
    liveness.forget("a sweep")
    assert (tmp_path / "spool" / "a store").is_dir()


def test_a_worker_ends_though_its_parent_was_gone_before_it_could_ask():
    """Else it would go on with jobs that the next sweep runs as well."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = f"import time; from backscope.app import start_worker; start_worker({gone.pid}); time.sleep(60); print(1)"
    worker = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (worker.returncode, worker.stdout, worker.stderr) == (1, "", "")
