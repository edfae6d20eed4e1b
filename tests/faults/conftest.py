"""What the tests of faults share: a sweep as a user starts it, what it gives undisturbed, and moments to disturb it."""

import os
import subprocess
import sys
import time

import pytest

AXES = ("seed=range(0,24)", "model.depth=3", "model.width=16", "training.steps=20", "tracking.experiment=faults")


class Command(subprocess.Popen):
    """A command line that runs beside the test."""

    def __init__(self, folder, *arguments, module="backscope", **environment):
        super().__init__(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=os.environ
            | {"BACKSCOPE_SPOOL": f"{folder}/spool"}
            | {key: str(value) for key, value in environment.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, timeout=300):
        """Exit status, what was printed, and errors."""
        printed, errors = self.communicate(timeout=timeout)
        return self.returncode, printed, errors


@pytest.fixture
def start():
    """start(folder, *arguments): `backscope` with these arguments, running in this folder; killed if the test fails."""
    started = []

    def start(*arguments, **environment):
        started.append(Command(*arguments, **environment))
        return started[-1]

    yield start
    for command in started:
        command.kill()
        command.communicate()


@pytest.fixture
def sweep(start):
    """sweep(folder, uri): a sweep of 24 runs, started."""

    def sweep(folder, uri=None, *arguments, launcher="hydra.launcher.n_jobs=2", **environment):
        uri = uri or f"sqlite:///{folder}/mlflow.db"
        return start(folder, "-m", *AXES, launcher, f"tracking.uri={uri}", *arguments, **environment)

    return sweep


@pytest.fixture
def sync(start):
    """sync(folder, uri): `make sync`, to its end."""

    def sync(folder, uri, **environment):
        return start(folder, "--uri", uri, module="backscope.commands.sync", **environment).end()

    return sync


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, content):
    """What the sweep gives when nothing happens to it: 24 runs by name."""
    folder = tmp_path_factory.mktemp("undisturbed")
    uri = f"sqlite:///{folder}/mlflow.db"
    status, printed, errors = Command(folder, "-m", *AXES, f"tracking.uri={uri}").end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    runs = content(uri, "faults")
    assert len(runs) == 24
    return runs


@pytest.fixture(scope="session")
def wait():
    """wait(condition): until it holds; a test in which it never does fails."""

    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)

    return wait
