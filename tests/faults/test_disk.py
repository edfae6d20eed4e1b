"""What is on the disk goes wrong: full, read-only, removed, overwritten. Runs that were finished stay what they are."""

import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress

import pytest

from backscope.tracking import store


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, 8 MB large, and a function that mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Leave no byte on the disk; the file that took them all."""
    path = folder / "filled"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(2**16) if shutil.disk_usage(folder).free > 2**16 else bytes(2**9))
    return path


def some(folder):
    """Whether a few runs have arrived in the store."""
    return len(list(folder.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """The file of a healthy store, as bytes."""
    path = tmp_path_factory.mktemp("healthy") / "mlflow.db"
    uri = f"sqlite:///{path}"
    store.prepare(uri, "faults")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda good: good[: len(good) // 2], "database disk image is malformed"),
        (lambda good: good[:4096] + random.Random(0).randbytes(len(good) - 4096), "malformed"),
        (lambda good: bytes(100) + good[100:], "file is not a database"),
        (lambda good: b"runs,loss\n" * 1000, "file is not a database"),
    ],
    ids=["truncated", "overwritten", "without its header", "another file"],
)
def test_a_store_that_is_no_database_any_more_is_refused_and_left_alone(healthy, tmp_path, damage, said):
    path = tmp_path / "mlflow.db"
    path.write_bytes(damaged := damage(healthy))
    with pytest.raises(store.StoreError, match=said) as error:
        store.prepare(f"sqlite:///{path}", "faults")
    assert "\n" not in str(error.value) and path.read_bytes() == damaged


@pytest.mark.slow
def test_a_read_only_store_is_refused_before_anything_runs(sweep, small_disk, healthy):
    folder, remount = small_disk
    (folder / "mlflow.db").write_bytes(healthy)
    remount("ro")
    status, printed, errors = sweep(folder).end()
    assert (status, printed) == (2, ""), (printed, errors)
    said = f"backscope: tracking.uri=sqlite:///{folder}/mlflow.db: cannot be used: Read-only file system"
    assert errors.startswith(said) and errors.count("\n") == 1


@pytest.mark.slow
def test_the_disk_of_the_store_is_full(sweep, sync, content, wait, small_disk, tmp_path, undisturbed):
    """What does not fit is kept elsewhere; it arrives when there is room again."""
    folder, _ = small_disk
    uri, spool = f"sqlite:///{folder}/mlflow.db", tmp_path / "spool"
    command = sweep(folder, BACKSCOPE_SPOOL=spool)
    wait(lambda: some(folder))
    filled = fill(folder)
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "24 of 24 runs" in printed and "`make sync` sends them" in printed, printed
    assert content(uri, "faults").items() < undisturbed.items()
    filled.unlink()
    status, printed, errors = sync(folder, uri, BACKSCOPE_SPOOL=spool)
    assert (status, errors) == (0, "") and printed.endswith(" sent, 0 left\n"), printed
    assert content(uri, "faults") == undisturbed and not list(spool.rglob("*.zip"))


@pytest.mark.slow
def test_every_disk_is_full(sweep, content, wait, small_disk, undisturbed):
    """Nothing can be kept: those runs have failed, and the same command runs them when there is room again."""
    folder, _ = small_disk
    uri = f"sqlite:///{folder}/mlflow.db"
    command = sweep(folder)
    wait(lambda: some(folder))
    filled = fill(folder)
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "a run cannot be kept: No space left on device" in printed, printed
    assert content(uri, "faults").items() < undisturbed.items()
    filled.unlink()
    status, printed, errors = sweep(folder).end()
    assert (status, errors) == (0, "") and "24 of 24 runs" in printed, printed
    assert content(uri, "faults") == undisturbed


@pytest.mark.slow
def test_artifacts_are_removed_half_way(sweep, content, wait, tmp_path, undisturbed):
    """The sweep goes on; the same command then runs again what has lost its trace."""
    command = sweep(tmp_path)
    wait(lambda: some(tmp_path))
    shutil.rmtree(tmp_path / "mlartifacts", ignore_errors=True)
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "trace.parquet is missing" in printed, printed
    status, printed, errors = sweep(tmp_path).end()
    assert (status, errors) == (0, "") and "of 24 runs are done" in printed and "24 of 24 runs in" in printed, printed
    assert content(f"sqlite:///{tmp_path}/mlflow.db", "faults") == undisturbed


def test_the_store_is_removed_half_way(sweep, sync, content, wait, tmp_path, undisturbed):
    """What is measured from then on is kept: a store that nobody can open again has nothing that was sent to it."""
    command, uri = sweep(tmp_path), f"sqlite:///{tmp_path}/mlflow.db"
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    for path in tmp_path.glob("mlflow.db*"):
        path.unlink()
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "in use, and what it had is lost\n" in printed, printed
    kept = len(list(tmp_path.glob("spool/*/*.zip")))
    assert 12 <= kept < 24 and "`make sync` sends them" in printed
    status, printed, errors = sync(tmp_path, uri)
    assert (status, errors, printed) == (0, "", f"{kept} sent, 0 left\n")
    delivered = content(uri, "faults")
    assert len(delivered) == kept and delivered.items() <= undisturbed.items()


def test_the_store_is_overwritten_half_way(sweep, wait, tmp_path):
    command = sweep(tmp_path)
    wait(lambda: len(list(tmp_path.glob("mlartifacts/*/*/artifacts/trace.parquet"))) > 4)
    os.truncate(tmp_path / "mlflow.db", 5000)
    status, printed, errors = command.end()
    assert (status, errors) == (1, "") and "24 of 24 runs" in printed and "`make sync` sends them" in printed, printed
    assert len(list(tmp_path.glob("spool/*/*.zip"))) >= 12
