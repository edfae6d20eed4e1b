"""A recorded run to do harm to."""

import shutil
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
import yaml

from backscope import app
from backscope.commands.reproduce import main
from backscope.config import compose

OVERRIDES = ("init=he", "activation=relu", "model.depth=3", "model.width=16", "training.steps=10", "replicas=2")


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A store with one run, recorded as `backscope` does it."""
    folder = tmp_path_factory.mktemp("source")
    _, _, run_id = app.run(compose(*OVERRIDES, f"tracking.uri=sqlite:///{folder}/mlflow.db"), OVERRIDES)
    return SimpleNamespace(folder=folder, run_id=run_id)


@pytest.fixture
def recorded(source, tmp_path):
    """A copy of that store to do harm to: its URI, the run's id, its artifacts, and how to change the database."""
    shutil.copytree(source.folder, tmp_path, dirs_exist_ok=True)

    def change(statement, *values):
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
            assert database.execute(statement, values).rowcount == 1

    old, new = source.folder.as_uri(), tmp_path.as_uri()
    change("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", old, new)
    (files,) = tmp_path.glob(f"mlartifacts/*/{source.run_id}/artifacts")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return SimpleNamespace(
        uri=uri, run_id=source.run_id, files=files, change=change, folder=tmp_path, overrides=OVERRIDES
    )


@pytest.fixture
def reproduce(recorded, capsys):
    """reproduce(run_id, …): the exit status, and what was said on both streams."""

    def reproduce(*arguments):
        arguments = [str(each) for each in arguments or [recorded.run_id]]
        status = main([*arguments, "--uri", recorded.uri])
        said = capsys.readouterr()
        return status, said.out + said.err

    return reproduce


@pytest.fixture(scope="session")
def edit():
    def edit(path, change):
        """Change a run's config.yaml."""
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config))

    return edit
