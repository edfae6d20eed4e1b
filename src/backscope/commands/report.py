"""`make report`: the report of a sweep, one HTML file for the browser, written anew into the sweep's parent run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backscope.commands import command
from backscope.tracking import reader, recorder, store


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the report of a sweep, keep it as artifact report.html of its parent run, and say where it is."""
    return command(_report, arguments)


def _report(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    from backscope.analysis.report import page, study

    parent = study.find(options.sweep, options.uri)
    made = page.render(study.read(parent, options.uri))
    run = parent.info
    recorder.store_files(store.client(reader.locate(options.uri)), run.run_id, run.artifact_uri, {study.FILE: made})
    if options.output:
        options.output.write_bytes(made)
    folder = store.local(run.artifact_uri)
    where = options.output or (folder / study.FILE if folder else f"{study.FILE} of run {run.run_id}")
    print(f"sweep {parent.data.tags['sweep_id']} of {run.run_name}: {where} ({len(made) / 1e6:.1f} MB)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backscope.commands.report", description="Make the HTML report of a sweep.")
    parser.add_argument("sweep", nargs="?", default="latest", help="an experiment, the id of a sweep, or latest")
    parser.add_argument("--uri", help="the store (default: mlflow.db at the project's top)")
    parser.add_argument("--output", type=Path, help="write it to this file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
