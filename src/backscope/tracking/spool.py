"""The spool: what a run measured is safe on this disk before it is sent, and stays there until the store has it.

A file an entry, under `.spool/` at the top of the project (or where BACKSCOPE_SPOOL says), in a folder for each store:
a zip of one JSON and of the artifacts, so that nothing in it is ever run. Whoever sends an entry holds its file locked,
and an entry that a store has already is known by its id, so that none arrives twice.
"""

import fcntl
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backscope.config import ROOT
from backscope.tracking import store
from backscope.tracking.points import Point
from backscope.tracking.recorder import ENTRY, Entry, interrupt, write

PAUSE = 20.0  # seconds in which a process sends nothing more to a store that has just failed
_failed: dict[str, float] = {}  # when a store failed, by URI


def root() -> Path:
    return Path(os.environ.get("BACKSCOPE_SPOOL") or ROOT / ".spool")


def folder(uri: str) -> Path:
    """Where the entries wait for the store at an absolute URI."""
    return root() / hashlib.sha256(store.shown(uri).encode()).hexdigest()[:12]


def waiting(uri: str) -> list[Path]:
    """The entries that the store does not have yet, the oldest first."""
    found = [(path.stat().st_mtime_ns, path) for path in folder(uri).glob("*.zip") if path.exists()]
    return [path for _, path in sorted(found)]


def send(uri: str, experiment: str, entry: Entry) -> str | None:
    """Keep an entry, send it, and forget it: its run id, or None if it has to wait.

    Raises StoreError if it can neither be kept nor sent, as when all disks are full.
    """
    try:
        with _kept(folder(uri) / f"{entry.id}.zip", experiment, entry) as path:
            paused = time.monotonic() - _failed.get(uri, -PAUSE) < PAUSE
            if run_id := None if paused else _try(uri, experiment, entry):
                path.unlink()
            return run_id
    except store.StoreError:  # no room for it here, but perhaps in the store
        if run_id := _try(uri, experiment, entry):
            return run_id
        raise


def _try(uri: str, experiment: str, entry: Entry) -> str | None:
    try:
        experiment_id = store.experiment_id(uri, experiment)
        run_id = write(store.client(uri), experiment_id, entry)
        store.check_there(uri)
        return run_id
    except Exception:  # whatever it was, the entry is safe; `deliver` says why it cannot be sent
        _failed[uri] = time.monotonic()
        return None


def deliver(uri: str) -> tuple[int, dict[str, str]]:
    """Send what waits for a store: how many entries arrived, and why others did not, by file name.

    Those that another process is sending are left to it.
    """
    sent, left = 0, dict[str, str]()
    _failed.pop(uri, None)
    for path in folder(uri).glob("*.part"):  # of a process that was killed before anything was on the disk
        with suppress(BlockingIOError), _locked(path):
            path.unlink()
    for path in waiting(uri):
        if left and uri in _failed:
            left[path.name] = next(iter(left.values()))
            continue
        try:
            with _locked(path):
                _redeliver(uri, *load(path))
                path.unlink()
            sent += 1
        except BlockingIOError:
            continue
        except (store.StoreError, ValueError) as error:
            left[path.name] = str(error)
    return sent, left


def _redeliver(uri: str, experiment: str, entry: Entry) -> None:
    """Send an entry again, unless it arrived: a run that was left half-written is marked as such."""
    try:
        with store.explained(uri):
            experiment_id = store.prepare(uri, experiment)
            client = store.client(uri)
            for run in client.search_runs([experiment_id], f"tags.{ENTRY} = '{entry.id}'"):
                if run.info.status == entry.status:
                    return
                if run.info.status == "RUNNING":
                    interrupt(client, run.info.run_id)
            write(client, experiment_id, entry)
    except store.StoreError:
        _failed[uri] = time.monotonic()
        raise


def notice(uri: str) -> str:
    """What a user is told of the entries that wait for a store."""
    return f"runs that are kept in {folder(uri)}, not yet in the store: {len(waiting(uri))}; `make sync` sends them"


@contextmanager
def _kept(path: Path, experiment: str, entry: Entry) -> Iterator[Path]:
    """The entry's file, complete and on the disk before anybody sees it, and locked for as long as this lasts."""
    temporary = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("wb")
    except OSError as error:
        raise _unkept(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            file.write(dump(experiment, entry))
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise _unkept(path, error) from error
        yield path


def _unkept(path: Path, error: OSError) -> store.StoreError:
    return store.StoreError(f"{path.parent}: a run cannot be kept: {error.strerror}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Raise BlockingIOError if another process is sending this file, or has sent it."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise BlockingIOError from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():
            raise BlockingIOError
        yield


def dump(experiment: str, entry: Entry) -> bytes:
    """An entry as the content of its file."""
    buffer = io.BytesIO()
    points = [(point.key, point.step, point.value) for point in entry.points]
    about = {"experiment": experiment, "entry": vars(entry) | {"points": points, "files": None}}
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("entry.json", json.dumps(about))
        for name, content in entry.files.items():
            archive.writestr(f"files/{name}", content)
    return buffer.getvalue()


def load(path: Path) -> tuple[str, Entry]:
    """The experiment and the entry that a file holds.

    Raises ValueError, in one line, for a file that `dump` did not write.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("entry.json"))
            names = [name for name in archive.namelist() if name.startswith("files/")]
            files = {name.removeprefix("files/"): archive.read(name) for name in names}
        fields = about["entry"]
        points = [Point(*point) for point in fields.pop("points")]
        entry = Entry(**fields | {"points": points, "files": files})
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an entry of this version, left where it is: {type(error).__name__}: {error}") from error
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
        raise ValueError("it names files outside of its run, left where it is")
    return str(about["experiment"]), entry
