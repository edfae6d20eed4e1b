"""A tracking server for real: on PostgreSQL, through HTTP, with a password, and closed to those it is not meant for."""

import base64
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from backscope.__main__ import main
from backscope.commands import server, ui
from backscope.tracking import reader

AXES = ("init=zeros,xavier", "optimizer=sgd,adam", "model.width=16", "model.depth=3", "training.steps=5", "replicas=2")
PASSWORD = "plugh xyzzy 1977"


@pytest.fixture(scope="module")
def postgresql(free_port):
    """The URI of an empty database in a PostgreSQL of its own: a fresh cluster, listening on loopback."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    commands = found[-1] if found else Path(shutil.which("initdb") or "/none/initdb").parent
    if not (commands / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # PostgreSQL refuses to run as root
    folder = subprocess.run(
        [*as_user, "mktemp", "-d"], check=True, capture_output=True, text=True, cwd="/"
    ).stdout.strip()
    port, password = free_port(), Path(folder) / "password"

    def run(command, *arguments):
        subprocess.run([*as_user, commands / command, *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL)

    subprocess.run([*as_user, "tee", password], input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
    run("initdb", "-D", f"{folder}/data", "-U", "lab", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-w", "-o", options, "start")
    yield f"postgresql://lab:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
    subprocess.run([*as_user, "rm", "-r", folder], check=True, cwd="/")


def sweep(uri, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert main(["-m", *AXES, "tracking.experiment=served", "hydra.launcher.n_jobs=2", f"tracking.uri={uri}"]) == 0


def ask(uri, **headers):
    """The status of an answer of the server."""
    address = f"{uri}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_a_sweep_through_a_server_on_postgresql_is_the_sweep_in_sqlite(
    postgresql, serve, content, tmp_path, monkeypatch
):
    lab = serve(tmp_path, store=postgresql)
    local = f"sqlite:///{tmp_path}/local/mlflow.db"
    sweep(lab.uri, monkeypatch)
    sweep(local, monkeypatch)
    there, here = content(lab.uri, "served"), content(local, "served")
    assert len(here) == 4
    assert there == here
    kept = {path.name for path in (tmp_path / "mlartifacts").rglob("*.*")}
    assert {"trace.parquet", "config.yaml"} <= kept and not (tmp_path / "mlflow.db").exists()
    for pid in (lab.process.pid, *children(lab.process.pid)):
        assert PASSWORD.split()[0] not in Path(f"/proc/{pid}/cmdline").read_text()
    assert PASSWORD.split()[0] not in (tmp_path / "server.log").read_text()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_server_answers_this_machine_and_those_who_know_the_password(serve, tmp_path, monkeypatch, capfd):
    pytest.importorskip("flask_wtf", reason="basic authentication needs Flask-WTF: pip install -e .[server]")
    lab = serve(tmp_path, "--auth", MLFLOW_AUTH_ADMIN_PASSWORD=PASSWORD)
    port = int(lab.uri.rsplit(":", 1)[1])
    right, wrong = (base64.b64encode(f"admin:{word}".encode()).decode() for word in (PASSWORD, "password1234"))
    assert ask(lab.uri, Authorization=f"Basic {right}") == 200
    assert ask(lab.uri, Authorization=f"Basic {wrong}") == 401
    assert ask(lab.uri) == 401
    assert ask(lab.uri, Authorization=f"Basic {right}", Host="attacker.example") == 403
    with socket.socket(socket.AF_INET) as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", port))  # every address of this machine but one
    users = tmp_path / "basic_auth.db"
    assert users.stat().st_mode & 0o077 == 0 and PASSWORD.encode() not in users.read_bytes()
    assert main([f"tracking.uri={lab.uri}"]) == 2
    assert "it refuses this user: set MLFLOW_TRACKING_USERNAME" in capfd.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    sweep(lab.uri, monkeypatch)
    assert len(reader.runs("served", uri=lab.uri)) == 4
    printed = capfd.readouterr()
    assert f"{lab.uri}/#/experiments/" in printed.out and printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "uri", "said"),
    [
        ("--port {taken}", "", "--port={taken}: Address already in use; allowed is"),
        ("--port 99999", "", "--port=99999: "),
        ("--host 8.8.8.8", "", "--host=8.8.8.8 --port=5000: Cannot assign requested address"),
        ("--auth", "", "AUTH=1: Flask-WTF is missing; install it with"),
        ("", "http://me:secret@lab", "STORE=http://me:***@lab: a server cannot keep its runs in another"),
        ("", "postgresql://me:secret@127.0.0.1:9/db", "STORE=postgresql://me:***@127.0.0.1:9/db: cannot be used"),
        ("", "mssql+pyodbc://me:secret@lab/db", "No module named 'pyodbc'; drivers of databases come with"),
        ("", "mlruns", "STORE=mlruns: not a tracking store; allowed: sqlite:///path.db"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(arguments, uri, said, free_port, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", uri)
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        words = arguments.format(taken=taken).split()
        words += [] if "--port" in words or "--host" in words else ["--port", str(free_port())]
        assert server.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said.format(taken=taken) in lines[0] and "secret" not in lines[0]


def test_the_ui_listens_where_it_is_told_and_names_a_port_that_is_taken(free_port, monkeypatch, capsys):
    became = []
    monkeypatch.setattr(ui.os, "execv", lambda _, words: became.append(" ".join(words)))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert ui.main(["--port", str(taken)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"backscope: PORT={taken}: Address already in use; ") and said.count("\n") == 1
    assert became == []
    port = free_port()
    ui.main(["--port", str(port)])
    assert f"mlflow ui --host 127.0.0.1 --port {port} " in became[0]
