"""`make server`: an MLflow tracking server, for a lab that shares its runs or has outgrown one machine.

It keeps runs in SQLite or PostgreSQL and their artifacts beside it; clients need no access to either. It listens on
this machine only unless told otherwise, MLflow checks Host headers and origins, and `--auth` asks for a password.
The store's URI, which may hold a password, goes to it through the environment, where other users cannot see it.
"""

import argparse
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from backscope.commands import command
from backscope.config import ConfigError
from backscope.tracking import store

QUIET = "ignore:starlette.middleware.wsgi is deprecated"  # which MLflow uses


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything, then become the server; what the parser does not know is given to `mlflow server`."""
    return command(_serve, arguments)


def _serve(arguments: Sequence[str] | None) -> int:
    options, further = _parser().parse_known_args(arguments)
    if options.auth and find_spec("flask_wtf") is None:
        raise ConfigError("AUTH=1: Flask-WTF is missing; install it with `.venv/bin/pip install -e .[server]`")
    address = f"--host={options.host} --port={options.port}"
    allowed = "allowed is an address of this machine and a free port"
    check_address(options.host, options.port, f"{address}: {{}}; {allowed}")
    uri = _database()
    environment = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # for language models: 13 processes
        "MLFLOW_FLASK_SERVER_SECRET_KEY": os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or secrets.token_hex(32),
    }
    os.environ.update(environment)
    os.environ.setdefault("PYTHONWARNINGS", QUIET)
    if options.auth:
        _make_administrator()
        further = [*further, "--app-name", "basic-auth"]
    elif options.host not in store.LOOPBACK:
        print(f"backscope: whoever reaches {options.host} can read and delete all runs; AUTH=1 asks for a password")
    artifacts = store.folder(uri).as_uri()
    listen = ["--host", options.host, "--port", str(options.port), "--workers", str(options.workers)]
    print(f"runs in {store.shown(uri)}, artifacts in {artifacts}")
    print(f'make sweep ARGS="tracking.uri=http://{options.host}:{options.port}" sends a sweep there', flush=True)
    server = [sys.executable, "-m", "mlflow", "server", *listen, "--artifacts-destination", artifacts, *further]
    os.execv(sys.executable, server)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backscope.commands.server",
        description="Start an MLflow tracking server; its store is $MLFLOW_BACKEND_STORE_URI, or else mlflow.db.",
        epilog="Further options are MLflow's own (`mlflow server --help`), such as --allowed-hosts lab.example.org.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    parser.add_argument("--auth", action="store_true", help="ask for user name and password")
    return parser


def check_address(host: str, port: int, refusal: str) -> None:
    """Raise ConfigError unless the port is free: the refusal, with the reason put in."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).split(" (")[0].rstrip(".")
        raise ConfigError(refusal.format(reason)) from None


def _database() -> str:
    """The absolute URI of the database, made if it is missing."""
    given = os.environ.get("MLFLOW_BACKEND_STORE_URI") or None
    if given and given.startswith(store.HTTP):
        raise ConfigError(
            f"STORE={store.shown(given)}: a server cannot keep its runs in another; allowed is a database"
        )
    try:
        uri = store.locate(given)
        store.make(uri)
    except store.StoreError as error:
        raise ConfigError(str(error).replace("tracking.uri=", "STORE=", 1)) from None
    return uri


def _make_administrator() -> None:
    """The store of users, and the administrator in it where there is none; MLflow itself would fail in a traceback."""
    from mlflow.exceptions import MlflowException
    from mlflow.server.auth import auth_config, bootstrap_admin_user

    before = os.umask(0o077)
    try:
        bootstrap_admin_user()
    except MlflowException as error:
        raise ConfigError(f"AUTH=1: {error.message.splitlines()[0]}") from None
    finally:
        os.umask(before)
    print(f"users in {store.shown(auth_config.database_uri)}; clients set MLFLOW_TRACKING_USERNAME and …_PASSWORD")


if __name__ == "__main__":
    sys.exit(main())
