"""The spool: an entry is on the disk before it is sent, stays until the store has it, and arrives once."""

import fcntl
import subprocess
import sys
from dataclasses import replace

import pytest

from backscope.tracking import recorder, spool, store, sweeps
from backscope.tracking.points import Point


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKSCOPE_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setattr(spool, "_failed", {})
    return store.absolute(None, tmp_path)


@pytest.fixture
def entry():
    points = [Point("train/loss", step, 0.1 + step) for step in range(3)]
    files = {"trace.parquet": b"PAR1", "figures/a.png": b"\x89PNG"}
    return recorder.Entry("a · b", {"verdict": "healthy"}, {"model.depth": "2"}, points, files, seconds=1.5)


@pytest.fixture
def broken(monkeypatch):
    """A store that takes a run, but nothing more of it."""

    def fail(*_, **__):
        raise OSError("no route to the store")

    monkeypatch.setattr(recorder, "store_files", fail)
    return monkeypatch


def runs(uri):
    client = store.client(uri)
    return client.search_runs([store.prepare(uri, "lab")])


def test_an_entry_is_the_same_after_it_was_on_the_disk(tmp_path, entry):
    path = tmp_path / "a.zip"
    path.write_bytes(spool.dump("lab", entry))
    assert spool.load(path) == ("lab", entry)


def test_what_is_sent_leaves_nothing_behind(uri, entry):
    run_id = spool.send(uri, "lab", entry)
    assert [run.info.run_id for run in runs(uri)] == [run_id] and not spool.waiting(uri)
    assert runs(uri)[0].data.metrics == {"train/loss": 2.1} and runs(uri)[0].info.end_time == entry.ended


def test_what_cannot_be_sent_waits_and_arrives_once(uri, entry, broken):
    folder = spool.root()
    assert spool.send(uri, "lab", entry) is None and len(spool.waiting(uri)) == 1
    sent, left = spool.deliver(uri)
    assert sent == 0 and "no route to the store" in next(iter(left.values()))
    broken.undo()
    broken.setenv("BACKSCOPE_SPOOL", str(folder))
    assert spool.deliver(uri) == (1, {}) and spool.deliver(uri) == (0, {})
    finished = [run for run in runs(uri) if run.info.status == "FINISHED"]
    assert len(finished) == 1 and finished[0].data.tags["entry"] == entry.id
    assert {run.info.status for run in runs(uri)} == {"FINISHED", "KILLED"}


def test_a_process_does_not_wait_again_for_a_store_that_has_just_failed(uri, entry, broken):
    tried = []
    broken.setattr(spool, "write", lambda *_: tried.append(1) or 1 / 0)
    for number in range(3):
        assert spool.send(uri, "lab", replace(entry, id=str(number))) is None
    assert len(tried) == 1 and len(spool.waiting(uri)) == 3


def test_a_run_that_arrived_before_its_process_was_killed_is_not_sent_again(uri, entry):
    spool.send(uri, "lab", entry)
    spool.folder(uri).mkdir(parents=True, exist_ok=True)
    (spool.folder(uri) / "left.zip").write_bytes(spool.dump("lab", entry))
    assert spool.deliver(uri) == (1, {}) and len(runs(uri)) == 1


def test_a_run_that_was_half_written_is_marked_and_sent_whole(uri, entry):
    experiment_id = store.prepare(uri, "lab")
    half = store.client(uri).create_run(experiment_id, tags={"entry": entry.id}).info.run_id
    spool.folder(uri).mkdir(parents=True)
    (spool.folder(uri) / "left.zip").write_bytes(spool.dump("lab", entry))
    assert spool.deliver(uri) == (1, {})
    status = {run.info.run_id: (run.info.status, run.data.tags.get("interrupted")) for run in runs(uri)}
    assert status.pop(half) == ("KILLED", "true") and list(status.values()) == [("FINISHED", None)]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", spool.dump("lab", recorder.Entry("x", {}))[:-30]])
def test_a_damaged_file_is_named_and_holds_up_no_other(uri, entry, content):
    spool.folder(uri).mkdir(parents=True)
    (spool.folder(uri) / "bad.zip").write_bytes(content)
    (spool.folder(uri) / "good.zip").write_bytes(spool.dump("lab", entry))
    sent, left = spool.deliver(uri)
    assert sent == 1 and list(left) == ["bad.zip"] and "not an entry" in left["bad.zip"]


def test_a_file_that_would_write_elsewhere_is_refused(uri, entry):
    spool.folder(uri).mkdir(parents=True)
    evil = replace(entry, files={"../../evil": b""})
    (spool.folder(uri) / "evil.zip").write_bytes(spool.dump("lab", evil))
    assert "outside of its run" in spool.deliver(uri)[1]["evil.zip"]


def test_what_another_process_is_sending_is_left_to_it(uri, entry):
    spool.folder(uri).mkdir(parents=True)
    path = spool.folder(uri) / "a.zip"
    path.write_bytes(spool.dump("lab", entry))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert spool.deliver(uri) == (0, {}) and path.exists()
    assert spool.deliver(uri) == (1, {})


def test_sync_says_what_it_did(uri, entry):
    command = [sys.executable, "-m", "backscope.commands.sync", "--uri", uri]
    spool.folder(uri).mkdir(parents=True)
    (spool.folder(uri) / "a.zip").write_bytes(spool.dump("lab", entry))
    (spool.folder(uri) / "b.zip").write_bytes(b"")
    first = subprocess.run(command, capture_output=True, text=True)
    assert (
        first.returncode == 1 and first.stdout.startswith("1 sent, 1 left\n") and "b.zip: not an entry" in first.stdout
    )
    (spool.folder(uri) / "b.zip").unlink()
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0 and last.stdout == "nothing waits for this store\n"


def test_where_nothing_can_be_kept_it_is_sent_at_once(uri, entry, broken, tmp_path):
    (tmp_path / "spool").write_text("a file is in the way, as a full disk would be")
    with pytest.raises(store.StoreError, match="a run cannot be kept: Not a directory"):
        spool.send(uri, "lab", entry)
    broken.undo()
    broken.setenv("BACKSCOPE_SPOOL", str(tmp_path / "spool"))
    run_id = spool.send(uri, "lab", entry)
    assert [run.info.run_id for run in runs(uri) if run.info.status == "FINISHED"] == [run_id]


def test_a_sweep_is_settled_when_each_of_its_finished_runs_is_whole_and_there_once(uri, entry, tmp_path):
    """A job runs twice if its worker died between the end of the run and the word of it."""
    jobs = [("a", "1"), ("b", "1"), ("c", "2"), ("d", "3")]
    tags = [entry.tags | {"sweep_id": "s", "config_hash": of} for _, of in jobs]
    for (number, _), each in zip(jobs, tags, strict=True):
        spool.send(uri, "lab", replace(entry, id=number, tags=each))
    client, experiment_id = store.client(uri), store.prepare(uri, "lab")
    gone = next(run for run in runs(uri) if run.data.tags["config_hash"] == "2")
    (store.local(gone.info.artifact_uri) / "trace.parquet").unlink()
    client.create_run(experiment_id, tags=tags[3])
    verdicts, broken = sweeps.settle(client, "lab", "s", uri)
    assert sorted(verdicts) == ["1", "3"] and broken == ["2"]
    found = sorted((run.data.tags["config_hash"], run.info.status) for run in runs(uri))
    assert found == [("1", "FINISHED"), ("1", "KILLED"), ("2", "FAILED"), ("3", "FINISHED"), ("3", "KILLED")]
