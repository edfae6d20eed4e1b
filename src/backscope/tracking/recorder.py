"""The recorder: one training record becomes one MLflow run.

MLflow pays a tenth of a millisecond for every point, so a run's metrics are its summary (medians over the
replicas, at few log-spaced moments, in one batch) and the whole measurement is one artifact, the trace. An entry is
made first, without MLflow; `write` then sends it, the files before the numbers and the status last, so that a
run that says FINISHED is complete. What is not finite is never sent: charts show it as a fake number.
"""

import json
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import yaml

from backscope.tracking.points import Point, Verdict, points
from backscope.tracking.trace import to_parquet

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from backscope.training import Record

Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the fast one, where PyYAML was built with it
BATCH = 1000  # MLflow's limit of metrics in one call; that of parameters and tags is 100
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"


@dataclass(frozen=True)
class Entry:
    """Everything that MLflow is told about one run."""

    name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    status: str = "FINISHED"
    seconds: float = 0.0


def record_run(client: "MlflowClient", experiment_id: str, record: "Record", verdict: Verdict, **labels: Any) -> str:
    """Write a trained run, whatever its verdict, labelled as `entry` says, and return its run id."""
    return write(client, experiment_id, entry(record, verdict, **labels))


def record_failure(
    client: "MlflowClient",
    experiment_id: str,
    config: Any,
    error: BaseException,
    *,
    name: str,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    log: str = "",
) -> str:
    """Write a run that raised: its configuration, the error in one line as tag `error`, the log as an artifact."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    files = _configuration(config, overrides) | ({"error.txt": log.encode()} if log else {})
    labels = _labels(tags, parent, f"**failed**: {line}", overrides) | {"error": line}
    return write(client, experiment_id, Entry(name, labels, flatten(config), files=files, status="FAILED"))


def entry(
    record: "Record",
    verdict: Verdict,
    *,
    name: str,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    series: Sequence[str] = ("grad_norm",),
    files: Mapping[str, bytes] | None = None,
) -> Entry:
    """The record as MLflow will show it: parameters, medians, summary, description, trace, configuration, `files`."""
    labels = {"verdict": verdict.name, **(tags or {})}
    return Entry(
        name,
        _labels(labels, parent, f"**{verdict.name}**: {verdict.evidence}", overrides),
        flatten(record.config),
        points(record, verdict, series),
        {"trace.parquet": to_parquet(record), **_configuration(record.config, overrides), **(files or {})},
        data=record.data,
        seconds=record.seconds.get("total", 0.0),
    )


def write(client: "MlflowClient", experiment_id: str, entry: Entry) -> str:
    """Send an entry; the run is FAILED, never left RUNNING, if that does not succeed."""
    from mlflow.entities import Metric, Param

    now = time.time_ns() // 1_000_000
    run = client.create_run(experiment_id, now - round(1e3 * entry.seconds), dict(entry.tags), entry.name)
    run_id = run.info.run_id
    try:
        store_files(client, run_id, run.info.artifact_uri, entry.files)
        metrics = [Metric(point.key, point.value, now, point.step) for point in entry.points]
        params = [Param(key, value) for key, value in entry.params.items()]
        for start in range(0, max(len(metrics), 1), BATCH):
            client.log_batch(run_id, metrics[start : start + BATCH], params[:100] if start == 0 else ())
        for start in range(100, len(params), 100):
            client.log_batch(run_id, params=params[start : start + 100])
        if entry.data:
            log_data(client, run_id, entry.data)
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, entry.status)
    return str(run_id)


def log_data(client: "MlflowClient", run_id: str, data: Mapping[str, Any]) -> None:
    """Say what a run learned from: MLflow shows its name and digest, and the rest as its profile."""
    from mlflow.entities import Dataset, DatasetInput
    from mlflow.exceptions import MlflowException

    profile = json.dumps({key: value for key, value in data.items() if key not in ("name", "digest")})
    inputs = [DatasetInput(Dataset(data["name"], data["digest"], source_type="", source="", profile=profile))]
    try:
        client.log_inputs(run_id, inputs)
    except MlflowException:  # another worker was the first to tell of this dataset, at the same moment
        client.log_inputs(run_id, inputs)


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
    metrics = [Metric(f"summary/{key}", float(value), now, 0) for key, value in (numbers or {}).items()]
    client.log_batch(run_id, metrics, tags=[RunTag(NOTE, description)])
    client.set_terminated(run_id, status)


def store_files(client: "MlflowClient", run_id: str, uri: str, files: Mapping[str, bytes]) -> None:
    """Write artifacts: straight to the folder where that is on this machine, else in one upload."""
    if not files:
        return
    local = urlparse(uri).scheme in ("", "file")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(unquote(urlparse(uri).path)) if local else Path(temporary)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not local:
            client.log_artifacts(run_id, temporary)


def flatten(config: Any) -> dict[str, str]:
    """The configuration with dotted names, without what is null or says only where to track.

    >>> flatten({"init": {"name": "normal", "std": 0.01}, "training": {"clip_norm": None}})
    {'init.name': 'normal', 'init.std': '0.01'}
    """

    def walk(node: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}" if path else str(key))
        elif node is not None:
            yield path, str(node)

    return {key: value for key, value in walk(_plain(config), "") if not key.startswith("tracking.")}


def _plain(config: Any) -> Any:
    """Dicts, lists, text and numbers."""
    plain = asdict(config) if is_dataclass(config) and not isinstance(config, type) else config
    return json.loads(json.dumps(plain))


def _configuration(config: Any, overrides: Sequence[str]) -> dict[str, bytes]:
    content = {"config.yaml": _plain(config), "overrides.yaml": list(overrides)}
    return {name: yaml.dump(value, Dumper=Dumper, sort_keys=False).encode() for name, value in content.items()}


def _labels(
    tags: Mapping[str, str] | None, parent: str | None, sentence: str, overrides: Sequence[str]
) -> dict[str, str]:
    """The tags, the run's parent, and the description: a sentence, and the command that runs it again."""
    alone = ["hydra.mode=RUN"] if parent else []  # an experiment's file would sweep
    note = f"{sentence}\n\n`{shlex.join(('backscope', *overrides, *alone))}`"
    return dict(tags or {}) | ({PARENT: parent} if parent else {}) | {NOTE: note}
