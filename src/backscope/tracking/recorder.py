"""The recorder: one training record becomes one MLflow run.

An entry is made first, without MLflow: medians in one batch of points, and the whole measurement in one artifact, the
trace. `write` then sends it, the files before the numbers and the status last, so that a run that says FINISHED is
complete.
"""

import json
import os
import shlex
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from backscope.tracking import store
from backscope.tracking.points import Point, Verdict, median, points
from backscope.tracking.trace import to_parquet

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from backscope.training import Record

Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the fast one, where PyYAML was built with it
BATCH = 1000  # MLflow's limit of metrics in one call; that of parameters and tags is 100
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
ENTRY = "entry"  # the tag by which a run that was sent is known again
INTERRUPTED = "interrupted"  # the tag of a run whose process, or whose store, went away while it was sent


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
    ended: int = field(default_factory=lambda: time.time_ns() // 1_000_000)  # milliseconds since 1970, as MLflow counts
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def failure(
    config: Any,
    error: BaseException,
    *,
    name: str,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    id: str | None = None,
    log: str = "",
) -> Entry:
    """A run that raised: its configuration, the error in one line as tag `error`, the log as an artifact."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    files = _configuration(config, overrides) | ({"error.txt": log.encode()} if log else {})
    labels = _labels(tags, parent, f"**failed**: {line}", overrides) | {"error": line}
    return Entry(name, labels, flatten(config), files=files, status="FAILED", id=id or uuid.uuid4().hex)


def entry(
    record: "Record",
    verdict: Verdict,
    *,
    name: str,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    id: str | None = None,
    series: Sequence[str] = ("grad_norm",),
    files: Mapping[str, bytes] | None = None,
) -> Entry:
    """The record as MLflow will show it: parameters, medians, summary, description, trace, configuration, `files`."""
    id = id or uuid.uuid4().hex  # known before MLflow gives the run its own, so that the description can name it
    labels = {"verdict": verdict.name, **(tags or {})}
    told = f"**{verdict.name}**: {verdict.evidence}.{_expected(record)}"
    labels = _labels(labels, parent, told, overrides)
    return Entry(
        name,
        labels | {NOTE: f"{labels[NOTE]}\n\n`make reproduce RUN={id}`"},
        flatten(record.config),
        points(record, verdict, series),
        {"trace.parquet": to_parquet(record), **_configuration(record.config, overrides), **(files or {})},
        data=record.data,
        seconds=record.seconds.get("total", 0.0),
        id=id,
    )


def _expected(record: "Record") -> str:
    """What theory expected of the first gradient, beside what it was; empty where it expects nothing."""
    depth = record.config.model.depth
    if "grad_norm" not in record.theory or "grad_norm" not in record.layers or depth < 2:
        return ""
    profiles = record.theory["grad_norm"], median(record.layers["grad_norm"])[0]
    expected, found = (profile[0] / profile[depth - 1] if profile[depth - 1] > 0 else None for profile in profiles)
    if expected is None or found is None:
        return ""
    of = f"the ‖∂L/∂W‖ of layer {depth}"
    return f" Theory expected {expected:.2g} × {of} in layer 1 at the start; measured were {found:.2g} ×."


def write(client: "MlflowClient", experiment_id: str, entry: Entry) -> str:
    """Send an entry and return its run id; the run is KILLED, never FINISHED, if that does not succeed."""
    from mlflow.entities import Metric, Param

    tags = entry.tags | {ENTRY: entry.id}
    run = client.create_run(experiment_id, entry.ended - round(1e3 * entry.seconds), tags, entry.name)
    run_id = run.info.run_id
    try:
        store_files(client, run_id, run.info.artifact_uri, entry.files)
        metrics = [Metric(point.key, point.value, entry.ended, point.step) for point in entry.points]
        params = [Param(key, value) for key, value in entry.params.items()]
        for start in range(0, max(len(metrics), 1), BATCH):
            client.log_batch(run_id, metrics[start : start + BATCH], params[:100] if start == 0 else ())
        for start in range(100, len(params), 100):
            client.log_batch(run_id, params=params[start : start + 100])
        if entry.data:
            log_data(client, run_id, entry.data)
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            interrupt(client, run_id)
        raise
    client.set_terminated(run_id, entry.status, entry.ended)
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


def interrupt(client: "MlflowClient", run_id: str) -> None:
    """Mark a run that was not sent whole."""
    client.set_tag(run_id, INTERRUPTED, "true")
    client.set_terminated(run_id, "KILLED")


def store_files(client: "MlflowClient", run_id: str, uri: str, files: Mapping[str, bytes]) -> None:
    """Write artifacts: straight to the folder where that is on this machine, else in one upload."""
    if not files:
        return
    local = store.local(uri)
    with tempfile.TemporaryDirectory() as temporary:
        folder = local or Path(temporary)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                if local:  # as safe from a power cut as the database that will call the run finished
                    file.flush()
                    os.fsync(file.fileno())
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
