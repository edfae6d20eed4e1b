"""What is on the disk goes wrong: full, read-only, removed, overwritten. Runs that were finished stay what they are."""

import random
import sqlite3
import subprocess
from contextlib import closing

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
    assert (status, printed) == (2, "")
    said = f"backscope: tracking.uri=sqlite:///{folder}/mlflow.db: cannot be used: Read-only file system"
    assert errors.startswith(said) and errors.count("\n") == 1
