"""The parent run of a sweep, under which its runs are nested: opened, found again after it was stopped, and closed."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backscope.tracking import reader, store
from backscope.tracking.recorder import NOTE, interrupt, store_files

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

CONFIGURATIONS = "sweep_hash"  # the tag that sweeps over the same configurations share
MISSING = "trace.parquet is missing"
JOBS = "jobs"  # the tag that says how many there are
AXES = "axes"  # the tag with every swept key and its values, in the order given, as JSON


def start_sweep(
    client: "MlflowClient",
    experiment_id: str,
    *,
    name: str,
    sweep_id: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> str:
    """Open the parent run under which a sweep's runs are nested, and return its run id."""
    labels = dict(tags or {}) | {"sweep_id": sweep_id, "kind": "sweep", NOTE: description}
    return str(client.create_run(experiment_id, tags=labels, run_name=name).info.run_id)


def unfinished(client: "MlflowClient", experiment_id: str, configurations: str) -> "list[Run]":
    """The parents of sweeps over these configurations since the last one that came to its end, newest first."""
    query = f"tags.{CONFIGURATIONS} = '{configurations}' and tags.kind = 'sweep'"
    newest = client.search_runs([experiment_id], query, order_by=["attributes.start_time DESC"])
    ended = [index for index, run in enumerate(newest) if run.info.status == "FINISHED"]
    return list(newest[: ended[0]] if ended else newest)


def settle(client: "MlflowClient", experiment: str, sweep_id: str, uri: str) -> tuple[dict[str, str], list[str]]:
    """The verdicts of a sweep's finished runs by their configuration's hash, and the hashes of those that are broken.

    For a sweep that no process writes any more.

    Marked as interrupted: runs that were being written when their process ended, and the second of two from a job that
    ran again because its worker died before it could tell. Marked as failed: finished runs of which the trace is gone.
    """
    runs = reader.runs(experiment, sweep_id, uri, status=None)
    if len(runs) == 0:
        return {}, []
    for run_id in runs.index[runs["status"] == "RUNNING"]:
        interrupt(client, run_id)
    finished = runs[runs["status"] == "FINISHED"]
    if len(finished) == 0:  # nor has the frame a column of verdicts, if no run ever had one
        return {}, []
    again = finished["config_hash"].duplicated()
    broken = ~finished["artifacts"].map(_whole) & ~again
    for run_id in finished.index[again]:
        interrupt(client, run_id)
    for run_id in finished.index[broken]:
        client.set_tag(run_id, "error", MISSING)
        client.set_terminated(run_id, "FAILED")
    whole = finished[~again & ~broken]
    return dict(zip(whole["config_hash"], whole["verdict"], strict=True)), list(finished["config_hash"][broken])


def resume_sweep(client: "MlflowClient", parent: "Run", experiment: str, uri: str) -> dict[str, str]:
    """Open a sweep's parent run again: the verdicts of its finished runs by the hash of their configuration."""
    verdicts, _ = settle(client, experiment, parent.data.tags["sweep_id"], uri)
    client.update_run(parent.info.run_id, "RUNNING")
    return verdicts


def _whole(artifacts: str) -> bool:
    """Whether the trace is where it was written; not asked of a server, which keeps it itself."""
    folder = store.local(artifacts)
    return folder is None or ((path := folder / "trace.parquet").is_file() and path.stat().st_size > 0)


def finish_sweep(
    client: "MlflowClient",
    run_id: str,
    *,
    description: str,
    files: Mapping[str, bytes] | None = None,
    numbers: Mapping[str, float] | None = None,
    status: str = "FINISHED",
) -> None:
    """Close the parent run with its comparison: a description in Markdown, files, and numbers such as counts."""
    from mlflow.entities import Metric, RunTag

    run = client.get_run(run_id)
    store_files(client, run_id, run.info.artifact_uri, files or {})
    now = time.time_ns() // 1_000_000
    stale = {key: 0.0 for key in run.data.metrics if key.startswith("summary/")}  # of a sweep that was stopped before
    current = stale | {f"summary/{key}": float(value) for key, value in (numbers or {}).items()}
    metrics = [Metric(key, value, now, 0) for key, value in current.items()]
    client.log_batch(run_id, metrics, tags=[RunTag(NOTE, description)])
    client.set_terminated(run_id, status)
