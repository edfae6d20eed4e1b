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
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlparse

import numpy as np
import yaml

from backscope.tracking.trace import to_parquet

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from backscope.training import Record

PREDICTED = {"grad_norm", "delta_rms"}  # what theory predicts and MLflow charts; all of it is in the trace
SERIES_POINTS = 8  # moments of a layer's series: 33 layers of them are 264 points
CURVE_POINTS = 32  # moments of a scalar's curve
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the fast one, where PyYAML was built with it
BATCH = 1000  # MLflow's limit of metrics in one call; that of parameters and tags is 100
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"


class Verdict(Protocol):
    """What the diagnosis says of a run."""

    @property
    def name(self) -> str: ...
    @property
    def evidence(self) -> str: ...
    @property
    def numbers(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Point:
    """One value of one metric at a step, or at a layer where the metric is a depth profile."""

    key: str
    step: int
    value: float


@dataclass(frozen=True)
class Entry:
    """Everything that MLflow is told about one run."""

    name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
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
) -> Entry:
    """The record as MLflow will show it: parameters, medians, summary, description, trace and configuration."""
    points = [*_summary(record, verdict), *_curves(record), *_series(record, series), *_theory(record)]
    labels = {"verdict": verdict.name, **(tags or {})}
    return Entry(
        name,
        _labels(labels, parent, f"**{verdict.name}**: {verdict.evidence}", overrides),
        flatten(record.config),
        [point for point in points if np.isfinite(point.value)],
        {"trace.parquet": to_parquet(record)} | _configuration(record.config, overrides),
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
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, entry.status)
    return str(run_id)


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


def thin(steps: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the sorted steps, log-spaced, with the first and the last.

    >>> [int(i) for i in thin(np.arange(201), 8)]
    [0, 2, 4, 9, 20, 44, 94, 200]
    """
    if len(steps) == 0:
        return np.empty(0, dtype=int)
    wanted = steps[0] - 1 + np.geomspace(1, steps[-1] - steps[0] + 1, count).round(6)
    return np.unique(np.searchsorted(steps, wanted).clip(max=len(steps) - 1))


def median(values: np.ndarray) -> np.ndarray:
    """The median over replicas (axis 1) that are finite; NaN where none is."""
    values = np.where(np.isfinite(values), values, np.nan)
    if values.shape[1] == 1:
        return values[:, 0]
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return np.nanmedian(values, axis=1)


def _series(record: "Record", quantities: Iterable[str]) -> Iterator[Point]:
    """Every layer's series in time, and the profile over layers (log10, step = layer) at three moments."""
    for quantity in quantities:
        if quantity not in record.layers:
            continue
        values = median(record.layers[quantity])
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        if len(known) == 0:
            continue
        digits = max(2, len(str(values.shape[1])))
        for moment in known[thin(record.steps[known], SERIES_POINTS)]:
            for layer, value in enumerate(values[moment], 1):
                yield Point(f"{quantity}/layer_{layer:0{digits}d}", int(record.steps[moment]), float(value))
        halfway = known[np.abs(record.steps[known] - record.steps[known[-1]] / 2).argmin()]
        for t in sorted({known[0], halfway, known[-1]}):
            key = f"depth_profile/log10_{quantity}_step_{record.steps[t]:03d}"
            for index in np.flatnonzero(values[t] > 0):
                yield Point(key, int(index) + 1, float(np.log10(values[t, index])))


def _theory(record: "Record") -> Iterator[Point]:
    """The depth profiles that theory predicts for the initialization."""
    for quantity in sorted(record.theory.keys() & PREDICTED):
        for layer, value in enumerate(record.theory[quantity], 1):
            if value > 0:
                yield Point(f"theory/log10_{quantity}_step_000", layer, float(np.log10(value)))


def _curves(record: "Record") -> Iterator[Point]:
    """The scalars over time, thinned."""
    for name, (steps, values) in record.scalars.items():
        middle = median(values)
        known = np.flatnonzero(np.isfinite(middle))
        for i in known[thin(steps[known], CURVE_POINTS)]:
            yield Point(name, int(steps[i]), float(middle[i]))


def _summary(record: "Record", verdict: Verdict) -> Iterator[Point]:
    """One number a run: the verdict's, the last value of each scalar, times, divergence."""
    numbers = dict(verdict.numbers)
    for name, (_, values) in record.scalars.items():
        middle = median(values)
        known = middle[np.isfinite(middle)]
        numbers |= {name.replace("/", "_"): float(known[-1])} if len(known) else {}
    numbers |= {f"seconds_{name}": seconds for name, seconds in record.seconds.items()}
    diverged = record.diverged_at[record.diverged_at >= 0]
    if len(diverged):
        numbers |= {"diverged_at": float(np.median(diverged)), "diverged_replicas": float(len(diverged))}
    for name, value in numbers.items():
        yield Point(f"summary/{name}", 0, float(value))
