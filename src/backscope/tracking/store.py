"""The MLflow store: opened, made and checked once, before any worker writes to it.

Workers that start together on a fresh SQLite file race through MLflow's migrations and break it for good, so
`prepare` makes store and experiment under a file lock, and hands workers an absolute URI and an experiment's id.
"""

import fcntl
import gc
import hashlib
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from backscope.config import ROOT

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
HTTP = ("http://", "https://")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SQL = ("postgresql", "mysql", "mssql")
ALLOWED = "sqlite:///path.db, postgresql://…, mysql://…, mssql://…, http://… or https://…"
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
IMPATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}


class StoreError(Exception):
    """The store cannot be used; the message is one line for a user."""


class StoreLost(StoreError):
    """The store is not the one any more that this process opened."""


def absolute(uri: str | None, root: Path) -> str:
    """The store's URI as every process must see it: `mlflow.db` under `root` unless another one is given.

    >>> absolute(None, Path("/lab")), absolute("sqlite:///runs/a.db", Path("/lab"))
    ('sqlite:////lab/mlflow.db', 'sqlite:////lab/runs/a.db')
    """
    uri = uri or f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):
        path = uri.removeprefix(SQLITE)
        if path in ("", ":memory:"):
            raise StoreError(f"tracking.uri={uri}: a store in memory would be lost; allowed: {ALLOWED}")
        return f"{SQLITE}{(root / path).absolute()}"
    if not uri.startswith((*HTTP, *SQL)):
        raise StoreError(f"tracking.uri={uri}: not a tracking store; allowed: {ALLOWED}")
    return uri


def locate(uri: str | None) -> str:
    """The store's absolute URI: `mlflow.db` at the top of the project, or as given in this directory."""
    return absolute(uri, ROOT if uri is None else Path.cwd())


_opened_files: dict[str, tuple[int, int] | None] = {}  # which file a SQLite store was when this process opened it


def _file(uri: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(uri.removeprefix(SQLITE))
        return found.st_dev, found.st_ino
    return None


def check_there(uri: str) -> None:
    """Raise StoreLost if a SQLite store was removed since it was opened: what is written to it now is kept nowhere."""
    if uri in _opened_files and _file(uri) != _opened_files[uri]:
        raise StoreLost(f"tracking.uri={uri}: it was removed or replaced while it was in use, and what it had is lost")


@cache
def client(uri: str) -> "MlflowClient":
    """This process's client of the store at an absolute URI; importing and opening are paid once."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    _be_patient()
    collecting = gc.isenabled()
    gc.disable()  # MLflow is a million objects that stay: to look for garbage among them, now or later, takes long
    try:
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it prints what it raises, at length
        return MlflowClient(uri, uri)
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def prepare(uri: str, experiment: str, artifacts: str | None = None) -> str:
    """Make the store at an absolute URI and the experiment in it, if they are missing; return the experiment's id.

    `artifacts` is where a new experiment keeps its files: `mlartifacts/` beside a SQLite store unless given; a
    tracking server chooses by itself. Raises StoreError within seconds if the store cannot be written or reached.
    """
    with _opened(uri) as store:
        found = store.get_experiment_by_name(experiment)
        if found is None:
            location = artifacts or _beside(uri, experiment)
            return str(store.create_experiment(experiment, location))
    if found.lifecycle_stage != "active":
        raise StoreError(
            f"tracking.experiment={experiment}: it was deleted; restore it with "
            f"`mlflow experiments restore -x {found.experiment_id}` or choose another name"
        )
    _check_location(uri, experiment, str(found.artifact_location))
    return str(found.experiment_id)


@cache
def experiment_id(uri: str, experiment: str) -> str:
    """The experiment's id; made where it is missing, and looked up once a process."""
    return prepare(uri, experiment)


def make(uri: str) -> None:
    """Make the store at an absolute URI if it is missing; raises StoreError within seconds if it cannot be used."""
    with _opened(uri):
        pass


@contextmanager
def reading(uri: str) -> Iterator["MlflowClient"]:
    """The client of a store that must be there already; failures within become a StoreError, within seconds."""
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        raise StoreError(f"tracking.uri={uri}: there is no such file")
    with impatient(), explained(uri):
        yield client(uri)


def folder(uri: str) -> Path:
    """Where artifacts are kept: `mlartifacts/` beside a SQLite store, in this directory for another database."""
    root = Path(uri.removeprefix(SQLITE)).parent if uri.startswith(SQLITE) else Path.cwd()
    return root / "mlartifacts"


def local(artifacts: str) -> Path | None:
    """The folder of an artifact URI that is on this machine; None for one that only a server reaches.

    >>> local("file:///lab/a%20b"), local("mlflow-artifacts:/1/2")
    (PosixPath('/lab/a b'), None)
    """
    address = urlparse(artifacts)
    return Path(unquote(address.path)) if address.scheme in ("", "file") else None


def shown(uri: str) -> str:
    """The URI without its password.

    >>> shown("postgresql://me:secret@lab/runs")
    'postgresql://me:***@lab/runs'
    """
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", uri)


def _beside(uri: str, experiment: str) -> str | None:
    return None if uri.startswith(HTTP) else (folder(uri) / re.sub(r"[^\w.-]+", "_", experiment)).as_uri()


def _check_location(uri: str, experiment: str, location: str) -> None:
    """Raise StoreError if artifacts would have to go past a server, or through it into a folder of its machine."""
    if not uri.startswith(HTTP):
        reachable, owner = not location.startswith("mlflow-artifacts:"), "a tracking server"
    else:
        path, owner = Path(unquote(urlparse(location).path)), "the machine that made it"
        reachable = not location.startswith(("file:", "/")) or (urlparse(uri).hostname in LOOPBACK and path.is_dir())
    if not reachable:
        raise StoreError(
            f"tracking.experiment={experiment}: its files, in {location}, are written by {owner} only; "
            f"allowed with tracking.uri={shown(uri)} is another name"
        )


@contextmanager
def _opened(uri: str) -> Iterator["MlflowClient"]:
    """The client, while this process holds the store's lock; failures within become a StoreError."""
    with impatient(), explained(uri), _lock(uri):
        _check(uri)
        yield client(uri)


def _check(uri: str) -> None:
    """Fail at once where MLflow would retry for minutes; turn on the write-ahead log, for readers beside writers."""
    if uri.startswith(SQLITE):
        check_there(uri)
        path = Path(uri.removeprefix(SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        _opened_files.setdefault(uri, _file(uri))
    elif uri.startswith(SQL):
        from sqlalchemy import create_engine

        with create_engine(uri, connect_args={"connect_timeout": 4}).connect():
            pass


@contextmanager
def _lock(uri: str) -> Iterator[None]:
    """Hold the store's lock file: beside a SQLite store, in the temporary folder for one on another machine."""
    name = f"backscope-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"
    path = uri.removeprefix(SQLITE) if uri.startswith(SQLITE) else os.path.join(tempfile.gettempdir(), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.lock", "w") as file:
        for _ in range(600):  # a minute: making a store takes a few seconds
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.1)
        else:
            raise TimeoutError(f"another process holds {path}.lock")
        yield


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, SQLAlchemy, SQLite or the network raises into one line that names the URI."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"tracking.uri={shown(uri)}: cannot be used: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What the operating system said, if that is beneath it all (connection refused), else the error's first line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; drivers of databases come with `.venv/bin/pip install -e .[server]`"
    if "error code 401" in str(error):
        return "it refuses this user: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, OSError) and beneath.strerror:
            return " ".join(filter(None, (beneath.strerror, str(beneath.filename or ""))))
        beneath = beneath.__cause__ or beneath.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _be_patient() -> None:
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)


@contextmanager
def impatient() -> Iterator[None]:
    """Give up on a server at once, for a while."""
    _be_patient()  # or MLflow's own patience, of four minutes, would come back afterwards
    before = {name: os.environ[name] for name in IMPATIENCE}
    os.environ.update(IMPATIENCE)
    try:
        yield
    finally:
        os.environ.update(before)
