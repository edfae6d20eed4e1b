"""Other launchers than joblib's give the same numbers, bit for bit, and lose nothing when a worker dies."""

import importlib.util
import ipaddress
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from backscope.__main__ import main

SMALL = ("model.width=16", "tracking.experiment=launched")
AXES = ("init=zeros,xavier", "data.whiten=10,64", "optimizer=sgd,adam", "model.depth=2", "training.steps=5")
LONG = ("seed=range(0,24)", "model.depth=16", "training.steps=300")
TWO_WORKERS = {
    "basic": (),
    "ray": ("hydra.launcher.num_cpus=2",),
    "submitit_local": ("hydra.launcher.jobs=2",),
    "submitit_slurm": ("hydra.launcher.jobs=2",),
}


@pytest.fixture
def around(request):
    """around(launcher): the environment that it needs; a test without that is skipped."""

    def around(launcher):
        if launcher != "basic":
            pytest.importorskip(launcher.split("_")[0], reason=f"the extra of hydra/launcher={launcher}")
        return request.getfixturevalue("slurm") if launcher == "submitit_slurm" else {}

    return around


@pytest.fixture(scope="module")
def with_joblib(start, outcome, tmp_path_factory):
    folder = tmp_path_factory.mktemp("joblib")
    result = outcome(start(folder, "joblib", *SMALL, *AXES), folder)
    assert result.status == 1 and len(result.finished) == 4 and len(result.failed) == 4
    assert "failed: zeros · whiten=64 · sgd: ValueError: data.whiten=64: allowed is 1 to" in result.failed[3]
    return result


@pytest.mark.slow
@pytest.mark.parametrize("launcher", TWO_WORKERS)
def test_a_sweep_comes_to_the_same_as_with_joblib(launcher, around, with_joblib, start, outcome, tmp_path):
    arguments = (*SMALL, *AXES, *TWO_WORKERS[launcher])
    result = outcome(start(tmp_path, launcher, *arguments, **around(launcher)), tmp_path)
    for aspect, value in vars(with_joblib).items():
        assert vars(result)[aspect] == value


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_local", "submitit_slurm"])
def test_a_dead_worker_costs_no_run(launcher, around, start, outcome, tmp_path):
    environment = around(launcher)
    folder = [] if launcher == "ray" else [f"hydra.launcher.folder={tmp_path}/tasks"]
    sweep = start(tmp_path, launcher, *SMALL, *LONG, *TWO_WORKERS[launcher], *folder, **environment)
    assert "/24" in sweep.stdout.readline()
    if launcher == "ray":
        check_loopback(sweep.pid)
    kill_a_worker(launcher, sweep.pid, environment)
    result = outcome(sweep, tmp_path)
    assert (result.status, result.errors, len(result.finished)) == (0, "", 24)
    assert "24 of 24 runs" in result.summary
    states = Counter(status for status, *_ in result.states)
    assert states["FINISHED"] == 25 and states.total() - states["KILLED"] == 25  # the parent; what was being written


def check_loopback(pid):
    """Nothing of this process's listens to another machine."""
    family = psutil.Process(pid).children(recursive=True)
    sockets = [each for one in family for each in one.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert len(sockets) > 5  # of Ray's daemons and workers
    assert all(ipaddress.ip_address(each.laddr.ip.removeprefix("::ffff:")).is_loopback for each in sockets)


def kill_a_worker(launcher, pid, environment):
    if launcher == "submitit_slurm":
        subprocess.run(["scancel", squeue(environment)[0]], env=environment, check=True)
    else:
        mark = {"ray": "ray::attempt", "submitit_local": "submitit.core._submit"}[launcher]
        workers = [one for one in psutil.Process(pid).children(recursive=True) if mark in " ".join(one.cmdline())]
        workers[0].kill()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_local", "submitit_slurm"])
def test_an_interrupted_sweep_leaves_nothing_running(launcher, around, start, outcome, tmp_path):
    environment = around(launcher)
    sweep = start(tmp_path, launcher, *SMALL, *LONG, *TWO_WORKERS[launcher], **environment)
    assert "/24" in sweep.stdout.readline()
    family = psutil.Process(sweep.pid).children(recursive=True)
    sweep.send_signal(signal.SIGINT)
    result = outcome(sweep, tmp_path)
    assert (result.status, result.errors) == (130, "") and len(result.finished) < 24
    assert [status for status, name, _ in result.states if name == "sweep"] == ["KILLED"]
    assert not psutil.wait_procs(family, timeout=10)[1]
    if launcher == "submitit_slurm":
        for _ in range(20):
            queue = squeue(environment)
            time.sleep(0.5 if queue else 0)
        assert not queue


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["ray", "submitit_local", "submitit_slurm"])
def test_a_killed_sweep_is_continued(launcher, around, start, outcome, tmp_path):
    environment = around(launcher) | {"BACKSCOPE_SPOOL": str(tmp_path / "spool")}
    arguments = (*SMALL, *LONG, *TWO_WORKERS[launcher])
    sweep = start(tmp_path, launcher, *arguments, **environment)
    assert "/24" in sweep.stdout.readline()
    sweep.kill()
    sweep.wait()
    result = outcome(start(tmp_path, launcher, *arguments, **environment), tmp_path)
    assert (result.status, result.errors, len(result.finished)) == (0, "", 24)
    assert any(line.startswith("continuing sweep") for line in result.summary) and "24 of 24 runs" in result.summary
    states = Counter(status for status, *_ in result.states)
    assert states["FINISHED"] == 25 and states.total() - states["KILLED"] == 25  # none twice


def squeue(environment):
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


OPTIONAL = ("ray", "submitit")
EXTRAS = {"ray": "ray", "submitit_local": "slurm", "submitit_slurm": "slurm"}


@pytest.mark.parametrize("launcher", EXTRAS)
def test_a_missing_extra_is_one_line(launcher, monkeypatch, capsys, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name in OPTIONAL else found(name, *of))
    says = f"hydra/launcher={launcher}: needs `.venv/bin/pip install -e .[{EXTRAS[launcher]}]`"
    refuses(says, [f"hydra/launcher={launcher}"], monkeypatch, capsys, tmp_path)


BAD = {
    "hydra/launcher=ray hydra.launcher.num_cpus=0": "hydra.launcher.num_cpus=0: allowed is an integer >= 1 or null",
    "hydra/launcher=ray hydra.launcher.jobs=1": "hydra.launcher.jobs: no such key",
    "hydra/launcher=submitit_local hydra.launcher.cluster=pbs": "allowed is one of local, slurm",
    "hydra/launcher=submitit_slurm hydra.launcher.additional_parameters=3": "allowed is options of sbatch, such as",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_options_are_refused_in_one_line(override, monkeypatch, capsys, tmp_path):
    refuses(BAD[override], override.split(), monkeypatch, capsys, tmp_path)


@pytest.mark.slow
def test_what_cannot_be_reached_is_refused_in_one_line(tmp_path, around):
    bad = {
        "ray": ("hydra.launcher.address=127.0.0.1:1", "Connection refused; allowed is null, auto or HOST:PORT"),
        "submitit_local": ("hydra.launcher.folder=/proc/1/x", "hydra.launcher.folder=/proc/1/x: "),
    }
    for launcher, (override, says) in bad.items():
        around(launcher)
        command = [sys.executable, "-m", "backscope", "-m", "seed=1,2", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
        ended = subprocess.run([*command, f"hydra/launcher={launcher}", override], capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stdout + ended.stderr
        assert ended.stderr.startswith("backscope: ") and says in ended.stderr and not list(tmp_path.iterdir())


def refuses(says, overrides, monkeypatch, capsys, folder):
    """Such a sweep ends with one line that says so, before anything was tracked."""
    monkeypatch.setattr("sys.argv", [])
    assert main(["-m", "seed=1,2", f"tracking.uri=sqlite:///{folder}/mlflow.db", *overrides]) == 2
    printed, line = capsys.readouterr()
    assert (printed, line.count("\n")) == ("", 1) and line.startswith("backscope: ") and says in line
    assert not list(folder.iterdir())
