"""A sweep is stopped, in every way there is, and the same command goes on: nothing is lost or done twice."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from backscope.tracking import reader, store
from backscope.tracking.sweeps import JOBS

pytestmark = pytest.mark.slow


def statuses(uri):
    """Of every run but the parents."""
    return {status: len(reader.runs("faults", uri=uri, status=status)) for status in ("FINISHED", "RUNNING", "FAILED")}


def parents(uri):
    client = store.client(uri)
    experiment = client.get_experiment_by_name("faults")
    return client.search_runs([experiment.experiment_id], "tags.kind = 'sweep'") if experiment else []


@pytest.fixture
def stopped(sweep, wait, tmp_path):
    """stopped(signal): a sweep of 24 that was sent a signal after a few of its runs, and what it said."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def traces():
        return list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))

    def stopped(number, *arguments, **launcher):
        before = len(traces())
        command = sweep(tmp_path, uri, *arguments, **launcher)
        wait(lambda: len(traces()) > before + 4)
        sent = time.monotonic()
        os.kill(command.pid, number)
        status, printed, errors = command.end()
        return uri, status, printed + errors, time.monotonic() - sent

    return stopped


@pytest.mark.parametrize(
    ("number", "status", "launcher"),
    [
        (signal.SIGINT, 130, "hydra.launcher.n_jobs=2"),
        (signal.SIGTERM, 130, "hydra.launcher.n_jobs=2"),
        (signal.SIGKILL, -9, "hydra.launcher.n_jobs=2"),
        (signal.SIGINT, 130, "hydra/launcher=basic"),
    ],
)
def test_the_same_command_goes_on(stopped, sweep, content, undisturbed, tmp_path, number, status, launcher):
    uri, left_with, printed, seconds = stopped(number, launcher=launcher)
    assert left_with == status and seconds < 5  # two seconds on a machine that does nothing else
    if number != signal.SIGKILL:
        assert "left, the same command continues" in printed and "Traceback" not in printed
    done = statuses(uri)["FINISHED"]
    assert 2 < done < 24 and (number == signal.SIGKILL or f"\n{done} of 24 runs in " in f"\n{printed}")
    first_leg = parents(uri)[0].data.metrics.get("summary/seconds_total", 0.0)
    status, printed, errors = sweep(tmp_path, uri, launcher=launcher).end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed and "runs are done" in printed, printed
    assert content(uri, "faults") == undisturbed and statuses(uri) == {"FINISHED": 24, "RUNNING": 0, "FAILED": 0}
    (parent,) = parents(uri)
    assert (parent.info.status, parent.data.tags[JOBS]) == ("FINISHED", "24")
    second_leg = float(re.search(r"24 of 24 runs in ([\d.]+) s", printed)[1])
    assert parent.data.metrics["summary/seconds_total"] == pytest.approx(first_leg + second_leg, abs=0.1)
    assert (first_leg > 0) == (" s in all)" in printed) == (number != signal.SIGKILL)


def test_it_begins_afresh_if_asked_if_it_had_ended_or_if_the_code_is_another(stopped, sweep, tmp_path):
    uri, *_ = stopped(signal.SIGKILL)
    first = parents(uri)[0].info.run_id
    store.client(uri).set_tag(first, "code", "of yesterday")
    status, printed, _ = sweep(tmp_path, uri).end()
    assert status == 0 and "the code has changed" in printed and len(parents(uri)) == 2
    status, printed, _ = sweep(tmp_path, uri).end()
    assert status == 0 and "continuing" not in printed and len(parents(uri)) == 3
    stopped(signal.SIGKILL, "training.steps=21")
    status, printed, _ = sweep(tmp_path, uri, "training.steps=21", "tracking.resume=false").end()
    assert status == 0 and "continuing" not in printed and len(parents(uri)) == 5


def test_a_run_that_failed_runs_again(sweep, tmp_path):
    """Here it fails a second time; the others are not run again."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    wrong = ("data.whiten=10,64", "training.batch_size=null")
    status, printed, _ = sweep(tmp_path, uri, *wrong).end()
    assert status == 1 and "24 of 48 runs are done" not in printed and "error.txt" in printed
    assert statuses(uri) == {"FINISHED": 24, "RUNNING": 0, "FAILED": 24}
    status, printed, _ = sweep(tmp_path, uri, *wrong).end()
    assert status == 1 and "24 of 48 runs are done" in printed
    assert statuses(uri) == {"FINISHED": 24, "RUNNING": 0, "FAILED": 48} and len(parents(uri)) == 1


def test_two_same_commands_at_once_are_two_sweeps(sweep, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for command in [sweep(tmp_path, uri), sweep(tmp_path, uri)]:
        status, printed, errors = command.end()
        assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    assert statuses(uri) == {"FINISHED": 48, "RUNNING": 0, "FAILED": 0} and len(parents(uri)) == 2


def test_the_default_study_killed_ten_times_is_the_default_study(start, wait, content, tmp_path):
    """kill -9 of the parent, or of it and its workers, at ten random moments, all before it has come to its end."""
    chance, uri = random.Random(0), f"sqlite:///{tmp_path}/mlflow.db"
    study = ("experiment=default_study", "tracking.experiment=faults", f"tracking.uri={uri}")

    def done():
        return len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet")))

    for _ in range(10):
        command, wanted = start(tmp_path, *study), done() + chance.randrange(6)
        time.sleep(chance.uniform(0, 2))
        wait(lambda wanted=wanted: done() >= wanted)
        time.sleep(chance.uniform(0, 0.2))
        children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        for pid in [command.pid, *(map(int, children) if chance.random() < 0.5 else [])]:
            os.kill(pid, signal.SIGKILL)
        command.end()
    assert done() < 108
    status, printed, errors = start(tmp_path, *study).end(timeout=300)
    assert (status, errors) == (0, "") and "108 of 108 runs" in printed, printed
    assert statuses(uri) == {"FINISHED": 108, "RUNNING": 0, "FAILED": 0}
    whole = f"sqlite:///{tmp_path}/whole.db"
    status, _, errors = start(tmp_path, *study[:2], f"tracking.uri={whole}").end(timeout=300)
    assert (status, errors) == (0, "")
    assert content(uri, "faults") == content(whole, "faults")
