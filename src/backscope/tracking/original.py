"""What was recorded of one run, read back whole and checked: the side that a reproduction is compared with.

A configuration is read as plain YAML and must pass every check again; nothing in it is executed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from backscope.config import Config, ConfigError, check, compose
from backscope.config.checks import misfit
from backscope.data import ARRAYS
from backscope.tracking import reader, store
from backscope.tracking.comparing import metrics
from backscope.tracking.recorder import ENTRY, flatten

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

LATEST = "latest"
NEWEST = ["attributes.start_time DESC"]
SEARCHED = 1000  # of the newest runs: a sweep's parent is the only one that has no trace


@dataclass(frozen=True)
class Original:
    """A recorded run: its configuration and trace, and from a store its metrics, tags and digest of the data too.

    `altered` says, a line each, what is no longer as it was recorded.
    """

    name: str
    config: Config
    trace: "pd.DataFrame | None"
    metrics: "pd.DataFrame | None" = None
    tags: Mapping[str, str] = field(default_factory=dict)
    altered: Sequence[str] = ()


def of_run(run_id: str, uri: str | None = None) -> Original:
    """A finished run of a store, by MLflow's id, by the one in its description (tag `entry`), or the `latest`.

    Raises StoreError if there is none, or not all of it, and ConfigError for a configuration that is not allowed.
    """
    uri, here = store.locate(uri), f"RUN={run_id}"
    with store.reading(uri) as client:
        run = found(client, run_id, uri)
    run_id, artifacts, tags, params = run.info.run_id, run.info.artifact_uri, run.data.tags, run.data.params
    try:
        config = configuration(reader.artifact(client, run_id, artifacts, "config.yaml"), f"{here}: config.yaml")
        trace = reader.parse(reader.artifact(client, run_id, artifacts, "trace.parquet"))
    except ConfigError as error:
        raise ConfigError(f"{error}{_made_by(tags)}") from error
    except ValueError as error:
        raise store.StoreError(f"{here}: {error}") from error
    with store.reading(uri):
        table = metrics(_points(client, run))
    inputs = run.inputs.dataset_inputs if run.inputs else []
    circumstances = tags | ({"data": inputs[0].dataset.digest} if inputs else {})
    altered = list(_altered(config, tags, params))
    return Original(f"{run.info.run_name}, {run_id}", config, trace, table, circumstances, altered)


def of_file(config: Path, trace: Path | None = None) -> Original:
    """A configuration in a file, and the trace beside it or in another; `trace` is None if there is none.

    Raises ConfigError for what cannot be read or is not allowed.
    """
    config = config / "config.yaml" if config.is_dir() else config
    beside = config.with_name("trace.parquet")
    trace = trace or (beside if beside.exists() else None)
    try:
        checked = configuration(config.read_bytes(), str(config))
        return Original(str(config), checked, reader.parse(trace.read_bytes()) if trace else None)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(f"{getattr(error, 'filename', None) or trace}: {_reason(error)}") from error


def configuration(text: bytes, where: str) -> Config:
    """The checked configuration of a YAML file.

    Raises ConfigError, which says where, for what is not allowed, and which keys belong to another version's schema.
    """
    try:
        node: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not YAML: {_reason(error)}") from error
    if not isinstance(node, dict):
        raise ConfigError(f"{where}: allowed is a mapping with the keys of a configuration")
    data, kept = node.get("data"), node.get("tracking")
    if isinstance(data, dict) and data.get("name") == ARRAYS:
        raise ConfigError(
            f"{where}: trained on arrays of its own, {data.get('digest')}, which are kept by nobody but you"
        )
    if isinstance(kept, dict) and "series" in kept:  # the rest says where, not what: keys of other versions do no harm
        node["tracking"] = _tracking() | {"series": kept["series"]}
    try:
        return check(node)
    except ConfigError as error:
        unknown, missing = misfit(node)
        if (unknown or missing) and "_target_" not in str(error):
            keys = {"unknown": unknown, "missing": missing}
            said = "; ".join(f"{kind} {', '.join(found)}" for kind, found in keys.items() if found)
            raise ConfigError(f"{where}: of another schema than this version's: {said}") from error
        raise ConfigError(f"{where}: {error}") from error


@cache
def _tracking() -> dict[str, Any]:
    """Where runs go unless they are told to go elsewhere."""
    return asdict(compose().tracking)


def found(client: "MlflowClient", run_id: str, uri: str) -> "Run":
    """The run of this id, if it is one that has finished; of those, `latest` is the newest.

    Raises StoreError if there is none, or it is a sweep, deleted or not finished.
    """
    from mlflow.exceptions import MlflowException

    if run_id == LATEST:
        return _latest(client, uri)
    here = f"RUN={run_id}"
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in reader.UNKNOWN:
            raise
        sent = _sent(client, run_id)
        if not sent:
            raise store.StoreError(f"{here}: no such run in {store.shown(uri)}") from error
        run = sent[0]
    if run.info.lifecycle_stage != "active":
        raise store.StoreError(f"{here}: it was deleted; `mlflow runs restore --run-id {run_id}` restores it")
    if run.data.tags.get("kind") == "sweep":
        raise store.StoreError(f"{here}: a sweep, not a run; allowed is the id of a run nested under it")
    if run.info.status != "FINISHED":
        why = f" ({run.data.tags['error']})" if "error" in run.data.tags else ""
        raise store.StoreError(f"{here}: it is {run.info.status}{why}; allowed is a run that is FINISHED")
    return run


def _latest(client: "MlflowClient", uri: str) -> "Run":
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, "attributes.status = 'FINISHED'", max_results=SEARCHED, order_by=NEWEST)
    trained = [run for run in runs if run.data.tags.get("kind") != "sweep"]
    if not trained:
        raise store.StoreError(f"RUN={LATEST}: no finished run in {store.shown(uri)}; `make run` makes one")
    return trained[0]


def _sent(client: "MlflowClient", entry: str) -> "list[Run]":
    """The runs that were sent for an entry, one that was sent whole first."""
    if not re.fullmatch(r"[\w-]+", entry):
        return []
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.{ENTRY} = '{entry}'")
    return sorted(found, key=lambda run: run.info.status != "FINISHED")


def _points(client: "MlflowClient", run: "Run") -> Iterator[tuple[str, int, float]]:
    for key in run.data.metrics:
        for point in client.get_metric_history(run.info.run_id, key):
            yield key, point.step, point.value


def _altered(config: Config, tags: Mapping[str, str], params: Mapping[str, str]) -> Iterator[str]:
    """What config.yaml says otherwise than the run's tag and parameters."""
    digest, tag = config.hash(), tags.get("config_hash")
    if digest != tag:
        yield f"config.yaml has the hash {digest}, the run's tag config_hash is {tag}"
    chosen = flatten(config)
    for key in sorted(chosen.keys() | params.keys()):
        if chosen.get(key) != params.get(key):
            yield f"{key} is {chosen.get(key)} in config.yaml, {params.get(key)} in the run's parameters"


def _made_by(tags: Mapping[str, str]) -> str:
    commit = tags.get("git.commit")
    return f"; the run was made by commit {commit[:12]}" if commit else ""


def _reason(error: Exception) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
