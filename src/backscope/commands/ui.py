"""`make ui`: MLflow's UI over the runs in mlflow.db, for this machine only."""

import argparse
import os
import sys
from collections.abc import Sequence

from backscope.commands import command
from backscope.commands.server import check_address
from backscope.tracking import store

HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check that the port is free, then become the UI's server."""
    return command(_browse, arguments)


def _browse(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="backscope.commands.ui", description="Browse the runs in MLflow's UI.")
    parser.add_argument("--port", type=int, default=5000)
    port = parser.parse_args(arguments).port
    check_address(HOST, port, f"PORT={port}: {{}}; allowed is a free port, such as `make ui PORT={port % 60000 + 1}`")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # for language models: 13 processes
    address = ["--host", HOST, "--port", str(port), "--workers", "1"]
    ui = [sys.executable, "-m", "mlflow", "ui", *address, "--backend-store-uri", store.locate(None)]
    os.execv(sys.executable, ui)


if __name__ == "__main__":
    sys.exit(main())
