"""`make show`: backpropagation itself as one HTML page, from the trace of a run, or of two side by side.

RUN is a run's id, or `latest`. The page is kept as a file of the run, backprop.html, or written where --out says.
"""

import argparse
import json
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backscope.commands import command
from backscope.config import ConfigError
from backscope.tracking import original, reader, recorder, store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

FILE = "backprop.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page of one or two runs, and say where it is."""
    return command(_show, arguments)


def _show(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    if not 1 <= len(options.runs) <= 2:
        raise ConfigError(
            "show: allowed is RUN=<run id> or RUN=latest, and RUN2 to compare with; "
            '`make run ARGS="init=zeros activation=tanh"` makes a run'
        )
    found, made = make(options.runs, options.uri)
    where = _write(options.out, made) if options.out else _keep(store.client(store.locate(options.uri)), found, made)
    print(f"{' against '.join(str(run.info.run_name) for run in found)}: {where}")
    if options.open and isinstance(where, Path):
        webbrowser.open(where.resolve().as_uri())
    return 0


def make(runs: Sequence[str], uri: str | None = None) -> tuple[list["Run"], bytes]:
    """The runs of these ids (or `latest`), one or two, and their page.

    Raises StoreError if one of them is not there, or has nothing to show.
    """
    from backscope.analysis.backprop import page, passes

    located = store.locate(uri)
    with store.reading(located) as client:
        found = [original.found(client, each, located) for each in runs]
        traces = [reader.read_trace(client, run.info.run_id, run.info.artifact_uri) for run in found]
        rows = [reader.run(run.info.run_id, located).iloc[0].to_dict() | _data(run) for run in found]
    return found, page.render([passes.passes(row, trace) for row, trace in zip(rows, traces, strict=True)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backscope.commands.show", description="Backpropagation itself, layer by layer, as one HTML page."
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="the id of a finished run, or latest; two to compare")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the page there (default: a file of the run)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.add_argument("--uri", help="the store of the runs (default: mlflow.db at the top of the project)")
    return parser


def _data(run: "Run") -> dict[str, Any]:
    """What the run says of its data, the numbers of inputs and outputs among it."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return next((dict(json.loads(each.dataset.profile)) for each in inputs if each.dataset.profile), {})


def _write(path: Path, content: bytes) -> Path:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"--out={path}: {error.strerror}; allowed is a file that can be written") from error
    return path


def _keep(client: "MlflowClient", runs: Sequence["Run"], content: bytes) -> Path | str:
    """Keep the page as a file of the first run; returns where it is, a path if that is on this machine."""
    first = runs[0].info
    name = FILE if len(runs) == 1 else f"backprop_against_{runs[1].info.run_id[:8]}.html"
    recorder.store_files(client, first.run_id, first.artifact_uri, {name: content})
    folder = store.local(first.artifact_uri)
    return folder / name if folder else f"artifact {name} of run {first.run_id}"


if __name__ == "__main__":
    sys.exit(main())
