"""A share of a sweep: it goes on where it was, and stops when its sweep has gone, here or on another machine."""

import os
import socket

import pytest

from backscope import share as shares
from backscope.app import Outcome, RunFailed
from backscope.share import Parent, read_outcomes, work_through
from backscope.tracking import liveness

HERE = Parent(socket.gethostname(), os.getpid(), None)
SHARE = [(3, None, ["first"]), (5, None, ["second"]), (8, None, ["third"])]


@pytest.fixture(autouse=True)
def ran(monkeypatch, tmp_path):
    """What was run; every second run fails."""
    monkeypatch.setenv("BACKSCOPE_SPOOL", str(tmp_path / "spool"))
    ran = []

    def attempt(config, overrides):
        ran.append(overrides[0])
        return (
            RunFailed("ValueError: no", "the log\n") if overrides == ["second"] else Outcome(float("inf"), "dead", "id")
        )

    monkeypatch.setattr(shares, "attempt", attempt)
    return ran


def test_outcomes_travel_as_lines(tmp_path):
    work_through(SHARE, tmp_path / "file", HERE)
    (end, *first), (_, *second), (_, *third) = read_outcomes(tmp_path / "file")
    assert (first[0], float(first[1]), first[1].verdict, first[1].run_id) == (3, float("inf"), "dead", "id")
    assert (second[0], second[1].reason, second[1].log) == (5, "ValueError: no", "the log\n") and third[0] == 8
    assert [index for _, index, _ in read_outcomes(tmp_path / "file", end)] == [5, 8]


def test_a_task_that_starts_anew_goes_on_where_it_was(tmp_path, ran):
    work_through(SHARE[:2], tmp_path / "file", HERE)
    with open(tmp_path / "file", "a") as file:
        file.write('{"index": 8, "kind": "Outco')  # killed while it wrote
    assert [index for _, index, _ in read_outcomes(tmp_path / "file")] == [3, 5]
    work_through(SHARE, tmp_path / "file", HERE)
    assert [index for _, index, _ in read_outcomes(tmp_path / "file")] == [3, 5, 8]
    assert ran == ["first", "second", "third"]


def test_it_stops_when_the_sweep_has_gone(tmp_path, ran):
    work_through(SHARE, tmp_path / "file", HERE._replace(pid=2**30))
    assert ran == []


def test_elsewhere_it_knows_the_sweep_by_its_lock_where_that_can_be_seen(tmp_path, ran, monkeypatch):
    elsewhere = Parent("another machine", 0, "some-sweep")
    work_through(SHARE[:1], tmp_path / "unseen", elsewhere)
    assert ran == ["first"]  # no lock: it may be that it cannot be seen from here
    with liveness.take("some-sweep") as lock:

        def attempt(config, overrides):
            lock.close()
            return Outcome(1.0)

        monkeypatch.setattr(shares, "attempt", attempt)
        work_through(SHARE, tmp_path / "seen", elsewhere)
    assert [index for _, index, _ in read_outcomes(tmp_path / "seen")] == [3]
