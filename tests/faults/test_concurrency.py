"""Many at once on one SQLite store: no run is lost, and every run is what it is when nothing else happens."""

import sqlite3
import time
from contextlib import closing

import pytest

pytestmark = pytest.mark.slow


def test_eight_processes_start_on_no_store_and_write_to_it_at_once(sweep, content, tmp_path, undisturbed):
    """They race through the making of the store, and then through their writes: 3 runs each."""
    commands = [
        sweep(tmp_path, None, f"seed=range({first},{first + 3})", launcher="hydra/launcher=basic")
        for first in range(0, 24, 3)
    ]
    ends = [command.end() for command in commands]
    assert [(status, errors) for status, _, errors in ends] == [(0, "")] * 8
    assert content(f"sqlite:///{tmp_path}/mlflow.db", "faults") == undisturbed


def test_two_sweeps_at_once(sweep, content, tmp_path, undisturbed):
    commands = [sweep(tmp_path), sweep(tmp_path, None, "seed=range(24,48)")]
    ends = [command.end() for command in commands]
    assert [(status, errors) for status, _, errors in ends] == [(0, "")] * 2
    runs = content(f"sqlite:///{tmp_path}/mlflow.db", "faults")
    assert len(runs) == 48 and {name: runs[name] for name in undisturbed} == undisturbed


@pytest.mark.parametrize("seconds", [8, 30])
def test_a_store_that_another_process_locks(sweep, content, tmp_path, undisturbed, wait, seconds):
    """MLflow waits 20 seconds for a lock; what it then gives up is kept, and sent at the end of the sweep."""
    command = sweep(tmp_path)
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=20, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        assert command.poll() is None
        database.execute("ROLLBACK")
    status, printed, errors = command.end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    assert content(f"sqlite:///{tmp_path}/mlflow.db", "faults") == undisturbed
