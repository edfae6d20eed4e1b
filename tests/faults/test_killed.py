"""A process dies in the middle of its work: a worker while it writes, the tracking server while a sweep sends to it."""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HALF_WRITTEN = """SELECT count(*) FROM runs WHERE status = 'RUNNING'
                  AND run_uuid IN (SELECT run_uuid FROM tags WHERE "key" = 'mlflow.parentRunId')"""


def workers(pid):
    """The worker processes of a sweep."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "LokyProcess" in Path(f"/proc/{child}/cmdline").read_text()]


def test_workers_killed_in_the_middle_of_a_write(sweep, content, wait, tmp_path, undisturbed):
    """A lock on the store holds them there, after they made a run and before they have written all of it."""
    command, path = sweep(tmp_path), tmp_path / "mlflow.db"
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as database:

        def stopped_in_a_write():
            database.execute("BEGIN IMMEDIATE")
            if database.execute(HALF_WRITTEN).fetchone()[0]:
                return True
            database.execute("ROLLBACK")
            return False

        wait(stopped_in_a_write)
        for pid in workers(command.pid):
            os.kill(pid, signal.SIGKILL)
        database.execute("ROLLBACK")
    status, printed, errors = command.end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    assert content(f"sqlite:///{path}", "faults") == undisturbed


def test_the_server_is_killed_and_comes_back(sweep, serve, content, wait, tmp_path, undisturbed):
    """What it missed is kept, and sent before the sweep ends; this waits for the server, which takes its time."""
    server = serve(tmp_path)
    command = sweep(tmp_path, server.uri)
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    os.killpg(server.process.pid, signal.SIGKILL)
    wait(lambda: len(list(tmp_path.glob("spool/*/*.zip"))) > 3)
    processes = [command.pid, *workers(command.pid)]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    serve(tmp_path, port=server.uri.rsplit(":", 1)[1])
    for pid in processes:
        os.kill(pid, signal.SIGCONT)
    status, printed, errors = command.end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    assert content(server.uri, "faults") == undisturbed and not list(tmp_path.glob("spool/*/*.zip"))


def test_the_server_is_killed_and_stays_away(sweep, sync, serve, content, wait, tmp_path, undisturbed):
    """The sweep ends in its time; its runs wait, and arrive when the server is back."""
    server = serve(tmp_path)
    command = sweep(tmp_path, server.uri)
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    os.killpg(server.process.pid, signal.SIGKILL)
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "24 of 24 runs" in printed and "`make sync` sends them" in printed, printed
    status, printed, errors = sync(tmp_path, server.uri)
    assert (status, errors) == (1, "") and "Connection refused" in printed, printed
    serve(tmp_path, port=server.uri.rsplit(":", 1)[1])
    status, printed, errors = sync(tmp_path, server.uri)
    assert (status, errors) == (0, "") and printed.endswith(" sent, 0 left\n"), printed
    assert content(server.uri, "faults") == undisturbed
